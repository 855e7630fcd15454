"""Whether weights are like those of a trained network, or of an untrained one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cwda.brief import brief
from cwda.choices import Like
from cwda.conditions.whole.pooled import normal_quantile

__all__ = ["DIVIDE", "PATTERNS", "Likeness", "likeness"]

#: What no initialisation with independent weights has, whatever their law and scale.
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


def _root(square: float) -> float:
    return math.sqrt(max(square, 0.0))
