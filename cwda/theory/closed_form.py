"""Closed-form prediction of the rank correlation of criteria within a layer.

Log-scores are taken as jointly normal. With v1, v2 the relative variances of l1 and l2 and c
their covariance under the fitted Sigma, t = Var(log s) is added to each of v1, v2, c, and the
excess of w = Var(log(l1 / l2)) over its value under CWDA to v1. The filter mean and unequal
weights enter GM and Fermat. What a rung does not know is 0. The excess is semi-empirical: w is
measured on the scores.

GM and Fermat order the filters by q_j - 2 f_j . m with m a weighted mean of all filters.
In relative terms, vq = 4 (v2 + v_m) is the variance of q, v_m that of f . mu, and

    Var(GM) = vq - 8 v_m + 4 P,   Cov(q, GM) = vq - 4 v_m,   P = v_m + 2 v20 eta / n,

the last being the noise of m (v20: v2 without t; eta: `Impurity`). GM and Fermat share it,
so their covariance is vq - 8 v_m + 4 P with the mixed eta; and rho(l1, GM) is
rho(l1, l2) rho(l2, GM).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from cwda.loading.sources import Source
from cwda.numerics.ranking.rank_intervals import bonett_wright_interval
from cwda.theory.model import FittedLayer
from cwda.theory.moments import expected_spearman
from cwda.theory.prediction import (
    CLOSED_FORM,
    Forecast,
    Pair,
    PredictedSimilarity,
    predict_layers,
)
from cwda.theory.rungs import Rungs
from cwda.theory.score_law import CRITERIA
from cwda.typing import Device, Named

__all__ = ["log_score_correlation", "predict"]

Array = npt.NDArray[np.float64]


def predict(
    source: Source,
    criteria: str | Named | Iterable[str | Named] | None = None,
    *,
    rungs: Rungs | None = None,
    level: float = 0.95,
    device: Device = "auto",
    progress: bool = True,
) -> PredictedSimilarity:
    """Predict the Spearman coefficient of every pair of criteria in each layer, in closed form.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to predict for: a name, file, Module, layer or array N x k^2 x N'.
    criteria : iterable of str or Criterion, optional
        Two or more of l1, l2, gm, fermat; all by default.
    rungs : str, Rung or several, optional
        Models to predict by: isotropic, diagonal, block, scale, shape, or a `Rung` of your own;
        the whole `LADDER` by default.
    level : float
        Confidence level of the prediction intervals. They hold the scatter of n filters under
        the model, not the uncertainty of its fitted numbers, and are approximate (coverage .86
        to .96 at .95, docs/calibration.md); those of `simulate` keep their level.
    device : str or torch.device
        Where to fit, in float64.
    progress : bool
        Show a bar while it takes long.

    Returns
    -------
    PredictedSimilarity
        `.table` has one row per layer, pair and rung; a layer that cannot be fitted has rows
        with the reason.

    Raises
    ------
    CriterionError
        If a criterion is unknown, or there are fewer than two.
    CwdaError
        If a rung is unknown, or source, level or device impossible.

    References
    ----------
    Huang et al. (2021), section 3 and figure 4, where Spearman coefficients are measured.

    Examples
    --------
    >>> import torch
    >>> from cwda.layers import ConvLayer
    >>> rng = torch.Generator().manual_seed(0)
    >>> layer = ConvLayer("conv", torch.randn(256, 64, 3, 3, generator=rng))
    >>> table = predict(layer, ["l1", "l2"], rungs="isotropic").table
    >>> table["spearman"].round(3).tolist()
    [0.928]
    """

    def forecast(
        models: Sequence[FittedLayer], pairs: Sequence[Pair], advance: object
    ) -> list[list[Forecast]]:
        return [_forecasts(fitted, pairs, level) for fitted in models]

    return predict_layers(source, criteria, rungs, level, device, progress, CLOSED_FORM, forecast)


def _forecasts(fitted: FittedLayer, pairs: Sequence[Pair], level: float) -> list[Forecast]:
    """One for each pair of criteria."""
    rho = log_score_correlation(fitted)
    return [
        _forecast(float(rho[CRITERIA.index(a), CRITERIA.index(b)]), fitted.n_filters, level)
        for a, b in pairs
    ]


def _forecast(rho: float, n: int, level: float) -> Forecast:
    spearman = expected_spearman(rho, n)
    return Forecast(rho, spearman, *bonett_wright_interval(spearman, n, level))


def log_score_correlation(fitted: FittedLayer) -> Array:
    """Pearson correlations of the log-scores of a layer, 4 x 4 in the order of `CRITERIA`."""
    moments = fitted.moments
    v1, v2, c = moments.l1_relative, moments.l2_relative, moments.covariance_relative
    v1 += fitted.shape_excess
    noise = 2 * v2 / fitted.n_filters
    scale, mean = fitted.log_scale_variance, fitted.mean_relative
    q = 4 * (v2 + scale + mean)
    between = q - 4 * mean

    def of_distances(eta: float) -> float:
        return between + 4 * noise * eta

    impurity = fitted.impurity
    covariance = np.array(
        [
            [q, between, between],
            [between, of_distances(impurity.gm), of_distances(impurity.both)],
            [between, of_distances(impurity.both), of_distances(impurity.fermat)],
        ]
    )
    sd = np.sqrt(covariance.diagonal())
    rho = np.eye(4)
    rho[1:, 1:] = covariance / np.outer(sd, sd)
    rho[0, 1:] = rho[1:, 0] = (c + scale) / math.sqrt((v1 + scale) * (v2 + scale)) * rho[1, 1:]
    # Cauchy-Schwarz holds up to rounding and the truncation at leading order in 1/d.
    return np.clip(rho, -1.0, 1.0)
