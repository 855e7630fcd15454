"""From counts to rates with binomial intervals, and the verdict on each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cwda.answers import column
from cwda.calibration.blocks import Case, Tally
from cwda.calibration.designs import DESIGNS
from cwda.calibration.laws import SimulatedLaw, Size
from cwda.calibration.procedure import ALPHA, Procedure, Truth
from cwda.calibration.procedures import PROCEDURES
from cwda.numerics.proportions import clopper_pearson_interval

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LEVEL",
    "VERDICTS",
    "Rate",
    "judge",
    "rates",
    "size_of",
    "summarise",
    "worst_cells",
]

#: An error of a nominal 5 % or less may differ from it by this share: .03 to .07 for .05.
TOLERANCE = 0.4

#: An interval at .90 may cover as seldom as this, and is conservative above the other.
LEAST_COVERAGE, CONSERVATIVE_COVERAGE = 0.87, 0.97

#: Level of the interval of each rate.
LEVEL = 0.95

VERDICTS: tuple[str, ...] = ("ok", "undecided", "conservative", "too liberal")

#: Measures whose nominal error is a bound from above only.
_LIMITS = ("lower limit", "upper limit")
_FALSE_VERDICTS = ("holds", "fails")


@dataclass(frozen=True)
class Rate:
    """How often something happened in the replicates of one procedure, design and size."""

    procedure: str = column("the test or interval")
    measure: str = column(
        '"test" (share of p <= .05), "interval" (share that covers the truth), "lower limit" and '
        '"upper limit" (share that misses it on that side), "holds" and "fails" (share of verdicts)'
    )
    design: str = column("the law from which layers are drawn")
    n_filters: int = column("number of filters")
    channels: int = column("input channels of each filter")
    kernel_size: int = column("positions of the kernel")
    truth: float = column("the true effect")
    truth_error: float = column("its standard error; 0 where it is exact")
    replicates: int = column("layers drawn for which the measure is defined")
    rate: float = column("share of them in which it happened")
    low: float = column("lower limit of its 95 % Clopper-Pearson interval")
    high: float = column("upper limit of the same interval")
    nominal: float = column("the rate that is claimed; NaN where the rate is a power")
    domain: str = column('"inside" where the procedure claims its error, or "outside"')
    verdict: str = column(
        '"ok" if the whole interval keeps within the bounds, "too liberal" or "conservative" if '
        'all of it lies beyond, else "undecided": .03 to .07 for a test, .87 to .97 for an '
        "interval at .90, at most .07 for a limit and a false verdict; a false verdict is too "
        "liberal as soon as the whole interval lies above .05"
    )


def rates(tallies: Mapping[Case, Tally]) -> list[Rate]:
    """The rates of all cases, in the order of procedures, designs and sizes.

    The intervals are Clopper and Pearson's (1934).
    """
    procedures, designs = dict(PROCEDURES), dict(DESIGNS)
    places = {name: place for place, name in enumerate((*procedures, *designs))}
    counted = [
        (case, tallies[case].truth, measure, happened, defined)
        for case in sorted(tallies, key=lambda c: (places[c.procedure], places[c.design], c.size))
        for measure, (happened, defined) in tallies[case].counts.items()
    ]
    happened, defined = (np.array([entry[i] for entry in counted], dtype=float) for i in (3, 4))
    low, high = clopper_pearson_interval(happened, defined, LEVEL)
    return [
        _rate(
            procedures[case.procedure],
            designs[case.design],
            case,
            truth,
            measure,
            number,
            of,
            *ends,
        )
        for (case, truth, measure, number, of), *ends in zip(
            counted, low.tolist(), high.tolist(), strict=True
        )
    ]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Verdicts on each procedure within its domain; columns as of `CalibrationResult.summary`."""
    import pandas as pd

    judged = rows[(rows["domain"] == "inside") & rows["nominal"].notna()]
    lines = []
    for (procedure, measure), group in judged.groupby(["procedure", "measure"], sort=False):
        counts = group["verdict"].value_counts()
        worst = group.loc[_excess(group, str(measure)).idxmax()]
        lines.append(
            {
                "procedure": procedure,
                "measure": measure,
                "nominal": group["nominal"].min(),
                "cells": len(group),
                **{word.replace(" ", "_"): int(counts.get(word, 0)) for word in VERDICTS},
                "lowest": group["rate"].min(),
                "highest": group["rate"].max(),
                "worst": f"{worst['design']}, {size_of(worst)}",
            }
        )
    return pd.DataFrame(lines)


def _excess(group: pd.DataFrame, measure: str) -> pd.Series:
    """By how much each rate is sure to err too often; for tests, too seldom as well."""
    if measure == "interval":
        return group["nominal"] - group["high"]
    excess = group["low"] - group["nominal"]
    return excess.combine(group["nominal"] - group["high"], max) if measure == "test" else excess


