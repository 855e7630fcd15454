"""The law that CWDA predicts for a score: one place to change it for all figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cwda.theory import FittedLayer, isotropic_moments

__all__ = ["ScoreLaw", "predicted_law"]

Array = npt.NDArray[np.float64]

# How the logarithm of a score changes with that of its filter's scale, the others fixed.
_SCALE_EXPONENT = {"l1": 1.0, "l2": 1.0, "gm": 0.5, "fermat": 1.0}


@dataclass(frozen=True)
class ScoreLaw:
    """A log-normal law; with a small `log_sd`, as CWDA predicts it, a normal one.

    Attributes
    ----------
    mean : float
        Mean of the score.
    log_sd : float
        SD of its logarithm.
    """

    mean: float
    log_sd: float

    @property
    def cv(self) -> float:
        """Coefficient of variation."""
        return math.sqrt(math.expm1(self.log_sd**2))

    def density(self, x: Array) -> Array:
        """Density at x > 0."""
        z = (np.log(x / self.mean) + self.log_sd**2 / 2) / self.log_sd
        return np.asarray(np.exp(-(z**2) / 2) / (x * self.log_sd * math.sqrt(2 * math.pi)))


def predicted_law(fitted: FittedLayer, criterion: str, rung: str, unit: float) -> ScoreLaw:
    """Law of one filter's score.

    Under `block` l1 has its exact moments; l2, gm and fermat have those of isotropic filters in
    d_eff dimensions (Satterthwaite: q = l2^2 has mean and variance of (tr / d_eff) times a
    chi-squared variable of d_eff degrees). `scale` multiplies filters by s_j, E s^2 = 1: t =
    Var(log s) adds t to the variance of log l1, log l2 and log fermat, and t / 4 to that of
    log gm, a sum of distances sqrt(s_j^2 + s_k^2) (first order in t).

    Parameters
    ----------
    fitted : FittedLayer
        What `cwda.theory.fit_layer` returns.
    criterion : {"l1", "l2", "gm", "fermat"}
        The score.
    rung : {"block", "scale"}
        The model.
    unit : float
        Root mean square of the weights, the unit of the fit.
    """
    block = fitted.block
    dim = max(round(block.effective_dim), 1)
    if criterion == "l1":
        mean, relative = block.l1_mean, block.l1_relative
    else:
        sigma = math.sqrt(block.trace / dim)
        found = isotropic_moments(criterion, dim, sigma=sigma, n_filters=fitted.n_filters)
        mean, relative = found.mean, found.relative_sd**2
    log_variance = math.log1p(relative)
    if rung == "scale":
        # E s = exp(-t / 2) where E s^2 = 1; a sum over filters of squares loses half of it.
        t, exponent = fitted.log_scale_variance, _SCALE_EXPONENT[criterion]
        mean *= math.exp(-exponent * t / 2)
        log_variance += exponent**2 * t
    return ScoreLaw(unit * mean, math.sqrt(log_variance))
