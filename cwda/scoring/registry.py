"""The register of criteria: a name, a formula, and a function from filters to scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.arguments import as_list
from cwda.errors import CriterionError, nearest
from cwda.scoring.filters import Filters
from cwda.scoring.statistics.one_pass import validated_needs

__all__ = ["Criterion", "criteria", "criterion", "get_criterion", "resolve"]

Score = Callable[[Filters], Tensor]


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
    needs : frozenset of str
        What it reads beyond the weights: keys of `cwda.pruning.NEEDS`.
    """

    name: str
    formula: str
    score: Score
    needs: frozenset[str] = frozenset()

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


def criterion(
    name: str, *, formula: str, needs: str | Iterable[str] = ()
) -> Callable[[Score], Score]:
    """Register a function from `Filters` to scores as a criterion; a decorator.

    Parameters
    ----------
    name : str
        What the criterion is called from now on.
    formula : str
        The score of filter j.
    needs : str or iterable of str
        What it reads beyond the weights: keys of `cwda.pruning.NEEDS`, the attributes of
        `Filters` that a pass over the data fills.

    Raises
    ------
    CriterionError
        If another function has that name already, or a need is unknown.

    Examples
    --------
    >>> from cwda.scoring import criteria, criterion
    >>> @criterion("linf", formula="max_p |F_jp|")
    ... def linf(filters):
    ...     return filters.values.abs().amax(1)
    >>> criteria()["linf"]
    'max_p |F_jp|'
    >>> @criterion("rms", formula="root mean square activation", needs="activations")
    ... def rms(filters):
    ...     return filters.activations.mean_square.sqrt()
    """
    reads = validated_needs(needs)

    def register(score: Score) -> Score:
        known = _REGISTER.get(name)
        # A cell of a notebook that runs again defines the same function anew.
        if known is not None and _origin(known.score) != _origin(score):
            raise CriterionError(f"there is a criterion {name!r} already; choose another name")
        _REGISTER[name] = Criterion(name, formula, score, reads)
        return score

    return register


def _origin(score: Score) -> tuple[str, str]:
    return score.__module__, getattr(score, "__qualname__", repr(score))


def criteria() -> dict[str, str]:
    """The names of all criteria, and the formula of each.

    Examples
    --------
    >>> from cwda.scoring import criteria
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
    (name,) = as_list([name], "criterion", CriterionError)
    if name not in _REGISTER:
        raise CriterionError(f"no criterion {name!r}{nearest(name, _REGISTER)}")
    return _REGISTER[name]


def resolve(names: Iterable[str], fewest: int = 1) -> list[Criterion]:
    """The criteria of several names, each once.

    Raises
    ------
    CriterionError
        If one is unknown or named twice, or there are fewer than `fewest`.
    """
    names = as_list(names, "criterion", CriterionError)
    found = [get_criterion(name) for name in names]
    if len(set(names)) < len(names):
        raise CriterionError(f"a criterion is named twice: {', '.join(names)}")
    if len(found) < fewest:
        raise CriterionError(f"{fewest} criteria or more are needed, not {len(found)}")
    return found
