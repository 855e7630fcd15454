"""Closed-form prediction of the rank correlation of criteria within a layer.

Log-scores are taken as jointly normal. With v1, v2 the relative variances of l1 and l2
and c their covariance under the fitted Sigma, the ladder is

    isotropic, diagonal, block   v1, v2, c of sigma^2 I, diag(a_p), the fitted blocks (CWDA)
    scale                        + t = Var(log s) on each of v1, v2, c
    shape                        + the excess of w = Var(log(l1 / l2)) over its value under
                                 CWDA on v1; the filter mean and unequal weights in GM
                                 and Fermat. Semi-empirical: w is measured on the scores.

GM and Fermat order the filters by q_j - 2 f_j . m with m a weighted mean of all filters.
In relative terms, vq = 4 (v2 + v_m) is the variance of q, v_m that of f . mu, and

    Var(GM) = vq - 8 v_m + 4 P,   Cov(q, GM) = vq - 4 v_m,   P = v_m + 2 v20 eta / n,

the last being the noise of m (v20: v2 without t; eta: `Impurity`). GM and Fermat share it,
so their covariance is vq - 8 v_m + 4 P with the mixed eta; and rho(l1, GM) is
rho(l1, l2) rho(l2, GM).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import special

from cwda.loading.sources import Source
from cwda.theory.model import FittedLayer, Impurity
from cwda.theory.moments import CRITERIA, NormMoments, expected_spearman
from cwda.theory.prediction import (
    CLOSED_FORM,
    Forecast,
    Pair,
    PredictedSimilarity,
    predict_layers,
)

__all__ = ["log_score_correlation", "predict_similarity", "shape_excess", "spearman_interval"]

Array = npt.NDArray[np.float64]


def predict_similarity(
    source: Source,
    criteria: Sequence[str] | None = None,
    rungs: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    device: str | torch.device = "auto",
) -> PredictedSimilarity:
    """Predict the Spearman coefficient of each two criteria in each layer, in closed form.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to predict for: a name, file, Module, layer or array N x k^2 x N'.
    criteria : sequence of str, optional
        Two or more of l1, l2, gm, fermat; all by default.
    rungs : sequence of str, optional
        Any of isotropic, diagonal, block, scale, shape; all by default.
    level : float
        Level of the prediction intervals. They hold the scatter of n filters under the
        model, not the uncertainty of its fitted numbers, and are approximate (coverage .86 to
        .96 at .95, docs/calibration.md); those of `simulate_similarity` keep their level.
    device : str or torch.device
        Where to fit, in float64.

    Returns
    -------
    PredictedSimilarity
        `.table` has one row a layer, pair and rung; a layer that cannot be fitted has rows
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
    >>> rng = torch.Generator().manual_seed(0)
    >>> from cwda.layers import ConvLayer
    >>> layer = ConvLayer("conv", torch.randn(256, 64, 3, 3, generator=rng))
    >>> found = predict_similarity(layer, ["l1", "l2"], ["isotropic"]).table
    >>> found["spearman"].round(3).tolist()
    [0.928]
    """

    def forecast(fitted: FittedLayer, pairs: Sequence[Pair], rung: str) -> list[Forecast]:
        rho = log_score_correlation(fitted, rung)
        return [
            _forecast(float(rho[CRITERIA.index(a), CRITERIA.index(b)]), fitted.n_filters, level)
            for a, b in pairs
        ]

    return predict_layers(source, criteria, rungs, level, device, CLOSED_FORM, forecast)


def _forecast(rho: float, n: int, level: float) -> Forecast:
    spearman = expected_spearman(rho, n)
    return Forecast(rho, spearman, *spearman_interval(spearman, n, level))


def spearman_interval(spearman: float, n: int, level: float) -> tuple[float, float]:
    """Where a sample's Spearman coefficient lies with probability `level`.

    Normal on Fisher's scale with variance (1 + Sp^2 / 2) / (n - 3).

    References
    ----------
    Bonett & Wright (2000), Sample size requirements for estimating Pearson, Kendall and
    Spearman correlations, Psychometrika 65, 23-28.

    Examples
    --------
    >>> low, high = spearman_interval(0.93, 64, 0.95)
    >>> round(low, 3), round(high, 3)
    (0.876, 0.961)
    """
    if abs(spearman) >= 1:
        return spearman, spearman
    centre = math.atanh(spearman)
    quantile = float(special.ndtri((1 + level) / 2))
    radius = quantile * math.sqrt((1 + spearman**2 / 2) / (n - 3))
    return math.tanh(centre - radius), math.tanh(centre + radius)


def log_score_correlation(fitted: FittedLayer, rung: str) -> Array:
    """Pearson correlations of the log-scores under one rung, 4 x 4 in the order of `CRITERIA`."""
    moments: NormMoments = getattr(fitted, rung if rung in ("isotropic", "diagonal") else "block")
    v1, v2, c = moments.l1_relative, moments.l2_relative, moments.covariance_relative
    noise = 2 * v2 / fitted.n_filters
    scale = fitted.log_scale_variance if rung in ("scale", "shape") else 0.0
    mean, impurity = 0.0, Impurity()
    if rung == "shape":
        v1 += shape_excess(fitted)
        mean, impurity = fitted.mean_relative, fitted.impurity
    q = 4 * (v2 + scale + mean)

    def of_distances(eta: float) -> float:
        return q - 4 * mean + 4 * noise * eta

    between = q - 4 * mean
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


def shape_excess(fitted: FittedLayer) -> float:
    """Variance of log(l1 / l2) beyond v1 + v2 - 2 c, its value under CWDA; not below 0."""
    moments = fitted.block
    expected = moments.l1_relative + moments.l2_relative - 2 * moments.covariance_relative
    return max(fitted.log_ratio_variance - expected, 0.0)
