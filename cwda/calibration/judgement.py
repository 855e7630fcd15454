"""From counts to rates with binomial intervals, and the verdict on each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cwda.answers import column
from cwda.calibration.blocks import Case, Tally
from cwda.calibration.designs import DESIGNS, Size
from cwda.calibration.procedure import ALPHA, Procedure
from cwda.calibration.procedures import PROCEDURES
from cwda.numerics.proportions import clopper_pearson_interval

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEVEL", "TOLERANCE", "VERDICTS", "Rate", "judge", "rates", "size_of", "summarise"]

#: An error may differ from its nominal value by this share: .03 to .07 for a test at .05.
TOLERANCE = 0.4

#: Level of the interval of each rate.
LEVEL = 0.95

VERDICTS: tuple[str, ...] = ("ok", "undecided", "too conservative", "too liberal")

#: Measures whose nominal error is a bound from above only.
_BOUNDED = ("lower limit", "upper limit", "holds", "fails")


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
        '"ok" if the whole interval keeps the error within 40 % of its nominal value (.03 to .07 '
        'for .05), "too liberal" or "too conservative" if all of it lies beyond, else '
        '"undecided"; for limits and false verdicts the nominal value is a bound from above'
    )


def rates(tallies: Mapping[Case, Tally]) -> list[Rate]:
    """The rates of all cases, in the order of procedures, designs and sizes.

    The intervals are Clopper and Pearson's (1934).
    """
    places = {name: place for place, name in enumerate((*PROCEDURES, *DESIGNS))}
    counted = [
        (case, tallies[case], measure, happened, defined)
        for case in sorted(tallies, key=lambda c: (places[c.procedure], places[c.design], c.size))
        for measure, (happened, defined) in tallies[case].counts.items()
    ]
    happened, defined = (np.array([entry[i] for entry in counted], dtype=float) for i in (3, 4))
    low, high = clopper_pearson_interval(happened, defined, LEVEL)
    return [
        _rate(*entry, float(low[place]), float(high[place])) for place, entry in enumerate(counted)
    ]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Verdicts on each procedure within its domain; columns as of `CalibrationResult.summary`."""
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


def _rate(
    case: Case, tally: Tally, measure: str, happened: int, defined: int, low: float, high: float
) -> Rate:
    procedure, design = PROCEDURES[case.procedure], DESIGNS[case.design]
    domain = procedure.domain if measure == "test" else procedure.interval_domain
    nominal = _nominal(procedure, case, tally.truth.value, measure)
    return Rate(
        procedure=case.procedure,
        measure=measure,
        design=case.design,
        n_filters=case.size.n_filters,
        channels=case.size.channels,
        kernel_size=case.size.kernel_size,
        truth=tally.truth.value,
        truth_error=tally.truth.error,
        replicates=defined,
        rate=happened / defined,
        low=low,
        high=high,
        nominal=nominal,
        domain="inside" if (design, case.size) in domain else "outside",
        verdict=judge(measure, low, high, nominal, at_most=procedure.at_most),
    )


def _nominal(procedure: Procedure, case: Case, truth: float, measure: str) -> float:
    """The nominal rate; NaN where the right rate is not set, such as for a power."""
    at_margin = math.isclose(truth, procedure.margin)
    if measure == "test":
        return ALPHA if procedure.null(DESIGNS[case.design], case.size) else math.nan
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
