"""`cwda models`: the names that --model takes."""

from __future__ import annotations

import click

from cwda.cli.failure import one_line_errors

__all__ = ["models"]


@click.command(short_help="List the names of models.")
@click.option("--match", default="*", metavar="GLOB", help="Only names that match, as 'resnet*'.")
@one_line_errors
def models(match: str) -> None:
    """List the names of models: built-in, cached, downloadable."""
    import fnmatch

    from cwda.extract.zoo import available

    records = [each for each in available() if fnmatch.fnmatchcase(each.name, match)]
    width = max((len(each.name) for each in records), default=0)
    for record in records:
        click.echo(f"{record.name:<{width}} {record.state:<13} {record.source}")
