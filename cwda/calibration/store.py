"""The counts of a study: in memory, and in a file that a later run continues."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cwda._version import __version__
from cwda.calibration.designs import Size
from cwda.calibration.procedure import Truth
from cwda.errors import CalibrationError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RESULTS", "Cell", "Key", "Study", "read_study"]

#: The study that the documentation prints.
RESULTS = Path(__file__).with_name("results.json")

Counts = dict[str, tuple[int, int]]


@dataclass(frozen=True, order=True)
class Key:
    """One procedure under one design and size."""

    procedure: str
    design: str
    size: Size


@dataclass
class Cell:
    """What happened in the replicates of one cell.

    Attributes
    ----------
    truth : Truth
        The value that the interval is about.
    replicates : int
        Layers drawn.
    counts : dict
        By measure, how often it happened and in how many replicates it was defined.
    """

    truth: Truth
    replicates: int = 0
    counts: Counts = field(default_factory=dict)

    def add(self, replicates: int, counts: Mapping[str, tuple[int, int]]) -> None:
        """Add further replicates."""
        self.replicates += replicates
        for measure, (happened, defined) in counts.items():
            before = self.counts.get(measure, (0, 0))
            self.counts[measure] = (before[0] + happened, before[1] + defined)


@dataclass
class Study:
    """A calibration study, as far as it has run.

    Attributes
    ----------
    seed : int
        Seed of all draws.
    versions : dict of str to str
        Versions of cwda, numpy, scipy and torch at the start.
    cells : dict
        The cells by key.
    """

    seed: int = 0
    versions: dict[str, str] = field(default_factory=lambda: _versions())
    cells: dict[Key, Cell] = field(default_factory=dict)

    @property
    def table(self) -> pd.DataFrame:
        """One row a procedure, measure, design and size; see `cwda.calibration.table`."""
        from cwda.calibration.judgement import tabulate

        return tabulate(self)

    def write(self, path: Path) -> None:
        """Write the study, whole or not at all; a cell a line.

        Raises
        ------
        CalibrationError
            If the file cannot be written.
        """
        head = json.dumps({"seed": self.seed, "versions": self.versions})
        lines = ",\n".join(json.dumps(_record(key, self.cells[key])) for key in sorted(self.cells))
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(f'{head[:-1]}, "cells": [\n{lines}\n]}}\n')
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)  # mkstemp gives 0600
            os.replace(name, path)
        except OSError as error:
            raise CalibrationError(f"{path}: cannot be written ({error.strerror})") from error


def read_study(path: Path) -> Study:
    """Read what `Study.write` wrote.

    Raises
    ------
    CalibrationError
        If the file is missing or is no study.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cells = dict(_parsed(record) for record in content["cells"])
        return Study(int(content["seed"]), dict(content["versions"]), cells)
    except OSError as error:
        raise CalibrationError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CalibrationError(f"{path}: is not a calibration study; name another file") from error


def _record(key: Key, cell: Cell) -> dict[str, Any]:
    exact = math.isfinite(cell.truth.value)
    return {
        "procedure": key.procedure,
        "design": key.design,
        "size": [key.size.n_filters, key.size.channels, key.size.kernel_size],
        "truth": cell.truth.value if exact else None,
        "truth_error": cell.truth.error if exact else None,
        "replicates": cell.replicates,
        "counts": cell.counts,
    }


def _parsed(record: Mapping[str, Any]) -> tuple[Key, Cell]:
    key = Key(record["procedure"], record["design"], Size(*record["size"]))
    value = record["truth"]
    truth = Truth(math.nan) if value is None else Truth(value, record["truth_error"])
    counts = {name: (int(a), int(b)) for name, (a, b) in record["counts"].items()}
    return key, Cell(truth, int(record["replicates"]), counts)


def _versions() -> dict[str, str]:
    packages = {name: metadata.version(name) for name in ("numpy", "scipy", "torch")}
    return {"cwda": __version__, **packages}
