"""Which cluster is right, where the loss without filters has been measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cwda.comparison import Validity
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


def most_right(stands: Sequence[str], right: Mapping[str, Right]) -> int:
    """The place of the stand-in to be advised, of those that are in the order of their costs.

    It is the first, unless the one with the highest coefficient has an interval above the
    coefficient of the first and above 0.

    Examples
    --------
    >>> known = {"l2": Right(0.2, 0.1, 0.3), "apoz": Right(0.6, 0.4, 0.8)}
    >>> most_right(["l2", "apoz"], known), most_right(["l2", "apoz"], {})
    (1, 0)
    """
    values = [right.get(name, Right()) for name in stands]
    if not values or math.isnan(values[0].validity):
        return 0
    best = max(range(len(values)), key=lambda at: _or_least(values[at].validity))
    return best if values[best].validity_low > max(values[0].validity, 0.0) else 0


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value