def worst_cells(rows: pd.DataFrame) -> list[str]:
    """One sentence per procedure: what it does worst within its domain, and where.

    Examples
    --------
    >>> import cwda.calibration
    >>> sentences = worst_cells(cwda.calibration.published().table)
    >>> sentences[0].startswith("gaussianity")
    True
    """
    judged = rows[(rows["domain"] == "inside") & rows["nominal"].notna()]
    sentences = []
    for procedure, group in judged.groupby("procedure", sort=False):
        parts = []
        for measure, text in _IN_WORDS.items():
            cells = group[group["measure"] == measure]
            if len(cells):
                cell = cells.loc[_excess(cells, measure).idxmax()]
                parts.append(
                    f"{text} {cell['rate']:.3f} ({cell['low']:.3f} to {cell['high']:.3f}, "
                    f"{cell['verdict']}) for {cell['design']}, {size_of(cell)}"
                )
        sentences.append(f"{procedure}, worst: " + "; ".join(parts) + ".")
    return sentences


_IN_WORDS: Mapping[str, str] = {
    "test": "the test rejects a true hypothesis in",
    "interval": "the interval covers in",
    "holds": 'a false "holds" in',
    "fails": 'a false "fails" in',
}


def size_of(row: Any) -> str:
    """The size of a row of the table, as ``64x16x9``."""
    return str(Size(row["n_filters"], row["channels"], row["kernel_size"]))


def _rate(
    procedure: Procedure,
    design: SimulatedLaw,
    case: Case,
    truth: Truth,
    measure: str,
    happened: int,
    defined: int,
    low: float,
    high: float,
) -> Rate:
    domain = procedure.domain if measure == "test" else procedure.interval_domain
    nominal = _nominal(procedure, design, case.size, truth, measure)
    return Rate(
        procedure=case.procedure,
        measure=measure,
        design=case.design,
        n_filters=case.size.n_filters,
        channels=case.size.channels,
        kernel_size=case.size.kernel_size,
        truth=truth.value,
        truth_error=truth.error,
        replicates=defined,
        rate=happened / defined,
        low=low,
        high=high,
        nominal=nominal,
        domain="inside" if (design, case.size) in domain else "outside",
        verdict=judge(measure, low, high, nominal, at_most=procedure.at_most),
    )


def _nominal(
    procedure: Procedure, design: SimulatedLaw, size: Size, truth: Truth, measure: str
) -> float:
    """The nominal rate; NaN where the right rate is not set, such as for a power."""
    # A truth that was measured is no better known than its error.
    at_margin = math.isclose(truth.value, procedure.margin) or (
        abs(truth.value - procedure.margin) <= 2 * truth.error
    )
    if measure == "test":
        return ALPHA if procedure.null(design, size) else math.nan
    if measure == "interval":
        # At the end of the range only one limit can miss.
        at_end = procedure.one_sided and truth.value == 0
        return (1 + procedure.level) / 2 if at_end else procedure.level
    if measure == "holds":
        return ALPHA if truth.value > procedure.margin or at_margin else math.nan
    if measure == "fails":
        return ALPHA if truth.value < procedure.margin or at_margin else math.nan
    return (1 - procedure.level) / 2


def judge(measure: str, low: float, high: float, nominal: float, *, at_most: bool = False) -> str:
    """Verdict on a rate with its interval; empty where there is no nominal rate.

    With `at_most`, and for limits and false verdicts, the nominal rate is a bound from above.
    A false verdict is held to it strictly: it is too liberal where the whole interval lies
    above the nominal rate itself.

    Examples
    --------
    >>> judge("test", 0.04, 0.06, 0.05), judge("test", 0.01, 0.02, 0.05)
    ('ok', 'conservative')
    >>> judge("interval", 0.80, 0.85, 0.90), judge("interval", 0.88, 0.93, 0.90)
    ('too liberal', 'ok')
    >>> judge("holds", 0.00, 0.07, 0.05), judge("holds", 0.051, 0.06, 0.05)
    ('ok', 'too liberal')
    """
    if math.isnan(nominal):
        return ""
    if measure == "interval":
        low, high, nominal = 1 - high, 1 - low, 1 - nominal
    least, most = _bounds(round(nominal, 12))
    if low > (nominal if measure in _FALSE_VERDICTS else most):
        return "too liberal"
    if at_most or measure in (*_LIMITS, *_FALSE_VERDICTS):
        return "ok" if high <= most else "undecided"
    if high < least:
        return "conservative"
    # An interval may cover more often than it says: that is named only where it is sure.
    return "ok" if high <= most and (low >= least or measure == "interval") else "undecided"


def _bounds(nominal: float) -> tuple[float, float]:
    """The least and the most that an error may be."""
    if nominal > ALPHA:
        return round(1 - CONSERVATIVE_COVERAGE, 12), round(1 - LEAST_COVERAGE, 12)
    return round((1 - TOLERANCE) * nominal, 12), round((1 + TOLERANCE) * nominal, 12)
