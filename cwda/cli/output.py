"""Writing tables to files and to standard output: checked before the work, whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cwda.cli.messages import is_quiet, note
from cwda.cli.options import Decorator, option
from cwda.cli.overwriting import (
    STANDARD_OUTPUT,
    TABLE,
    TRAINING,
    Written,
    is_training,
    require_same_kind,
)
from cwda.errors import CwdaError
from cwda.files import require_writable, whole_file
from cwda.formatting import listed

if TYPE_CHECKING:
    import pandas as pd

    from cwda.cli.screen.screen import Screen

__all__ = [
    "FORMATS",
    "Outputs",
    "neighbour",
    "output_option",
    "require_distinct",
    "require_table",
    "training_output_option",
    "write_table",
]

FORMATS = (".csv", ".json", ".parquet")


@dataclass(frozen=True)
class Outputs:
    """Where the table of a command goes.

    Attributes
    ----------
    paths : tuple of Path
        Files, and ``-`` for standard output.
    """

    paths: tuple[Path, ...] = ()

    def require(self, *beside: str) -> None:
        """Raise unless a table can be written to each; called before any long work.

        Parameters
        ----------
        *beside : str
            What further tables are of that are written next to each file: NAME.csv and
            NAME.network.csv.

        Raises
        ------
        CwdaError
            If one cannot be written.
        click.UsageError
            If two tables would be written to one file.
        """
        files = list(self.files(*beside))
        require_distinct(files)
        for path, _ in files:
            require_table(path)
            if path not in self.paths:  # those of the option itself are looked at for all verbs
                require_same_kind(path, TABLE)

    def require_training(self, networks: Collection[str]) -> None:
        """Refuse to write over the record of a training of other networks.

        Parameters
        ----------
        networks : collection of str
            Names of the checkpoints whose table is written, or of the network of a record.

        Raises
        ------
        CwdaError
            If a file holds such a record.
        """
        from cwda.callbacks.csv_file import read_rows

        for path in filter(is_training, self.paths):
            held = dict.fromkeys(row.network for row in read_rows(path))
            if others := [name for name in held if name not in networks]:
                raise CwdaError(
                    f"{path}: holds the training of {listed(others[:3])}, which would be lost; "
                    "give another name"
                )

    def files(self, *beside: str) -> Iterator[tuple[Path, str]]:
        """The files that are written, each with what it holds."""
        for path in self.paths:
            if path != STANDARD_OUTPUT:
                yield path, "the table of --output"
                for name in beside:
                    yield neighbour(path, name), f"the {name} table that goes beside {path.name}"

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

    def write_beside(self, table: Callable[[], pd.DataFrame], beside: str, none: str = "") -> None:
        """Write a further table next to each file; standard output does not get it.

        Parameters
        ----------
        table : callable
            Makes the table.
        beside : str
            What it is of.
        none : str
            Why it may have no rows.

        Raises
        ------
        CwdaError
            If one cannot be written.
        """
        files = [path for path in dict.fromkeys(self.paths) if path != STANDARD_OUTPUT]
        for path in files:
            place, made = neighbour(path, beside), table()
            write_table(made, place)
            reason = "" if len(made) or not none else f": {none}"
            note(f"wrote {len(made)} rows to {place}{reason}")


def neighbour(path: Path, beside: str) -> Path:
    """The file next to another of the same kind, for a further table.

    Examples
    --------
    >>> neighbour(Path("resnet18.csv"), "network").name
    'resnet18.network.csv'
    """
    return path.with_name(f"{path.stem}.{beside}{path.suffix}")


def _output_option(kind: Written) -> Decorator:
    return option(
        "--output",
        "Write the table to FILE.csv, FILE.json or FILE.parquet, with full precision; - prints it "
        "as CSV instead of the tables for readers. Repeatable.",
        multiple=True,
        type=kind,
        metavar="FILE",
        callback=lambda context, parameter, paths: Outputs(paths),
    )


output_option = _output_option(TABLE)

#: That of a verb that calls `Outputs.require_training`.
training_output_option = _output_option(TRAINING)


def require_distinct(files: Iterable[tuple[Path, str]]) -> None:
    """Refuse to write two things to one file; called before any long work.

    Parameters
    ----------
    files : iterable of (Path, str)
        What is written, and what each file holds.

    Raises
    ------
    click.UsageError
        If they collide.
    """
    taken: dict[Path, str] = {}
    for path, content in files:
        # A link is replaced by the file that is written, hence the folders alone are resolved.
        other = taken.setdefault(path.parent.resolve() / path.name, content)
        if other != content:
            both = f"{other} and {content}"
            raise click.UsageError(f"{path} would hold both {both}; name another file")


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
