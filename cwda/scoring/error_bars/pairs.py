"""What the images add to the similarity of two criteria: reliabilities and intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from cwda.numerics.jackknife import jackknife_radius, jackknife_variance
from cwda.numerics.ranking.ranks import spearman
from cwda.scoring.error_bars.estimate import (
    Correlations,
    crossed,
    disattenuated_interval,
    stepped_up,
)
from cwda.scoring.error_bars.replicates import NO_HALVES, replicates
from cwda.scoring.registry import Criterion
from cwda.scoring.scores import LayerScores
from cwda.scoring.statistics.collected import Collected
from cwda.typing import Device

__all__ = ["ErrorBars", "PairBars", "error_bars"]


class PairBars(NamedTuple):
    """The error bars of one pair of criteria; NaN where they are not known."""

    images_low: float = math.nan
    images_high: float = math.nan
    reliability_a: float = math.nan
    reliability_b: float = math.nan
    disattenuated: float = math.nan
    disattenuated_low: float = math.nan
    disattenuated_high: float = math.nan


@dataclass(frozen=True, eq=False)
class ErrorBars:
    """The error bars of the criteria of one layer.

    Attributes
    ----------
    of_images : sequence of bool
        Which of the criteria depend on images.
    level : float
        Confidence level of the intervals.
    reliabilities : sequence of float
        Of the criteria, on all images.
    correlations : Correlations or None
        Of halves; None where there are none.
    spreads : Tensor or None
        Standard errors of the rank correlations over the images, on Fisher's scale.
    parts : int
        From so many parts.
    """

    of_images: Sequence[bool]
    level: float
    reliabilities: Sequence[float] = ()
    correlations: Correlations | None = None
    spreads: Tensor | None = None
    parts: int = 0

    def of(self, a: int, b: int, rho: float, low: float, high: float) -> tuple[PairBars, str]:
        """The error bars of a pair with a rank correlation and its interval over the filters.

        Also why some are missing.
        """
        if not (self.of_images[a] or self.of_images[b]):
            return PairBars(rho, rho, 1.0, 1.0, rho, low, high), ""
        if self.correlations is None or self.spreads is None:
            known = (math.nan if self.of_images[i] else 1.0 for i in (a, b))
            return PairBars(math.nan, math.nan, *known), NO_HALVES
        spread = float(self.spreads[a, b])
        z = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, rho)))
        width = jackknife_radius(spread**2, self.parts, self.level)
        limits = min(math.tanh(z - width), rho), max(math.tanh(z + width), rho)
        reliable = self.reliabilities[a], self.reliabilities[b]
        if not min(reliable) > 0:
            return PairBars(*limits, *reliable), "a reliability that is not above 0 divides nothing"
        noise = spread * (1 - rho**2)
        without_noise = disattenuated_interval(self.correlations, a, b, noise, self.level)
        lacks = "" if math.isfinite(without_noise[1]) else "no interval: a reliability is near 0"
        return PairBars(*limits, *reliable, *without_noise), lacks


def error_bars(
    scored: LayerScores,
    criteria: Sequence[Criterion],
    collected: Collected,
    level: float,
    device: Device,
) -> ErrorBars:
    """The error bars of the criteria of one layer, from parts of the images."""
    of_images = [criterion.needs_images for criterion in criteria]
    again = replicates(scored, criteria, collected, device) if any(of_images) else None
    if again is None:
        return ErrorBars(of_images, level)
    correlations = crossed(again.halves)
    n, parts = again.halves.shape[-1], len(again.without)
    reliabilities = [
        stepped_up(correlations, i, n, again.factor_of(criterion), level)[0]
        if of_images[i]
        else 1.0
        for i, criterion in enumerate(criteria)
    ]
    bound = 1 - 6 / max(n**3 - n, 7)
    z = spearman(again.without).clamp(-bound, bound).atanh()
    spreads = jackknife_variance(z).sqrt()
    return ErrorBars(of_images, level, reliabilities, correlations, spreads, parts)
