"""Whether weights are like those of a trained network, or of an untrained one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cwda.brief import brief
from cwda.choices import Like
from cwda.conditions.results import ConditionResult
from cwda.conditions.whole.pooled import judged as judged_rows
from cwda.conditions.whole.pooled import normal_quantile

__all__ = ["DIVIDE", "PATTERNS", "Likeness", "Parts", "likeness", "parts"]

#: What independent weights of mean 0 without fixed zeros do not have, as initialisations draw them.
PATTERNS = ("variance", "mean", "epsilon", "independence")

#: Between the networks that training has shaped, and those that it has not.
DIVIDE = 0.3

#: Conditions of `PATTERNS` that must be judged.
_FEWEST = 2


class Effect(Protocol):
    """What is asked of a condition in a network as a whole."""

    @property
    def condition(self) -> str: ...
    @property
    def layers(self) -> int: ...
    @property
    def margin(self) -> float: ...
    @property
    def theta(self) -> float: ...
    @property
    def theta_se(self) -> float: ...


@dataclass(frozen=True)
class Likeness:
    """How much of a pattern weights have, compared with trained and untrained networks.

    Attributes
    ----------
    like : str
        "trained" where the interval lies above `DIVIDE`, "untrained" where it lies at most there,
        "open" otherwise, and "not applicable" where fewer than two conditions can be judged.
    structure, low, high : float
        Root mean square of effect over margin, and its interval.
    conditions : tuple of str
        The conditions that it is made of.
    """

    like: Like
    structure: float
    low: float
    high: float
    conditions: tuple[str, ...]

    __repr__ = brief


def likeness(effects: Iterable[Effect], level: float) -> Likeness:
    r"""Compare weights with those of trained and of untrained networks.

    With theta_c the squared effect of condition c, without bias, m_c its margin, and C the
    number of conditions of `PATTERNS` that are judged, the structure is

        S = sqrt(max(0, sum_c theta_c / m_c^2 / C)).

    Its interval is that of the sum, whose terms are taken as independent. No true square is
    negative, so that S is no less than what one condition alone gives it: the lower limit is
    the largest of these too (each at the level of Bonferroni), lest a condition that is badly
    known hide one that is well known.

    Parameters
    ----------
    effects : iterable
        Conditions of one network as a whole.
    level : float
        Confidence of the interval.

    Examples
    --------
    >>> import cwda
    >>> found = likeness(cwda.check("resnet20-cifar10", progress=False).network, level=0.90)
    >>> found.like, round(found.structure, 1)
    ('trained', 2.0)
    """
    judged = [each for each in effects if each.condition in PATTERNS and each.layers]
    count = len(judged)
    terms = [each.theta / each.margin**2 / count for each in judged]
    errors = [each.theta_se / each.margin**2 / count for each in judged]
    if count < _FEWEST or not math.isfinite(sum(terms) + sum(errors)):
        return Likeness("not applicable", math.nan, math.nan, math.nan, ())
    square, reach = sum(terms), normal_quantile(level) * math.hypot(*errors)
    alone = normal_quantile(1 - (1 - level) / count)
    lowest = [term - alone * error for term, error in zip(terms, errors, strict=True)]
    low, high = _root(max(square - reach, *lowest)), _root(max(square, 0.0) + reach)
    structure = max(_root(square), low)
    like: Like = "open"
    if low > DIVIDE:
        like = "trained"
    elif high <= DIVIDE:
        like = "untrained"
    names = tuple(each.condition for each in judged)
    return Likeness(like, structure, low, max(high, low), names)


@dataclass(frozen=True)
class Parts:
    """What the layers of a network are like, each judged alone.

    Attributes
    ----------
    layers : int
        Number of layers that at least two of the conditions judge.
    untrained_layers, trained_layers : int
        Those whose structure is at most `DIVIDE`, and those where it certainly lies above: the
        lower limits hold for all layers together (Bonferroni).
    untrained_weights, trained_weights : float
        Shares of the weights of these layers that lie in them; NaN without such layers.
    """

    layers: int = 0
    untrained_layers: int = 0
    untrained_weights: float = math.nan
    trained_layers: int = 0
    trained_weights: float = math.nan

    __repr__ = brief


@dataclass(frozen=True)
class _OfLayer:
    """One condition in one layer."""

    condition: str
    layers: int
    margin: float
    theta: float
    theta_se: float


def parts(conditions: Iterable[Sequence[ConditionResult]], level: float) -> Parts:
    """Judge each layer alone as `likeness` judges a network, which one layer may decide.

    Parameters
    ----------
    conditions : iterable of sequence of ConditionResult
        Rows of one network, by condition.
    level : float
        Confidence of the intervals, together.
    """
    layers: dict[str, list[ConditionResult]] = {}
    for rows in conditions:
        for row in judged_rows(rows):
            if row.condition in PATTERNS:
                layers.setdefault(row.layer, []).append(row)
    each = 1 - (1 - level) / max(len(layers), 1)
    sizes, untrained, trained = [], [], []
    for rows in layers.values():
        found = likeness(
            (_OfLayer(x.condition, 1, x.margin, x.theta, x.theta_se) for x in rows), each
        )
        if found.like != "not applicable":
            sizes.append(rows[0].n_weights)
            untrained.append(rows[0].n_weights * (found.structure <= DIVIDE))
            trained.append(rows[0].n_weights * (found.like == "trained"))
    if not sizes:
        return Parts()
    whole = sum(sizes)
    return Parts(
        layers=len(sizes),
        untrained_layers=sum(map(bool, untrained)),
        untrained_weights=sum(untrained) / whole,
        trained_layers=sum(map(bool, trained)),
        trained_weights=sum(trained) / whole,
    )


def _root(square: float) -> float:
    return math.sqrt(max(square, 0.0))
