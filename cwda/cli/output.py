"""Writing a table to a file: format by suffix, checked before the work, atomic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cwda.errors import CwdaError
from cwda.files import require_writable, whole_file

if TYPE_CHECKING:
    import pandas as pd

    from cwda.cli.sources import Sources
    from cwda.layers import Network

__all__ = [
    "FORMATS",
    "output_option",
    "require_table",
    "table_of_each",
    "write_table",
    "write_tables",
]

FORMATS = (".csv", ".json", ".parquet")


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --output FILE, the table that the command writes."""
    return click.option(
        "--output",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write the table to FILE.csv, FILE.json or FILE.parquet.",
    )(command)


def require_table(path: Path) -> None:
    """Raise unless a table can be written to `path`; called before any long work.

    Raises
    ------
    CwdaError
        If the suffix is unknown, the folder is missing or may not be written, or the
        engine for Parquet is not installed.
    """
    require_writable(path, FORMATS)
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise CwdaError('Parquet needs pyarrow: pip install "cwda[parquet]"') from error


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write `table` with full precision, whole or not at all.

    JSON is a list of objects, one a row; numbers that are not defined are null.
    """
    with whole_file(path) as partial:
        if path.suffix == ".csv":
            table.to_csv(partial, index=False)
        elif path.suffix == ".json":
            table.to_json(partial, orient="records", indent=1, double_precision=15)
        else:
            table.to_parquet(partial, index=False)


def table_of_each(
    sources: Sources, output: Path | None, table_of: Callable[[Network], pd.DataFrame]
) -> None:
    """Load the networks, show each by `table_of`, and write the tables that it returns.

    Raises
    ------
    CwdaError
        If the table could not be written; told before the work.
    SystemExit
        If a network could not be read, after the others are done.
    """
    if output:
        require_table(output)
    tables = [table_of(network) for network in sources.load()]
    if output:
        write_tables(tables, output)
    sources.finish()


def write_tables(tables: Sequence[pd.DataFrame], path: Path) -> None:
    """Write the tables of several networks as one, and say so."""
    import pandas as pd

    whole = pd.concat(tables, ignore_index=True)
    write_table(whole, path)
    click.echo(f"wrote {len(whole)} rows to {path}", err=True)
