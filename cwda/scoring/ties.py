"""Scores that differ by no more than the storage of the weights rounds off are equal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cwda.scoring.filters import Filters
from cwda.scoring.registry import Criterion
from cwda.scoring.statistics.batchnorm import BATCHNORM

__all__ = ["resolution", "tied"]

#: Units in the last place by which two stored numbers may differ and be the same one.
UNITS = 4.0


def resolution(criterion: Criterion, filters: Filters, stored: torch.dtype) -> float:
    """The relative difference of two scores that rounding may make; 0 where images decide.

    A sum over d weights, each rounded to eps, is off by a share of eps / sqrt(d).

    Parameters
    ----------
    criterion : Criterion
        From weights, or from BatchNorm.
    filters : Filters
        N' filters of d weights.
    stored : torch.dtype
        In which the weights are stored.
    """
    if not criterion.needs:
        eps = torch.finfo(stored).eps if stored.is_floating_point else 0.0
        return UNITS * eps / math.sqrt(filters.values.shape[1])
    if set(criterion.needs) == {BATCHNORM.name}:
        return UNITS * torch.finfo(filters.batchnorm.stored).eps
    return 0.0


def tied(scores: Tensor, resolution: float) -> Tensor:
    """Scores closer than a relative difference are given one value, the smallest of them.

    From below: the smallest score takes all within the resolution with it, and so on.

    Examples
    --------
    >>> tied(torch.tensor([1.0, 1.0 + 1e-9, 2.0, -1.0]).double(), 1e-8).tolist()
    [1.0, 1.0, 2.0, -1.0]
    """
    ordered, places = scores.sort()
    gaps = ordered.diff() <= resolution * ordered[1:].abs()
    if not bool(gaps.any()):
        return scores
    values = ordered.tolist()
    first = values[0]
    for place in range(1, len(values)):
        if values[place] - first <= resolution * max(abs(values[place]), abs(first)):
            values[place] = first
        else:
            first = values[place]
    return torch.empty_like(scores).scatter_(0, places, ordered.new_tensor(values))
