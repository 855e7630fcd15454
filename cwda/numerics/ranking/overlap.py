"""How far two rankings agree at their low end, where filters are pruned.

Scores come as rows, (C, n), and are compared pairwise, (C, C). Equal scores are taken in
the order of their indices, as a pruning tool takes them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cwda.numerics.ranking.ranks import ascending

__all__ = ["lowest_count", "lowest_overlap", "rank_biased_overlap"]


def lowest_count(n: int, ratio: float) -> int:
    """How many of n items a ratio means: the whole part of ratio n.

    Examples
    --------
    >>> from cwda.numerics.ranking.overlap import lowest_count
    >>> lowest_count(64, 0.3), lowest_count(100, 0.29)
    (19, 29)
    """
    return math.floor(ratio * n + 1e-9)  # .29 * 100 is 28.999...


def _places(scores: Tensor) -> Tensor:
    """Place of each item, 0 for the lowest; NaN scores are not allowed."""
    order = ascending(scores)
    places = torch.arange(scores.shape[-1], device=scores.device).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)


def lowest_overlap(scores: Tensor, ratio: float) -> Tensor:
    """Jaccard index of the sets of lowest scores, (C, n) -> (C, C).

    J_ab = |A & B| / |A | B|, A and B the `lowest_count` items of rows a and b. NaN where
    the ratio means no item at all.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.ranking.overlap import lowest_overlap
    >>> lowest_overlap(torch.tensor([[1.0, 2, 3, 4], [1.0, 3, 2, 4]]), 0.5)[0, 1]
    tensor(0.3333, dtype=torch.float64)
    """
    count = lowest_count(scores.shape[-1], ratio)
    member = (_places(scores) < count).to(torch.float64)
    common = member @ member.T
    return common / (2 * count - common)


def rank_biased_overlap(scores: Tensor, persistence: float = 0.9) -> Tensor:
    r"""Extrapolated rank-biased overlap from the lowest score up, (C, n) -> (C, C).

    RBO_ext = p^n X_n / n + (1 - p)/p sum_{d=1}^{n} p^d X_d / d,  X_d the number of items
    common to the d lowest of both rows; X_n = n, as both rows rank the same items. It lies
    in [0, 1]; p = `persistence` = .9 gives the first ten places 86 % of the weight.

    References
    ----------
    Webber, Moffat and Zobel (2010), A similarity measure for indefinite rankings, ACM TOIS
    28(4), equation 32.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.ranking.overlap import rank_biased_overlap
    >>> rank_biased_overlap(torch.tensor([[1.0, 2, 3], [2.0, 1, 3]]))
    tensor([[1.0000, 0.9000],
            [0.9000, 1.0000]], dtype=torch.float64)
    """
    n = scores.shape[-1]
    places = _places(scores)
    depth = torch.arange(1, n + 1, dtype=torch.float64, device=scores.device)
    # An item is common from the depth at which it has appeared in both rows, and adds
    # p^d / d at that and every greater depth.
    tail = (persistence**depth / depth).flip(0).cumsum(0).flip(0)
    appears = torch.maximum(places.unsqueeze(1), places.unsqueeze(0))
    return persistence**n + (1 - persistence) / persistence * tail[appears].sum(-1)
