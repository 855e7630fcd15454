"""From counts to rates with binomial intervals, and the verdict on each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scipy import special

from cwda.calibration.cells import Cell, Key
from cwda.calibration.designs import DESIGNS, Size
from cwda.calibration.procedure import ALPHA, Procedure
from cwda.calibration.procedures import PROCEDURES

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "TOLERANCE",
    "VERDICTS",
    "binomial_interval",
    "judge",
    "size_of",
    "summarise",
    "tabulate",
]

#: An error may differ from its nominal value by this share: .03 to .07 for a test at .05.
TOLERANCE = 0.4

COLUMNS: tuple[str, ...] = (
    "procedure",
    "measure",
    "design",
    "n_filters",
    "channels",
    "kernel_size",
    "truth",
    "truth_error",
    "replicates",
    "rate",
    "low",
    "high",
    "nominal",
    "domain",
    "verdict",
)

VERDICTS: tuple[str, ...] = ("ok", "undecided", "too conservative", "too liberal")

#: Measures whose nominal error is a bound from above only.
_BOUNDED = ("lower limit", "upper limit", "holds", "fails")


def tabulate(cells: Mapping[Key, Cell]) -> pd.DataFrame:
    """The table of a study; columns as of `cwda.calibration.table`."""
    import pandas as pd

    rows = [
        _row(key, cells[key], measure, *counts)
        for key in sorted(cells, key=_in_order)
        for measure, counts in cells[key].counts.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Verdicts on each procedure within its domain; columns as of `cwda.calibration.summary`."""
    import pandas as pd

    judged = rows[(rows["domain"] == "inside") & rows["nominal"].notna()]
    lines = []
    for (procedure, measure), group in judged.groupby(["procedure", "measure"], sort=False):
        counts = group["verdict"].value_counts()
        excess = group["low"] - group["nominal"]
        if measure not in _BOUNDED:
            excess = excess.combine(group["nominal"] - group["high"], max)
        worst = group.loc[excess.idxmax()]
        lines.append(
            {
                "procedure": procedure,
                "measure": measure,
                "nominal": group["nominal"].iloc[0],
                "cells": len(group),
                **{word.replace(" ", "_"): int(counts.get(word, 0)) for word in VERDICTS},
                "lowest": group["rate"].min(),
                "highest": group["rate"].max(),
                "worst": f"{worst['design']}, {size_of(worst)}",
            }
        )
    return pd.DataFrame(lines)


def size_of(row: Any) -> str:
    """The size of a row of the table, as ``64x16x9``."""
    return str(Size(row["n_filters"], row["channels"], row["kernel_size"]))


def _in_order(key: Key) -> tuple[int, int, Any]:
    return list(PROCEDURES).index(key.procedure), list(DESIGNS).index(key.design), key.size


def _row(key: Key, cell: Cell, measure: str, happened: int, defined: int) -> dict[str, Any]:
    procedure, design = PROCEDURES[key.procedure], DESIGNS[key.design]
    domain = procedure.domain if measure == "test" else procedure.interval_domain
    low, high = binomial_interval(happened, defined)
    nominal = _nominal(procedure, key, cell, measure)
    return {
        "procedure": key.procedure,
        "measure": measure,
        "design": key.design,
        "n_filters": key.size.n_filters,
        "channels": key.size.channels,
        "kernel_size": key.size.kernel_size,
        "truth": cell.truth.value,
        "truth_error": cell.truth.error,
        "replicates": defined,
        "rate": happened / defined,
        "low": low,
        "high": high,
        "nominal": nominal,
        "domain": "inside" if (design, key.size) in domain else "outside",
        "verdict": judge(measure, low, high, nominal, at_most=procedure.at_most),
    }


def _nominal(procedure: Procedure, key: Key, cell: Cell, measure: str) -> float:
    """The nominal rate; NaN where a right rate is not set, as for a power."""
    truth, at_margin = cell.truth.value, math.isclose(cell.truth.value, procedure.margin)
    if measure == "test":
        return ALPHA if procedure.null(DESIGNS[key.design], key.size) else math.nan
    if measure == "interval":
        return procedure.level
    if measure == "holds":
        return ALPHA if truth > procedure.margin or at_margin else math.nan
    if measure == "fails":
        return ALPHA if truth < procedure.margin or at_margin else math.nan
    return (1 - procedure.level) / 2


def judge(measure: str, low: float, high: float, nominal: float, *, at_most: bool = False) -> str:
    """Verdict on a rate with its interval; empty where there is no nominal rate.

    With `at_most`, and for limits and false verdicts, the nominal rate is a bound from above.

    Examples
    --------
    >>> judge("test", 0.04, 0.06, 0.05), judge("test", 0.01, 0.02, 0.05)
    ('ok', 'too conservative')
    >>> judge("interval", 0.80, 0.85, 0.90), judge("upper limit", 0.0, 0.01, 0.05)
    ('too liberal', 'ok')
    """
    if math.isnan(nominal):
        return ""
    if measure == "interval":
        low, high, nominal = 1 - high, 1 - low, 1 - nominal
    least, most = (1 - TOLERANCE) * nominal, (1 + TOLERANCE) * nominal
    if low > most:
        return "too liberal"
    if at_most or measure in _BOUNDED:
        return "ok" if high <= most else "undecided"
    if high < least:
        return "too conservative"
    return "ok" if low >= least and high <= most else "undecided"


def binomial_interval(happened: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of a probability.

    References
    ----------
    Clopper and Pearson (1934), Biometrika 26, 404-413.

    Examples
    --------
    >>> low, high = binomial_interval(5, 100)
    >>> round(low, 4), round(high, 4)
    (0.0164, 0.1128)
    """
    tail = (1 - level) / 2
    low = special.betaincinv(happened, trials - happened + 1, tail) if happened else 0.0
    high = 1.0
    if happened < trials:
        high = special.betaincinv(happened + 1, trials - happened, 1 - tail)
    return float(low), float(high)
