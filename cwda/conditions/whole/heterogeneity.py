"""How much layers differ, and what a further layer of this kind would show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.answers import column, common
from cwda.conditions.whole.pooled import LayerEffects, effect_of

__all__ = ["RandomEffects", "between_layers", "inconsistency", "random_effects"]

Array = npt.NDArray[np.float64]

_STEPS = 100


@dataclass(frozen=True)
class RandomEffects:
    """Layers taken as a sample of such layers: a row of `NetworkResult.random_effects`."""

    network: str = common("network")
    condition: str = column("Name of the condition.")
    layers: int = column("Number of layers that it judges, $K$.")
    random_effect: float = column(
        "Effect in the mean layer, each layer counting alike but for its error (Paule and Mandel)."
    )
    random_low: float = column("Lower limit of its interval (Hartung and Knapp).")
    random_high: float = column("Upper limit of its interval.")
    tau: float = column("Standard deviation of theta between the layers.")
    prediction_low: float = column(
        r"Lower limit of the effect in a further layer of this kind, "
        r"$\hat\mu \pm t_{K-2} \sqrt{\tau^2 + \mathrm{SE}^2}$ on the scale of theta."
    )
    prediction_high: float = column("Upper limit.")


def between_layers(theta: Array, variance: Array) -> float:
    """Variance of theta between the layers by Paule and Mandel; NaN for one layer.

    It makes the weighted sum of squares about the weighted mean its expectation, K - 1. Without
    errors it is the plain variance.

    Examples
    --------
    >>> import numpy as np
    >>> round(between_layers(np.array([0.0, 2.0]), np.array([1.0, 1.0])), 6)
    1.0
    """
    if len(theta) < 2 or not np.isfinite(theta + variance).all():
        return math.nan
    spread = float(theta.var(ddof=1))
    if not variance.any():
        return spread
    if (variance > 0).all() and _surplus(0.0, theta, variance) <= 0:
        return 0.0
    low, high = 0.0, spread + float(variance.max())
    while _surplus(high, theta, variance) > 0:
        high *= 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _surplus(middle, theta, variance) > 0:
            low = middle
        else:
            high = middle
    return high


def _surplus(tau_squared: float, theta: Array, variance: Array) -> float:
    weights = 1 / (variance + tau_squared)
    centre = weights @ theta / weights.sum()
    return float(weights @ (theta - centre) ** 2) - (len(theta) - 1)


def inconsistency(theta: Array, variance: Array) -> float:
    """I^2: the share of the variance of the estimates that is not their error."""
    if len(theta) < 2 or not np.isfinite(theta + variance).all() or not (variance > 0).all():
        return math.nan
    degrees = len(theta) - 1
    cochran = _surplus(0.0, theta, variance) + degrees
    return max(0.0, 1 - degrees / cochran) if cochran > 0 else 0.0


def random_effects(
    network: str, condition: str, layers: LayerEffects, level: float
) -> RandomEffects:
    """Combine the layers of one condition by statsmodels, as if drawn from many.

    NaN where there are fewer than two layers, or one without a standard error. What statsmodels
    does not have, the prediction interval, needs three layers. Both intervals rest on how much
    the layers differ, so that their limits are NaN where all estimates are equal.
    """
    theta, variance = np.array(layers.theta), np.array(layers.error) ** 2
    count = len(theta)
    if count < 2 or not np.isfinite(theta + variance).all() or not (variance > 0).all():
        return RandomEffects(network, condition, count, *[math.nan] * 6)
    from statsmodels.stats.meta_analysis import combine_effects

    unit = float(np.sqrt(variance.mean()))  # its iteration stops at an absolute tolerance
    with np.errstate(divide="ignore", invalid="ignore"):  # of equal estimates it divides by Q = 0
        found = combine_effects(
            theta / unit, variance / unit**2, method_re="iterated", use_t=True, maxiter=_STEPS
        )
    mean, error = found.mean_effect_re * unit, found.sd_eff_w_re_hksj * unit
    tau_squared = max(float(found.tau2), 0.0) * unit**2
    reach = wide = math.nan
    differ = bool((theta != theta[0]).any())
    if differ:
        reach = float(special.stdtrit(count - 1, (1 + level) / 2)) * error
    if differ and count > 2:
        quantile = float(special.stdtrit(count - 2, (1 + level) / 2))
        wide = quantile * math.sqrt(tau_squared + error**2)
    return RandomEffects(
        network,
        condition,
        count,
        effect_of(layers.possible(mean), layers.averaging),
        *_ends(mean, reach, layers),
        math.sqrt(tau_squared),
        *_ends(mean, wide, layers),
    )


def _ends(mean: float, reach: float, layers: LayerEffects) -> tuple[float, float]:
    if math.isnan(reach):
        return math.nan, math.nan
    low, high = layers.possible(mean - reach), layers.possible(mean + reach)
    return effect_of(low, layers.averaging), effect_of(high, layers.averaging)
