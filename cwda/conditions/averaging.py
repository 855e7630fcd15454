"""What of a condition is averaged over the layers of a network, and how it becomes an effect."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from cwda.brief import brief

__all__ = ["DISTANCES", "EFFECTS", "LOGARITHMS", "SHARES", "SIGNED_SQUARES", "SQUARES", "Averaging"]


@dataclass(frozen=True)
class Averaging:
    """The scale theta on which the effects of layers are averaged.

    Attributes
    ----------
    words : str
        What theta is.
    effect : callable
        From theta, such as a mean over layers, to the effect.
    theta : callable
        From an effect, such as a margin, to theta.
    least, most : float
        Smallest and largest theta that there can be in truth; estimates without bias may fall
        below the smallest.
    inflated : bool
        Whether noise makes effects larger than the truth on average, which no number of layers
        averages out. Theta is then an estimate without that, for the lower limit of a mean; the
        mean itself, and its upper limit, are those of the effects.
    """

    words: str
    effect: Callable[[float], float]
    theta: Callable[[float], float]
    least: float = -math.inf
    most: float = math.inf
    inflated: bool = False

    __repr__ = brief


def _signed_root(theta: float) -> float:
    return math.copysign(math.sqrt(abs(theta)), theta)


#: Unbiased estimates of a square may be negative, and are averaged as they are.
SQUARES = Averaging(
    "the squared effect, without bias",
    lambda theta: math.sqrt(max(theta, 0.0)),
    lambda effect: effect * effect,
    least=0.0,
)

SIGNED_SQUARES = Averaging(
    "the square of the effect with its sign, without bias",
    _signed_root,
    lambda effect: effect * abs(effect),
)

LOGARITHMS = Averaging("the logarithm of the effect", math.exp, math.log)

EFFECTS = Averaging("the effect itself", float, float)

SHARES = Averaging("the effect itself, from 0 to 1", float, float, least=0.0, most=1.0)

#: Of distribution functions: the largest of many noisy deviations.
DISTANCES = Averaging(
    "the deviation where it is largest in other filters, which noise does not inflate",
    float,
    float,
    least=0.0,
    most=1.0,
    inflated=True,
)
