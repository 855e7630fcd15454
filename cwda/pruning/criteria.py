r"""Criteria of importance that need the weights alone, and the register of all criteria.

F_j is filter j of a layer as a vector of d = N k^2 weights, j = 1 .. N'. A criterion gives
each filter an importance score; the filters with the smallest scores are pruned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.errors import CriterionError
from cwda.pruning.filters import Filters, nearest

__all__ = [
    "NORM_BASED",
    "Criterion",
    "criteria",
    "criterion",
    "fermat",
    "get_criterion",
    "gm",
    "l1",
    "l2",
    "random",
]

Score = Callable[[Filters], Tensor]

#: The four norm-based criteria of the paper, in the order of its table 2.
NORM_BASED = ("l1", "l2", "gm", "fermat")

# The mean distance from the point found may exceed the minimum by this share at most.
_SUBGRADIENT = 1e-8


@dataclass(frozen=True)
class Criterion:
    """A named way to score the filters of a layer.

    Attributes
    ----------
    name : str
        Name in tables and in the register.
    formula : str
        The score of filter j, in words or symbols.
    score : callable
        From `Filters` to a tensor of N' scores.
    """

    name: str
    formula: str
    score: Score

    def __call__(self, filters: Filters) -> Tensor:
        """The scores, float64, shape (N',).

        Raises
        ------
        CriterionError
            If the criterion does not give one finite score for each filter.
        """
        scores = torch.as_tensor(self.score(filters)).to(filters.values)
        if scores.shape != filters.values.shape[:1]:
            raise CriterionError(
                f"criterion {self.name!r} gives scores of shape {tuple(scores.shape)} for the "
                f"{len(filters.values)} filters of {filters.name!r}"
            )
        if not bool(scores.isfinite().all()):
            raise CriterionError(
                f"criterion {self.name!r} gives scores of {filters.name!r} that are not finite"
            )
        return scores


_REGISTER: dict[str, Criterion] = {}


def criterion(name: str, *, formula: str) -> Callable[[Score], Score]:
    """Register a function from `Filters` to scores as a criterion; a decorator.

    Parameters
    ----------
    name : str
        What the criterion is called from now on.
    formula : str
        The score of filter j.

    Raises
    ------
    CriterionError
        If another function has that name already.

    Examples
    --------
    >>> from cwda.pruning import criteria, criterion
    >>> @criterion("linf", formula="max_p |F_jp|")
    ... def linf(filters):
    ...     return filters.values.abs().amax(1)
    >>> criteria()["linf"]
    'max_p |F_jp|'
    """

    def register(score: Score) -> Score:
        known = _REGISTER.get(name)
        # A cell of a notebook that runs again defines the same function anew.
        if known is not None and _origin(known.score) != _origin(score):
            raise CriterionError(f"there is a criterion {name!r} already; choose another name")
        _REGISTER[name] = Criterion(name, formula, score)
        return score

    return register


def _origin(score: Score) -> tuple[str, str]:
    return score.__module__, getattr(score, "__qualname__", repr(score))


def criteria() -> dict[str, str]:
    """The names of all criteria, and the formula of each.

    Examples
    --------
    >>> from cwda.pruning import criteria
    >>> criteria()["gm"]
    'sum_k ||F_k - F_j||_2'
    """
    return {name: each.formula for name, each in _REGISTER.items()}


def get_criterion(name: str) -> Criterion:
    """The criterion of a name.

    Raises
    ------
    CriterionError
        If there is none; the message names the nearest.
    """
    try:
        return _REGISTER[name]
    except KeyError:
        raise CriterionError(f"no criterion {name!r}{nearest(str(name), _REGISTER)}") from None


def resolve(names: Iterable[str], fewest: int = 1) -> list[Criterion]:
    """The criteria of several names, each once.

    Raises
    ------
    CriterionError
        If one is unknown or named twice, or there are fewer than `fewest`.
    """
    names = [names] if isinstance(names, str) else list(names)
    found = [get_criterion(name) for name in names]
    if len(set(names)) < len(names):
        raise CriterionError(f"a criterion is named twice: {', '.join(names)}")
    if len(found) < fewest:
        raise CriterionError(f"{fewest} criteria or more are needed, not {len(found)}")
    return found


@criterion("l1", formula="||F_j||_1")
def l1(filters: Filters) -> Tensor:
    """Sum of absolute weights, ||F_j||_1 (paper, table 2)."""
    norms: Tensor = torch.linalg.vector_norm(filters.values, ord=1, dim=1)
    return norms


@criterion("l2", formula="||F_j||_2")
def l2(filters: Filters) -> Tensor:
    """Euclidean norm, ||F_j||_2 (paper, table 2)."""
    return torch.linalg.vector_norm(filters.values, dim=1)


@criterion("gm", formula="sum_k ||F_k - F_j||_2")
def gm(filters: Filters) -> Tensor:
    """Sum of the distances to all filters of the layer, sum_k ||F_k - F_j||_2 (paper, table 2).

    Filters near all others are held to be replaceable. Distances are exact to about 1e-12, also
    between near-duplicates and where all filters share a large mean.
    """
    return filters.geometry.distances.sum(1)


@criterion("fermat", formula="||F - F_j||_2, F the geometric median of the layer")
def fermat(filters: Filters) -> Tensor:
    """Distance to the Fermat point F of the layer's filters, ||F - F_j||_2 (paper, table 2).

    F minimises sum_j ||F - F_j||; see `cwda.numerics.geometry.Geometry.median`.

    Raises
    ------
    CriterionError
        If F was not found: the proof of minimality, a subgradient of the mean distance
        shorter than 1e-8, fails.
    """
    median = filters.geometry.median
    if float(median.subgradient) > _SUBGRADIENT:
        raise CriterionError(
            f"the Fermat point of {filters.name!r} was not found in {median.steps} steps "
            f"(subgradient {float(median.subgradient):.1e})"
        )
    return median.distances


@criterion("random", formula="uniform on [0, 1), seeded by the layer's name")
def random(filters: Filters) -> Tensor:
    """Uniform random scores, the baseline: the same ones whenever the layer's name is."""
    digest = hashlib.sha256(filters.name.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    return torch.rand(len(filters.values), generator=generator, dtype=torch.float64)
