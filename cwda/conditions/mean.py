"""Condition 3: the mean of the weights is close to 0."""

from __future__ import annotations

import math

import torch
from scipy import special

from cwda.conditions.definition import Condition, always_applicable
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace
from cwda.numerics.ustatistics import infer

__all__ = ["MEAN"]


def _measure(space: Workspace) -> Measurement:
    found = infer(space.kernels.mean, space.mean_energy, 1.0, centred=False, alpha=space.alpha)
    return Measurement(
        found.estimate * space.scale_squared,
        found.effect,
        found.low,
        found.high,
        found.statistic,
        found.pvalue,
        _scalar_mean(space),
    )


def _scalar_mean(space: Workspace) -> dict[str, float]:
    """The mean over all weights of a filter: n values, t interval and equivalence test.

    The margin of the two one-sided tests is the default of this condition times the RMS
    weight, since a constant mean m has the effect |m| / RMS.
    """
    n = space.layer.n_filters
    # In units of the RMS weight; where sums might leave the range of float64, from scaled weights.
    if 1e-140 < space.scale < 1e140:
        means = space.filters.mean(dim=1, dtype=torch.float64).div(space.scale).cpu().numpy()
    else:
        means = space.filters.double().div(space.scale).mean(dim=1).cpu().numpy()
    mean, error = float(means.mean()), float(means.std(ddof=1)) / math.sqrt(n)
    t = float(special.stdtrit(n - 1, 1 - space.alpha))
    tost = math.nan
    if error > 0:
        nearest = min((mean + MEAN.margin) / error, (MEAN.margin - mean) / error)
        tost = float(special.stdtr(n - 1, -nearest))
    return {
        "weight_mean": mean * space.scale,
        "weight_sd": math.sqrt(max(1 - mean**2, 0.0)) * space.scale,
        "weight_mean_low": (mean - t * error) * space.scale,
        "weight_mean_high": (mean + t * error) * space.scale,
        "weight_mean_tost": tost,
    }


MEAN = Condition(
    name="mean",
    null_hypothesis="every position of a filter has mean 0",
    effect="RMS mean over RMS weight",
    margin=0.1,
    method="U-statistic of f_i.f_j, skewness-matched chi-square; Wilson-jackknife interval",
    inapplicable=always_applicable,
    measure=_measure,
)
