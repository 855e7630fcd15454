"""Kolmogorov's distance between the law of a sample and another law."""

from __future__ import annotations

import math

import torch
from scipy import special
from torch import Tensor

from cwda.numerics.normality.sorting import sort_rows

__all__ = ["MOST_UNIFORM", "largest_deviation", "uniform_pvalue"]

#: Weights that the test of uniformity looks at.
MOST_UNIFORM = 10_000


def largest_deviation(probability: Tensor, before: int, n: int) -> Tensor:
    """sup |F_n - Phi| over columns before + 1, ... of sorted rows, from Phi(z) there.

    Both one-sided suprema; among equal values the largest rank gives F_n at the value and the
    smallest its limit from below, so ties need no care.
    """
    c = probability.shape[1]
    rank = torch.arange(before, before + c + 1, dtype=probability.dtype, device=probability.device)
    share = rank / n
    above = (share[1:] - probability).amax(1)
    below = (probability - share[:-1]).amax(1)
    return torch.maximum(above, below)


def uniform_pvalue(weights: Tensor) -> float:
    """p-value that all weights are independent draws of one uniform law with unknown ends.

    Given the smallest and the largest weight the others are uniform between them: an exact
    Kolmogorov-Smirnov test, on an even stride of at most 10,000 weights, by the limiting law
    with Stephens' correction for n.
    """
    flat = weights.reshape(-1)
    low, high = (float(end) for end in flat.aminmax())
    step = -(-len(flat) // MOST_UNIFORM)
    some = flat[::step].double()
    some = some[(some > low) & (some < high)]
    n = len(some)
    if n < 2:
        return 0.0 if len(flat) > 2 else math.nan  # two values alone are not uniform
    ordered = sort_rows(((some - low) / (high - low))[None])
    root = math.sqrt(n)
    distance = float(largest_deviation(ordered, 0, n))
    return float(special.kolmogorov((root + 0.12 + 0.11 / root) * distance))
