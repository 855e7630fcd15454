"""Writing tables to files and to standard output: checked before the work, whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cwda.cli.messages import is_quiet, note
from cwda.cli.options import option
from cwda.errors import CwdaError
from cwda.files import require_writable, whole_file

if TYPE_CHECKING:
    import pandas as pd

    from cwda.cli.screen.screen import Screen

__all__ = ["FORMATS", "Outputs", "neighbour", "output_option", "require_table", "write_table"]

FORMATS = (".csv", ".json", ".parquet")

STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True)
class Outputs:
    """Where the table of a command goes.

    Attributes
    ----------
    paths : tuple of Path
        Files, and ``-`` for standard output.
    """

    paths: tuple[Path, ...] = ()

    def require(self, beside: str = "") -> None:
        """Raise unless a table can be written to each; called before any long work.

        Parameters
        ----------
        beside : str
            What a further table is of, if one is written next to each file: NAME.csv and
            NAME.network.csv.

        Raises
        ------
        CwdaError
            If not.
        """
        for path in self.paths:
            if path != STANDARD_OUTPUT:
                require_table(path)
                if beside:
                    require_table(neighbour(path, beside))

    def screen(self, summary: bool = False) -> Screen:
        """What the tables for readers are printed on: nothing where CSV goes."""
        from cwda.cli.screen.screen import Screen

        files = [path for path in self.paths if path != STANDARD_OUTPUT]
        silent = is_quiet() or len(files) < len(self.paths)
        return Screen(silent=silent, patient=bool(files), summary=summary)

    def write(self, tables: Iterable[pd.DataFrame]) -> None:
        """Write the tables of several networks as one: files first, then standard output.

        Tables that come from a generator are not made where none is written.

        Raises
        ------
        CwdaError
            If one cannot be written.
        """
        if not self.paths:
            return
        import pandas as pd

        made = list(tables)
        if not made:
            return
        whole = pd.concat(made, ignore_index=True)
        for path in dict.fromkeys(self.paths):
            if path != STANDARD_OUTPUT:
                write_table(whole, path)
                note(f"wrote {len(whole)} rows to {path}")
        if STANDARD_OUTPUT in self.paths:
            _print_csv(whole)

    def write_beside(self, table: Callable[[], pd.DataFrame], beside: str) -> None:
        """Write a further table next to each file; standard output does not get it.

        Raises
        ------
        CwdaError
            If one cannot be written.
        """
        files = [path for path in dict.fromkeys(self.paths) if path != STANDARD_OUTPUT]
        for path in files:
            place, made = neighbour(path, beside), table()
            write_table(made, place)
            note(f"wrote {len(made)} rows to {place}")


def neighbour(path: Path, beside: str) -> Path:
    """The file next to another of the same kind, for a further table.

    Examples
    --------
    >>> neighbour(Path("resnet18.csv"), "network").name
    'resnet18.network.csv'
    """
    return path.with_name(f"{path.stem}.{beside}{path.suffix}")


output_option = option(
    "--output",
    "Write the table to FILE.csv, FILE.json or FILE.parquet, with full precision; - prints it as "
    "CSV instead of the tables for readers. Repeatable.",
    multiple=True,
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    callback=lambda context, parameter, paths: Outputs(paths),
)


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

    JSON is a list of objects, one per row; numbers that are not defined are null.
    """
    with whole_file(path) as partial:
        if path.suffix == ".csv":
            table.to_csv(partial, index=False)
        elif path.suffix == ".json":
            table.to_json(partial, orient="records", indent=1, double_precision=15)
        else:
            table.to_parquet(partial, index=False)


def _print_csv(table: pd.DataFrame) -> None:
    """The bytes of the file, whatever characters the terminal has."""
    if sys.stdout is None:
        raise CwdaError("standard output is closed; name a file with --output")
    text = table.to_csv(index=False)
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        sys.stdout.write(text)
    else:
        buffer.write(text.encode("utf-8"))
        buffer.flush()
