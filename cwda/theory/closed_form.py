"""Closed-form prediction of the rank correlation of criteria within a layer.

Log-scores are taken as jointly normal. With v1, v2 the relative variances of l1 and l2 and c
their covariance under the fitted Sigma, t = Var(log s) is added to each of v1, v2, c. What a rung
does not know is 0. GM and Fermat order the filters by q_j - 2 f_j . m with m a weighted mean of
all filters; in relative terms, vq = 4 (v2 + t) is the variance of q and

    Var(GM) = vq + 8 v2 / n,   Cov(q, GM) = vq,

the last part of the variance being the noise of m. GM and Fermat share it, so they agree;
rho(l1, GM) is rho(l1, l2) rho(l2, GM).

A rung that keeps the scores (`cross-fitted`) takes the correlations of the log-scores as they were
measured on halves of the filters, applies them to the live filters, and knows its error
(`cwda.theory.log_scores.model_error`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from cwda.loading.source import Source
from cwda.numerics.ranking.rank_intervals import bonett_wright_interval
from cwda.theory.criteria import CRITERIA
from cwda.theory.log_scores.model_error import error_of
from cwda.theory.log_scores.score_draws import bound_of, coefficient
from cwda.theory.log_scores.score_moments import ScoreMoments
from cwda.theory.model import FittedLayer
from cwda.theory.moments import expected_spearman
from cwda.theory.prediction import (
    CLOSED_FORM,
    NAN,
    Forecast,
    Pair,
    PredictedSimilarity,
    predict_layers,
)
from cwda.theory.rungs import Rungs
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
        Models to predict by: isotropic, diagonal, block, scale, cross-fitted, or a `Rung` of
        your own; the whole `LADDER` by default.
    level : float
        Confidence level of the prediction intervals. Those of models of the filters hold the
        scatter of n filters under the model, not the uncertainty of its fitted numbers, and are
        approximate (coverage .86 to .96 at .95, docs/calibration.md); those of `cross-fitted`
        hold its error on networks (docs/theory.md).
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
    if fitted.scores:
        return [_from_moments(fitted.scores.moments, *pair, level) for pair in pairs]
    rho = log_score_correlation(fitted)
    return [
        _forecast(float(rho[CRITERIA.index(a), CRITERIA.index(b)]), fitted.n_filters, level)
        for a, b in pairs
    ]


def _forecast(rho: float, n: int, level: float) -> Forecast:
    spearman = expected_spearman(rho, n)
    return Forecast(rho, spearman, *bonett_wright_interval(spearman, n, level))


def _from_moments(moments: ScoreMoments, a: str, b: str, level: float) -> Forecast:
    reason = moments.reason(a, b)
    if reason:
        return Forecast(NAN, NAN, NAN, NAN, reason=reason)
    i, j = CRITERIA.index(a), CRITERIA.index(b)
    rho, n, live = float(moments.correlations[i, j]), moments.n_filters, moments.live
    spearman = coefficient(rho, moments)
    limits = error_of(a, b).interval(spearman, n, live, float(moments.misfit[i, j]), level)
    return Forecast(rho, spearman, *limits, bound=bound_of(moments, a, b))


def log_score_correlation(fitted: FittedLayer) -> Array:
    """Pearson correlations of the log-scores of a layer, 4 x 4 in the order of `CRITERIA`."""
    if fitted.scores:
        return fitted.scores.moments.correlations
    moments, scale = fitted.moments, fitted.log_scale_variance
    v1, v2, c = moments.l1_relative, moments.l2_relative, moments.covariance_relative
    energy = 4 * (v2 + scale)
    of_distances = energy + 8 * v2 / fitted.n_filters
    covariance = np.full((3, 3), of_distances)
    covariance[0] = covariance[:, 0] = energy
    sd = np.sqrt(covariance.diagonal())
    rho = np.eye(4)
    rho[1:, 1:] = covariance / np.outer(sd, sd)
    rho[0, 1:] = rho[1:, 0] = (c + scale) / math.sqrt((v1 + scale) * (v2 + scale)) * rho[1, 1:]
    # Cauchy-Schwarz holds up to rounding and the truncation at leading order in 1/d.
    return np.clip(rho, -1.0, 1.0)
