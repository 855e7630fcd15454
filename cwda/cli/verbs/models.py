"""`cwda models`: the names that load."""

from __future__ import annotations

import click

from cwda.cli.verb import Verb

__all__ = ["models"]


@click.command(cls=Verb, short_help="List the names of models.")
@click.option("--match", default="*", metavar="GLOB",
              help="Only names that match, such as 'resnet*'.")  # fmt: skip
def models(match: str) -> None:
    """List the names of models: built-in, cached, downloadable."""
    import fnmatch

    from cwda.cli.screen.screen import Screen
    from cwda.cli.screen.table import Column, Table
    from cwda.errors import CwdaError
    from cwda.zoo.names import available

    table = Table([Column(head, right=False) for head in ("name", "state", "source")])
    for record in available():
        if fnmatch.fnmatchcase(record.name, match):
            table.add(record.name, record.state, record.source)
    if not table.rows:
        raise CwdaError(f"no model is called {match!r}; `cwda models` lists all of them")
    Screen(more="a wider terminal or a pipe has them").table(table)
