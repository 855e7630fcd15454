"""Geometry of the filters: what CWDA says of their norms, distances and angles.

In high dimension Gaussian filters have equal norms, are equidistant and orthogonal, as far
as the effective dimension d_eff = tr(Sigma)^2 / tr(Sigma^2) is large. With f_j = mu + s_j g_j,
g_j ~ N(0, Sigma), e_j = s_j^2 tr + |mu|^2, S = mu' Sigma mu, v = 1 / (2 d_eff) and tr2, tr3, tr4
the traces of powers of Sigma, to leading order in 1 / d_eff and for given scales:

    |f_j|           mean sqrt(e_j) (1 - u_j / 2), variance e_j u_j,
                    u_j = (s_j^4 tr2 / 2 + s_j^2 S) / e_j^2          (v under CWDA)
    |f_i - f_j|     mean sqrt((s_i^2 + s_j^2) tr) (1 - v / 2), variance (s_i^2 + s_j^2) tr v
    cosine          mean |mu|^2 / sqrt(e_i e_j), variance
                    (s_i^2 s_j^2 tr2 (1 + h) + (s_i^2 + s_j^2) S) / (e_i e_j),
                    h = 4 tr2 / tr^2 - 4 tr3 / (tr2 tr)              (1 / d_eff under CWDA)

Pairs that share a filter are correlated, distances by 1/4 and the projections on mu by 1/2.
So the expected variance over the pairs of n filters is (n - 2)/(n - 1) and 1 - 2/n of theirs,
and 1 - 1/P for the rest of the cosine, P = n (n - 1) / 2. The next order h of the cosine, 0 for
equal eigenvalues, matters because n (n - 1) / 2 cosines show their SD precisely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from cwda.numerics.ranking.concentration import Concentration
from cwda.theory.model import FittedLayer

__all__ = ["ConcentrationLimits", "concentration_limits", "predict_concentration"]


@dataclass(frozen=True)
class ConcentrationLimits:
    """Largest dispersions that filters show under CWDA.

    Attributes
    ----------
    norm_cv, distance_cv : float
        Limits of the fields of `Concentration`.
    cosine_rms : float
        Limit of the root mean square cosine, sqrt(cosine_mean^2 + cosine_sd^2).
    """

    norm_cv: float
    distance_cv: float
    cosine_rms: float


def predict_concentration(fitted: FittedLayer) -> Concentration:
    """Expected norms, distances and angles of the filters of a layer.

    Parameters
    ----------
    fitted : FittedLayer
        From `fit_layer`, or what a rung of the ladder makes of it.

    Examples
    --------
    >>> import torch
    >>> from cwda.layers import ConvLayer
    >>> from cwda.theory import BLOCK, fit_layer
    >>> rng = torch.Generator().manual_seed(0)
    >>> fitted = fit_layer(ConvLayer("conv", torch.randn(64, 16, 3, 3, generator=rng)))
    >>> expected = predict_concentration(BLOCK(fitted))
    >>> round(expected.norm_cv * math.sqrt(2 * 144), 1), round(expected.cosine_sd * 12, 1)
    (1.0, 1.0)
    """
    n, moments = fitted.n_filters, fitted.moments
    trace, trace_square = moments.trace, moments.trace_square
    squared = fitted.scales**2
    mean_energy, signal = fitted.mean_energy, fitted.mean_signal

    energy = squared * trace + mean_energy
    relative = (squared**2 * trace_square / 2 + squared * signal) / energy**2
    norms = np.sqrt(energy) * (1 - relative / 2)
    norm_variance = norms.var(ddof=1) + (energy * relative).mean()

    i, j = np.triu_indices(n, 1)
    spread = (squared[i] + squared[j]) * trace
    v = moments.l2_relative
    distances = np.sqrt(spread) * (1 - v / 2)
    distance_variance = distances.var() + spread.mean() * v * (n - 2) / (n - 1)

    product = energy[i] * energy[j]
    cosines = mean_energy / np.sqrt(product)
    own = (squared[i] * squared[j] * trace_square / product).mean() * _angle_factor(fitted)
    shared = ((squared[i] + squared[j]) * signal / product).mean()
    cosine_variance = cosines.var() + own * (1 - 1 / len(i)) + shared * (1 - 2 / n)
    return Concentration(
        norm_cv=math.sqrt(norm_variance) / float(norms.mean()),
        distance_cv=math.sqrt(distance_variance) / float(distances.mean()),
        distance_ratio=float(distances.mean()) / math.sqrt(2 * float(energy.mean())),
        cosine_mean=float(cosines.mean()),
        cosine_sd=math.sqrt(cosine_variance),
    )


def _angle_factor(fitted: FittedLayer) -> float:
    """1 + h: the mean squared cosine under CWDA in units of 1 / d_eff."""
    tr, tr2, tr3, _ = _traces(fitted)
    return 1 + 4 * tr2 / tr**2 - 4 * tr3 / (tr2 * tr)


def _traces(fitted: FittedLayer) -> list[float]:
    """Traces of the first four powers of Sigma."""
    values = fitted.sigma.eigenvalues
    return [float((values**power).sum()) for power in (1, 2, 3, 4)]


def concentration_limits(fitted: FittedLayer, level: float = 0.95) -> ConcentrationLimits:
    """Upper limits at `level` of the dispersions of filters of one scale and mean 0.

    A sample variance is taken as a multiple of chi-square with nu degrees of freedom that give
    it its relative variance, 2 / nu: of the norms nu = n - 1; of the distances, half of whose
    variance comes from the norms, 4 / nu = 1 / (n - 1) + (1 + 2 (n - 2) tr4 / tr2^2) / P; of
    the cosines nu = P / (1 + (n - 2) k), k = 2 tr4 / tr2^2 + 2 tr2 / tr^2 - 4 tr3 / (tr2 tr),
    which is 0 for equal eigenvalues.
    The limits hold the scatter of n filters, not the uncertainty of the fitted Sigma.

    Parameters
    ----------
    fitted : FittedLayer
        The layer under CWDA, `BLOCK(fit_layer(layer))`.
    level : float
        Probability of each to lie below its limit.
    """
    n = fitted.n_filters
    pairs = n * (n - 1) / 2
    tr, tr2, tr3, tr4 = _traces(fitted)
    uneven = 2 * tr4 / tr2**2
    angles = max(uneven + 2 * tr2 / tr**2 - 4 * tr3 / (tr2 * tr), 0.0)
    expected = predict_concentration(fitted)

    def limit(value: float, freedom: float) -> float:
        return value * math.sqrt(float(special.chdtri(freedom, 1 - level)) / freedom)

    return ConcentrationLimits(
        norm_cv=limit(expected.norm_cv, n - 1),
        distance_cv=limit(expected.distance_cv, 4 / (1 / (n - 1) + (1 + (n - 2) * uneven) / pairs)),
        cosine_rms=limit(
            math.sqrt(tr2 * _angle_factor(fitted)) / tr, pairs / (1 + (n - 2) * angles)
        ),
    )
