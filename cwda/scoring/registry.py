"""The register of criteria: what each is called, computes, needs and looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from cwda.arguments import as_list
from cwda.errors import CriterionError, CwdaError, is_ours, nearest, reason_of
from cwda.numerics.device import is_out_of_memory
from cwda.scoring.filters import Filters
from cwda.scoring.statistics.statistic import NEEDS, Needs, OfBatchNorm, needed

__all__ = [
    "Criteria",
    "Criterion",
    "Style",
    "arrange",
    "criteria",
    "criterion",
    "get_criterion",
    "registered",
    "resolve",
    "style_of",
    "unsteady",
]

Score = Callable[[Filters], Tensor]


class Style(NamedTuple):
    """How figures draw a criterion: a colour and a marker of matplotlib."""

    colour: str
    marker: str


@dataclass(frozen=True, eq=False)
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
        What it reads beyond the weights: names in `cwda.scoring.NEEDS`.
    paper : bool
        Whether it is one of the ten criteria that the paper compares.
    style : Style or None
        How figures draw it; None leaves the choice to them.
    unsteady : str
        Why its scores do not become the more repeatable the more images there are, so that
        Spearman and Brown's formula says nothing of it; empty if it does.
    """

    name: str
    formula: str
    score: Score
    needs: frozenset[str] = frozenset()
    paper: bool = False
    style: Style | None = None
    unsteady: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.score.__doc__)

    @property
    def needs_images(self) -> bool:
        """Whether its scores depend on images: they then differ from draw to draw."""
        return any(not isinstance(NEEDS[name], OfBatchNorm) for name in self.needs)

    def __call__(self, filters: Filters) -> Tensor:
        """The scores, float64, shape (N',).

        Raises
        ------
        CriterionError
            If the criterion does not give one finite score for each filter.
        """
        scores = self._computed(filters).to(filters.values)
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

    def _computed(self, filters: Filters) -> Tensor:
        """What its function gives; where a user's own fails, a line that says in which layer."""
        try:
            values = self.score(filters if is_ours(self.score) else filters.guest())
        except CwdaError:
            raise
        except Exception as error:
            if is_ours(self.score) or is_out_of_memory(error):
                raise
            raise CriterionError(
                f"criterion {self.name!r} fails in {filters.name!r} "
                f"({type(error).__name__}: {reason_of(error)})"
            ) from error
        try:
            scores = torch.as_tensor(values).detach()
        except (TypeError, ValueError, RuntimeError):
            scores = None
        if scores is None or scores.is_complex():
            kind = type(values).__name__ if scores is None else "complex numbers"
            raise CriterionError(
                f"criterion {self.name!r} gives {kind}, not one real score for each filter"
            )
        return scores

    def __repr__(self) -> str:
        return f"Criterion({self.name!r}, {self.formula!r})"


#: One criterion or several, by their names or as such.
Criteria: TypeAlias = str | Criterion | Iterable[str | Criterion]

_REGISTER: dict[str, Criterion] = {}


def criterion(
    name: str,
    *,
    formula: str,
    needs: Needs = (),
    paper: bool = False,
    style: Style | None = None,
    unsteady: str = "",
) -> Callable[[Score], Criterion]:
    """Make a criterion of a function from `Filters` to scores, and register it; a decorator.

    Parameters
    ----------
    name : str
        What the criterion is called from now on.
    formula : str
        The score of filter j.
    needs : str, Statistic or iterable of these
        What it reads beyond the weights: names in `cwda.scoring.NEEDS`, which are the attributes
        of `Filters` that a pass over the data fills, or statistics.
    paper : bool
        Whether it is one of the ten criteria that the paper compares.
    style : Style or None
        The colour and the marker that figures draw it with.
    unsteady : str
        Why more images do not make its scores more repeatable; empty if they do.

    Raises
    ------
    CriterionError
        If the name is not a text or another function has it already, or a need is unknown.

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
    if not isinstance(name, str) or not name.strip():
        raise CriterionError(f"the name of a criterion is a text, not {name!r:.60}")
    names = needed(needs)

    def register(score: Score) -> Criterion:
        if not callable(score):
            raise CriterionError(f"criterion {name!r} needs a function from Filters to scores")
        score = score.score if isinstance(score, Criterion) else score
        present = _REGISTER.get(name)
        # A cell of a notebook that runs again defines the same function anew.
        if present is not None and _origin(present.score) != _origin(score):
            raise CriterionError(f"there is a criterion {name!r} already; choose another name")
        _REGISTER[name] = Criterion(name, str(formula), score, names, paper, style, unsteady)
        return _REGISTER[name]

    return register


def _origin(score: Score) -> tuple[str, str]:
    return score.__module__, getattr(score, "__qualname__", repr(score))


def registered() -> list[Criterion]:
    """All criteria: those of the package in their order, then the users' own."""
    return list(_REGISTER.values())


def arrange(first: Iterable[Criterion]) -> None:
    """Put these criteria first, in this order."""
    others = dict(_REGISTER)
    _REGISTER.clear()
    _REGISTER.update({criterion.name: criterion for criterion in first} | others)


def criteria() -> dict[str, str]:
    """The names of all criteria, and the formula of each.

    Examples
    --------
    >>> from cwda.scoring import criteria
    >>> criteria()["gm"]
    'sum_k ||F_k - F_j||_2'
    """
    return {criterion.name: criterion.formula for criterion in registered()}


def style_of(name: str) -> Style | None:
    """How figures draw a criterion; None for those without a style, and for unknown names."""
    return _REGISTER[name].style if name in _REGISTER else None


def unsteady(name: str) -> str:
    """Why more images do not make a criterion more repeatable; empty if they do, or unknown."""
    return _REGISTER[name].unsteady if name in _REGISTER else ""


def get_criterion(name: str) -> Criterion:
    """The criterion of a name.

    Raises
    ------
    CriterionError
        If there is none; the message names the nearest.
    """
    (name,) = as_list([name], "criterion", CriterionError)
    if name not in _REGISTER:
        raise CriterionError(f"no criterion {name!r}{nearest(name, criteria())}")
    return _REGISTER[name]


def resolve(criteria: Criteria, fewest: int = 1) -> list[Criterion]:
    """Criteria given by their names or as such, each once.

    Raises
    ------
    CriterionError
        If one is unknown, two share one name, or there are fewer than `fewest`.
    """
    given = criteria
    if isinstance(given, str | Criterion) or not isinstance(given, Iterable):
        given = [given]
    by_name: dict[str, Criterion] = {}
    for one in given:
        criterion = one if isinstance(one, Criterion) else get_criterion(one)
        if by_name.setdefault(criterion.name, criterion) is not criterion:
            raise CriterionError(f"two criteria are called {criterion.name!r}; rename yours")
    if len(by_name) < fewest:
        given = f" ({', '.join(by_name)})" if by_name else ""
        raise CriterionError(f"{fewest} criteria or more are needed, not {len(by_name)}{given}")
    return list(by_name.values())
