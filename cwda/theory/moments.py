"""Moments of the importance scores of Gaussian filters, and of their rank correlation.

Criteria, for filters f_1 .. f_n in R^d: l1 and l2 are norms of f_j; `gm` is the sum of the
distances of f_j to all filters; `fermat` its distance to their Fermat point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy import special
from torch import Tensor

from cwda.errors import CriterionError, CwdaError, nearest

__all__ = [
    "CRITERIA",
    "NormMoments",
    "ScoreMoments",
    "arcsine_kernel",
    "expected_spearman",
    "isotropic_moments",
    "norm_moments",
    "ratio_variance",
]

#: The norm-based criteria, in the order of tables.
CRITERIA = ("l1", "l2", "gm", "fermat")

#: E |x| of a standard normal x.
MEAN_ABSOLUTE = math.sqrt(2 / math.pi)

#: d - (E chi_d)^2 as a series in 1/d; the direct difference loses d eps of its accuracy.
_CHI_VARIANCE = (1 / 2, -1 / 8, -1 / 16, 5 / 128, 23 / 256, -53 / 1024, -593 / 2048, 5165 / 32768)
_SERIES_FROM = 32


@dataclass(frozen=True)
class ScoreMoments:
    """Mean and variance of one filter's score.

    Attributes
    ----------
    mean, variance : float
        In units of the weights, and of the weights squared.
    """

    mean: float
    variance: float

    @property
    def relative_sd(self) -> float:
        """Coefficient of variation of the score."""
        return math.sqrt(self.variance) / self.mean


def isotropic_moments(
    criterion: str, dim: int, *, sigma: float = 1.0, n_filters: int | None = None
) -> ScoreMoments:
    """Mean and variance of a score under f_j ~ N(0, sigma^2 I_d), i.i.d.

    With m(d) = sqrt(2) Gamma((d+1)/2) / Gamma(d/2), the mean of chi_d:

    - l1: sqrt(2/pi) sigma d and (1 - 2/pi) sigma^2 d;
    - l2: sigma m and sigma^2 (d - m^2);
    - gm: (n-1) sqrt(2) sigma m and, exactly, 2 sigma^2 (n-1) [(d - m^2) + (n-2) m^2 (F - 1)],
      F = 2F1(-1/2, -1/2; d/2; 1/4), as distances from one filter have correlated coordinates;
    - fermat: mean sigma sqrt(1 - 1/n) m, as for the centroid, which the Fermat point tends to
      as d grows. Its weights 1 / distance draw it towards small filters, so that the variance
      is, to first order in 1/d, sigma^2 (1 - 1/n) (d - m^2) (1 + (2/n) / (1 - 2/n)^2).

    Parameters
    ----------
    criterion : {"l1", "l2", "gm", "fermat"}
        The score.
    dim : int
        d = N k^2.
    sigma : float
        SD of a weight.
    n_filters : int, optional
        n = N'; needed for gm and fermat.

    Raises
    ------
    CwdaError
        If the criterion is unknown or a number impossible.

    References
    ----------
    Huang et al. (2021), table 2. Kibble (1941) for E |x||y| of correlated normal vectors.

    Examples
    --------
    >>> round(isotropic_moments("l2", 576).relative_sd, 4)
    0.0295
    """
    _require(criterion, dim, sigma)
    if criterion == "l1":
        return ScoreMoments(MEAN_ABSOLUTE * sigma * dim, (1 - 2 / math.pi) * sigma**2 * dim)
    variance = _chi_variance(dim)
    mean_square = dim - variance
    if criterion == "l2":
        return ScoreMoments(sigma * math.sqrt(mean_square), sigma**2 * variance)
    if n_filters is None or n_filters < 3:
        raise CwdaError(f"{criterion} needs n_filters, 3 or more, not {n_filters}")
    if criterion == "fermat":
        shrunk = sigma**2 * (1 - 1 / n_filters)
        pull = 1 + 2 / n_filters / (1 - 2 / n_filters) ** 2
        return ScoreMoments(math.sqrt(shrunk * mean_square), shrunk * variance * pull)
    others = n_filters - 1
    shared = mean_square * _hypergeometric_excess(dim / 2)
    return ScoreMoments(
        others * sigma * math.sqrt(2 * mean_square),
        2 * sigma**2 * others * (variance + (others - 1) * shared),
    )


def _require(criterion: str, dim: int, sigma: float) -> None:
    if criterion not in CRITERIA:
        raise CriterionError(f"unknown criterion {criterion!r}{nearest(criterion, CRITERIA)}")
    if dim < 1:
        raise CwdaError(f"dim must be 1 or more, not {dim}")
    if not (math.isfinite(sigma) and sigma > 0):
        raise CwdaError(f"sigma must be a positive number, not {sigma}")


def _chi_variance(dim: int) -> float:
    if dim >= _SERIES_FROM:
        return math.fsum(term / dim**power for power, term in enumerate(_CHI_VARIANCE))
    half = dim / 2
    return float(dim - 2 * math.exp(2 * (special.gammaln(half + 0.5) - special.gammaln(half))))


def _hypergeometric_excess(c: float) -> float:
    """2F1(-1/2, -1/2; c; 1/4) - 1, by its series so that nothing cancels."""
    term, total, k = 1.0, 0.0, 0
    while term > 1e-17 * total:
        term *= (k - 0.5) ** 2 / ((c + k) * (k + 1)) / 4
        total += term
        k += 1
    return total


def ratio_variance(dim: int) -> float:
    """Variance of l1 over l2 relative to its squared mean, isotropic filters; exact.

    l1/l2 is independent of l2 (Basu), so with R = l1/l2, E R = E l1 / E l2 and
    E R^2 = E l1^2 / E l2^2; the ratio variance of theorem 3.1 is
    Var(R) / (E R)^2 = (1 + (pi/2 - 1)/d) m(d)^2 / d - 1 = (pi - 3) / (2 d) + O(d^-2).

    Parameters
    ----------
    dim : int
        d = N k^2.

    References
    ----------
    Huang et al. (2021), theorem 3.1.

    Examples
    --------
    >>> round(576 * ratio_variance(576), 4), round((math.pi - 3) / 2, 4)
    (0.0705, 0.0708)
    """
    _require("l1", dim, 1.0)
    spread, chi = math.pi / 2 - 1, _chi_variance(dim)
    return (spread - chi - spread * chi / dim) / dim


def expected_spearman(rho: float, n: int) -> float:
    """Expected Spearman coefficient of n draws of a bivariate normal law.

    6 / (pi (n + 1)) * (asin(rho) + (n - 2) asin(rho / 2)), which tends to (6/pi) asin(rho/2).

    Parameters
    ----------
    rho : float
        Pearson correlation of the (log-)scores, -1 to 1.
    n : int
        Number of filters.

    References
    ----------
    Moran (1948), Rank correlation and product-moment correlation, Biometrika 35, 203-206.

    Examples
    --------
    >>> round(expected_spearman(math.sqrt(1 / (math.pi - 2)), 10**9), 3)
    0.93
    """
    return 6 / (math.pi * (n + 1)) * (math.asin(rho) + (n - 2) * math.asin(rho / 2))


@dataclass(frozen=True)
class NormMoments:
    """Second-order moments of l1 and of q = l2^2 of a filter N(0, Sigma).

    Attributes
    ----------
    l1_mean, l1_variance : float
        E l1 = sqrt(2/pi) sum s_p and sum_pq s_p s_q (2/pi) (r asin r + sqrt(1 - r^2) - 1).
    trace, trace_square : float
        E q = trace(Sigma), and trace(Sigma^2); Var q is twice the latter.
    covariance : float
        Cov(l1, q) = sqrt(2/pi) sum_pq r_pq^2 s_p a_q.
    """

    l1_mean: float
    l1_variance: float
    trace: float
    trace_square: float
    covariance: float

    @property
    def effective_dim(self) -> float:
        """d_eff = tr(Sigma)^2 / tr(Sigma^2); d under Sigma = sigma^2 I."""
        return self.trace**2 / self.trace_square

    @property
    def l1_relative(self) -> float:
        """v1 = Var(l1) / (E l1)^2."""
        return self.l1_variance / self.l1_mean**2

    @property
    def l2_relative(self) -> float:
        """v2 = tr(Sigma^2) / (2 tr(Sigma)^2) = 1 / (2 d_eff), for l2 to leading order."""
        return 1 / (2 * self.effective_dim)

    @property
    def covariance_relative(self) -> float:
        """c = Cov(l1, q) / (2 E l1 E q), for l1 with l2 to leading order."""
        return self.covariance / (2 * self.l1_mean * self.trace)


def norm_moments(blocks: Tensor) -> NormMoments:
    """Moments of l1 and l2^2 of a filter whose Sigma is block diagonal.

    Parameters
    ----------
    blocks : Tensor
        The blocks of Sigma, N x k^2 x k^2 (1 x d x d for a full matrix), any floating dtype;
        variances may be zero.

    Returns
    -------
    NormMoments

    Examples
    --------
    >>> found = norm_moments(torch.eye(9).expand(64, 9, 9))
    >>> round(found.effective_dim), round(found.covariance_relative * 2 * 576, 9)
    (576, 1.0)
    """
    blocks = blocks.double()
    variances = blocks.diagonal(dim1=1, dim2=2)
    sd = variances.clamp(min=0).sqrt()
    products = sd[:, :, None] * sd[:, None, :]
    correlation = (blocks / products.where(products > 0, 1.0)).clamp(-1, 1)
    kernel = arcsine_kernel(correlation)
    cross = (correlation.square() * products * sd[:, None, :]).sum()
    return NormMoments(
        l1_mean=MEAN_ABSOLUTE * float(sd.sum()),
        l1_variance=float((products * kernel).sum()),
        trace=float(variances.sum()),
        trace_square=float(blocks.square().sum()),
        covariance=MEAN_ABSOLUTE * float(cross),
    )


def arcsine_kernel(correlation: Tensor) -> Tensor:
    """Cov(|x|, |y|) of standard normal x, y: (2/pi) (r asin r + sqrt(1 - r^2) - 1).

    The series r^2/2 + r^4/24 + r^6/80 + 5 r^8/896 replaces the difference where |r| < 0.03.
    """
    square = correlation.square()
    direct = correlation * correlation.asin() + (1 - square).clamp(min=0).sqrt() - 1
    series = square * (1 / 2 + square * (1 / 24 + square * (1 / 80 + square * (5 / 896))))
    return 2 / math.pi * torch.where(square < 9e-4, series, direct)
