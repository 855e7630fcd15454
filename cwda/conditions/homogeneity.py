"""Condition 6: identically distributed; all filters of a layer share one scale."""

from __future__ import annotations

import numpy as np

from cwda.conditions.definition import Condition
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import FEWEST_FILTERS, Workspace
from cwda.layers import ConvLayer
from cwda.numerics.ranking.dispersion import ScaleDispersion, scale_dispersion

__all__ = ["HOMOGENEITY", "NEAR_DEAD"]

#: A filter is near-dead if its norm is below this share of the median norm.
NEAR_DEAD = 0.05


def _inapplicable(layer: ConvLayer) -> str:
    return "one input channel: no halves to compare" if layer.channels == 1 else ""


def _measure(space: Workspace) -> Measurement:
    energy = space.channel_energy
    even, odd = energy[:, ::2].sum(axis=1), energy[:, 1::2].sum(axis=1)
    norms = np.sqrt(even + odd)
    alive = norms >= NEAR_DEAD * np.median(norms)
    # The logarithm needs both halves positive; only exact zeros are left out.
    usable = (even > 0) & (odd > 0)
    found = _disperse(even, odd, usable, space.alpha)
    trimmed = _disperse(even, odd, usable & alive, space.alpha)
    if found is None:
        return Measurement(np.nan, np.nan, 0.0, np.inf, np.nan, np.nan)
    details = {
        "tau_squared": space.tau_squared,
        "near_dead": float((~alive).sum()),
        "zero_halves": float((~usable).sum()),
        "effect_alive": trimmed.effect if trimmed else np.nan,
        "effect_alive_low": trimmed.low if trimmed else np.nan,
        "effect_alive_high": trimmed.high if trimmed else np.nan,
    }
    return Measurement(
        found.estimate,
        found.effect,
        found.low,
        found.high,
        found.statistic,
        found.pvalue,
        details,
    )


def _disperse(
    even: np.ndarray, odd: np.ndarray, kept: np.ndarray, alpha: float
) -> ScaleDispersion | None:
    if kept.sum() < FEWEST_FILTERS:
        return None
    return scale_dispersion(even[kept], odd[kept], alpha)


HOMOGENEITY = Condition(
    name="homogeneity",
    null_hypothesis="all filters have the same scale",
    effect="standard deviation of the filters' log scale",
    margin=0.125,
    method="split halves of the channels, Pearson t; MOVER interval",
    inapplicable=_inapplicable,
    measure=_measure,
)
