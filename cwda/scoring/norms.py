"""Criteria of importance that need the weights alone (paper, table 2).

F_j is filter j of a layer as a vector of d = N k^2 weights, j = 1 .. N'. A criterion gives
each filter an importance score; the filters with the smallest scores are pruned.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from cwda.errors import CriterionError
from cwda.numerics.distances.cityblock import cityblock_sums
from cwda.scoring.filters import Filters
from cwda.scoring.registry import Style, criterion

# A Fermat point is refused if its proof of minimality leaves a longer subgradient than this.
_SUBGRADIENT = 1e-8


@criterion("l1", formula="||F_j||_1", paper=True, style=Style("#0072B2", "o"))
def l1(filters: Filters) -> Tensor:
    """Sum of absolute weights, ||F_j||_1 (paper, table 2)."""
    norms: Tensor = torch.linalg.vector_norm(filters.values, ord=1, dim=1)
    return norms


@criterion("l2", formula="||F_j||_2", paper=True, style=Style("#D55E00", "s"))
def l2(filters: Filters) -> Tensor:
    """Euclidean norm, ||F_j||_2 (paper, table 2)."""
    norms: Tensor = torch.linalg.vector_norm(filters.values, dim=1)
    return norms


@criterion("gm", formula="sum_k ||F_k - F_j||_2", paper=True, style=Style("#009E73", "^"))
def gm(filters: Filters) -> Tensor:
    """Sum of the distances to all filters of the layer, sum_k ||F_k - F_j||_2 (paper, table 2).

    Filters close to all others are considered replaceable. Distances are exact to about 1e-12, also
    between near-duplicates and where all filters share a large mean.
    """
    return filters.distance_sums


@criterion(
    "fermat",
    formula="||F - F_j||_2, F the geometric median of the layer",
    paper=True,
    style=Style("#CC79A7", "D"),
)
def fermat(filters: Filters) -> Tensor:
    """Distance to the Fermat point F of the layer's filters, ||F - F_j||_2 (paper, table 2).

    F minimises sum_j ||F - F_j||; see `cwda.numerics.distances.geometry.Geometry.median`.

    Raises
    ------
    CriterionError
        If F was not found: the proof of minimality, a subgradient of the mean distance
        shorter than 1e-8, fails.
    """
    median = filters.median
    if float(median.subgradient) > _SUBGRADIENT:
        raise CriterionError(
            f"the Fermat point of {filters.name!r} was not found in {median.steps} steps "
            f"(subgradient {float(median.subgradient):.1e})"
        )
    return median.distances


@criterion("gm_cityblock", formula="sum_k ||F_k - F_j||_1")
def gm_cityblock(filters: Filters) -> Tensor:
    """Sum of the city-block distances to all filters of the layer, sum_k ||F_k - F_j||_1.

    The paper's table 1 lists under GM the filters that this criterion prunes first, not those
    of `gm`, the formula of its table 2; see ``docs/criteria.md``.
    """
    return cityblock_sums(filters.values)


@criterion(
    "random", formula="uniform on [0, 1), seeded by the layer's name", style=Style("#767676", "*")
)
def random(filters: Filters) -> Tensor:
    """Uniform random scores, the baseline: the same for every layer of the same name."""
    digest = hashlib.sha256(filters.name.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.rand(len(filters.values), generator=generator, dtype=torch.float64)


#: The criteria of this file, in the order of tables.
OF_WEIGHTS = (l1, l2, gm, fermat, gm_cityblock, random)
