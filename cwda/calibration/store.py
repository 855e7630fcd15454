"""The counts of a study: in memory, and in a file that a later run continues."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cwda._version import __version__
from cwda.brief import brief
from cwda.calibration.cells import Cell, Key
from cwda.calibration.designs import Size
from cwda.calibration.judgement import tabulate
from cwda.calibration.procedure import Truth
from cwda.errors import CwdaError
from cwda.files import whole_file

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Study", "read_study"]


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

    __repr__ = brief

    @property
    def table(self) -> pd.DataFrame:
        """One row a procedure, measure, design and size; see `cwda.calibration.table`."""
        return tabulate(self.cells)

    def write(self, path: Path) -> None:
        """Write the study, whole or not at all; a cell a line.

        Raises
        ------
        CwdaError
            If the file cannot be written.
        """
        head = json.dumps({"seed": self.seed, "versions": self.versions})
        lines = ",\n".join(json.dumps(_record(key, self.cells[key])) for key in sorted(self.cells))
        with whole_file(path) as partial:
            partial.write_text(f'{head[:-1]}, "cells": [\n{lines}\n]}}\n', encoding="utf-8")


def read_study(path: Path) -> Study:
    """Read what `Study.write` wrote.

    Raises
    ------
    CwdaError
        If the file is missing or is no study.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        cells = dict(_parsed(record) for record in content["cells"])
        return Study(int(content["seed"]), dict(content["versions"]), cells)
    except OSError as error:
        raise CwdaError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CwdaError(f"{path}: is not a calibration study; name another file") from error


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
