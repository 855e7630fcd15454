"""`cwda models`: the names that load."""

from __future__ import annotations

from cwda.cli.messages import is_quiet
from cwda.cli.options import option
from cwda.cli.verb import verb

__all__ = ["models"]


@verb("models", "List the names of models.", examples="cwda models --match 'resnet*'")
@option("--match", "Only names that match, such as 'resnet*'.", default="*", metavar="GLOB")
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
    Screen(silent=is_quiet()).table(table)
