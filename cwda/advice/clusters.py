"""Criteria that prune the same filters, as clusters, and the stand-in of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from cwda.advice.agreement import Array
from cwda.advice.costs import COSTS

__all__ = ["NOISY", "PLACED", "SAME", "clusters", "stand_in"]

#: Criteria stand for one another from this kappa on: seven of eight filters are the same when half
#: are pruned. Norms with the reliabilities of four CIFAR-10 ResNets, .53 to .81 (medians over
#: layers), would agree with themselves by a kappa of .36 to .60 if the same filters were drawn
#: afresh; what agrees better than that is one ranking for all purposes.
SAME = 0.75

#: A criterion whose latent scores correlate less than this with those of another draw of images
#: is too noisy to be placed: the correction would more than halve the distance to 1.
PLACED = 0.5

#: Below this reliability a criterion has a cluster of its own only where it is shown to differ.
NOISY = 0.9

# Distances closer than this are equal.
_ROUNDING = 1e-9


def clusters(agreement: Array, same: float = SAME) -> list[list[int]]:
    """Complete linkage of 1 - agreement, cut at 1 - `same`.

    Any two criteria of a cluster agree by `same` or more. An agreement that is undefined joins
    nobody. Clusters, and criteria within them, are in the order given.

    Examples
    --------
    >>> clusters(np.array([[1, 0.2, 0.9], [0.2, 1, 0.3], [0.9, 0.3, 1]]))
    [[0, 2], [1]]
    """
    n = len(agreement)
    if n < 2:
        return [[at] for at in range(n)]
    distance = np.nan_to_num(1 - (agreement + agreement.T) / 2, nan=2.0).clip(0.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "complete")
    labels = fcluster(tree, 1 - same + _ROUNDING, "distance")
    groups = [[at for at in range(n) if labels[at] == label] for label in np.unique(labels)]
    return sorted(groups)


def stand_in(members: Sequence[int], costs: Sequence[str], agreement: Array) -> int:
    """The cheapest of a cluster; of several, the one that agrees most with the others.

    Examples
    --------
    >>> agreement = np.array([[1, 0.8, 0.9], [0.8, 1, 0.9], [0.9, 0.9, 1]])
    >>> stand_in([0, 1, 2], ["filter", "filter", "gradients"], agreement)
    0
    >>> stand_in([0, 1, 2], ["filter", "filter", "filter"], agreement)
    2
    """

    def rank(at: int) -> tuple[int, float]:
        others = [agreement[at, other] for other in members if other != at]
        return COSTS.index(costs[at]), -round(float(np.mean(others or [1.0])), 9)

    return min(members, key=rank)
