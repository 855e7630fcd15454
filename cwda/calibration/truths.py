"""True effects that have no closed form, measured on very many filters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cwda.calibration.laws import SimulatedLaw, Size
from cwda.calibration.procedure import Draw, Truth, generator
from cwda.conditions import CONDITIONS

__all__ = ["measured_truths"]

#: Layers, and filters of each: large enough that what is of order 1 / n has vanished.
_LAYERS, _FILTERS = 6, 768


def measured_truths(
    law: SimulatedLaw, channels: int, kernel_size: int, conditions: Sequence[str], seed: int
) -> Mapping[str, Truth]:
    """The effects in layers of many filters, with the standard error of their mean.

    The average is taken on the scale on which the condition's estimate has no bias. What
    cannot be measured is NaN.
    """
    size = Size(_FILTERS, channels, kernel_size)
    if not law.fits(size):  # such as orthogonal filters
        return {name: Truth(math.nan) for name in conditions}
    found: dict[str, list[float]] = {name: [] for name in conditions}
    own = int(generator(law, size, seed, 0).integers(1 << 62))
    for part in range(_LAYERS):
        draw = Draw(law, size, own, part, "cpu", conditions)
        for name, row in draw.checked.items():
            found[name].append(row.theta)
    return {name: _truth(name, np.array(thetas)) for name, thetas in found.items()}


def _truth(condition: str, thetas: np.ndarray) -> Truth:
    average, error = float(thetas.mean()), float(thetas.std(ddof=1)) / math.sqrt(len(thetas))
    if not math.isfinite(average):
        return Truth(math.nan)
    effect = CONDITIONS[condition].averaging.effect
    spread = abs(effect(average + error) - effect(average - error)) / 2
    return Truth(float(effect(average)), spread)
