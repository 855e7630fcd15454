"""Which cluster is right, where the loss without filters has been measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from cwda.comparison import Validity
from cwda.comparison.validation.oracle import disattenuated_difference
from cwda.scoring.catalogue import RANDOM

__all__ = ["Right", "most_right", "right_of"]


class Right(NamedTuple):
    """Pooled rank correlation of a criterion with the loss when filters are removed."""

    validity: float = math.nan
    validity_low: float = math.nan
    validity_high: float = math.nan


def right_of(validity: Validity | None) -> dict[str, Right]:
    """By criterion, without the noise of the images; empty where it was not measured."""
    if validity is None or not validity.rows:
        return {}
    return {
        row.criterion: Right(float(row.pooled), float(row.pooled_low), float(row.pooled_high))
        for row in validity.summary().itertuples()
        if row.criterion != RANDOM
    }


def most_right(stands: Sequence[str], validity: Validity | None) -> int:
    """The place of the stand-in to be advised, of those that are in the order of their costs.

    It is the first, unless the one with the highest coefficient has an interval above 0, and so
    has its difference from the first over the layers that both rank.
    """
    right = right_of(validity)
    values = [right.get(name, Right()) for name in stands]
    if validity is None or not values or math.isnan(values[0].validity):
        return 0
    best = max(range(len(values)), key=lambda at: _or_least(values[at].validity))
    if best == 0 or not values[best].validity_low > 0:
        return 0
    _, low, _ = _difference(validity, stands[best], stands[0])
    return best if low > 0 else 0


def _difference(validity: Validity, first: str, second: str) -> tuple[float, float, float]:
    """Of the pooled coefficients of two criteria, with limits."""
    columns = ["spearman", "half_reliability", "oracle_half_reliability"]
    table = validity.table.dropna(subset=columns).set_index("layer")
    one, other = (table.loc[table["criterion"] == name, columns] for name in (first, second))
    layers = one.index.intersection(other.index)
    (a, b, c), (d, e, f) = (each.loc[layers].to_numpy().T for each in (one, other))
    return disattenuated_difference((a, b, c), (d, e, f), validity.level)


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value
