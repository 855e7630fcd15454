"""The Henze-Zirkler test of joint normality, for many sets of points at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cwda.errors import CwdaError
from cwda.numerics.normality.standard_normal import upper_tail

__all__ = ["henze_zirkler"]

# Number of point pairs in work at once (CPU, other devices).
_PAIRS_CPU, _PAIRS_OTHER = 1 << 19, 1 << 25


def henze_zirkler(points: Tensor) -> tuple[Tensor, Tensor]:
    """Test each channel's kernels for joint normality.

    The weighted L2 distance between the empirical characteristic function of the whitened
    points and that of the normal law,

        HZ = (1/n) sum_jk exp(-b^2/2 ||y_j - y_k||^2)
             - 2 (1 + b^2)^(-p/2) sum_j exp(-b^2/(2(1 + b^2)) ||y_j||^2) + n (1 + 2 b^2)^(-p/2)

    with b = ((2p + 1) n / 4)^(1/(p+4)) / sqrt(2); the p-value from a lognormal law with the
    mean and variance of HZ under normality. It takes N n^2 exponentials.

    Parameters
    ----------
    points : Tensor
        Shape (n, N, p): n filters, N channels, p = k^2 >= 2 positions; any floating dtype.

    Returns
    -------
    statistic, pvalue : Tensor
        Shape (N,), float64; NaN where the covariance (with n) is singular or not finite, so
        wherever n <= p.

    Raises
    ------
    CwdaError
        If `points` has not three axes, n < 3 or p < 2 (for p = 1 see `marginals`).

    References
    ----------
    N. Henze, B. Zirkler (1990), A class of invariant consistent tests for multivariate
    normality, Communications in Statistics - Theory and Methods 19, 3595-3617.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.normality.henze_zirkler import henze_zirkler
    >>> points = torch.randn(50, 2, 4, generator=torch.Generator().manual_seed(1))
    >>> points[:, 1] = points[:, 1].exp()
    >>> statistic, pvalue = henze_zirkler(points)
    >>> bool(pvalue[0] > 0.05), bool(pvalue[1] < 1e-6)
    (True, True)
    """
    if points.ndim != 3 or points.shape[0] < 3 or points.shape[2] < 2:
        raise CwdaError(
            f"joint normality needs points of shape (n >= 3, channels, positions >= 2), "
            f"not {tuple(points.shape)}"
        )
    n, channels, p = points.shape
    b2 = ((2 * p + 1) * n / 4) ** (2 / (p + 4)) / 2
    pairs = _PAIRS_CPU if points.device.type == "cpu" else _PAIRS_OTHER
    width = max(1, pairs // n**2)
    statistic = torch.cat(
        [
            _statistic(_whiten(points[:, c : c + width].transpose(0, 1)), b2)
            for c in range(0, channels, width)
        ]
    )
    log_mean, log_sd = _lognormal(b2, p)
    return statistic, upper_tail((torch.log(statistic) - log_mean) / log_sd)


def _whiten(points: Tensor) -> Tensor:
    """(c, n, p) with mean 0 and covariance I (with n); NaN where that is impossible."""
    n, p = points.shape[1:]
    points = points.double()
    finite = torch.isfinite(points).all(2).all(1)[:, None, None]
    points = torch.where(finite, points, 0.0)
    size = points.abs().amax((1, 2), keepdim=True)
    centred = points / torch.where(size > 0, size, 1.0)
    centred -= centred.mean(1, keepdim=True)
    values, axes = torch.linalg.eigh(centred.mT @ centred / n)
    # numpy's criterion for the rank of a symmetric matrix.
    least = values[:, -1:] * p * torch.finfo(torch.float64).eps
    full = finite & ((values > least).all(1) & (n > p))[:, None, None]
    return torch.where(full, centred @ axes / values.unsqueeze(1).sqrt(), torch.nan)


def _statistic(y: Tensor, b2: float) -> Tensor:
    n, p = y.shape[1:]
    squares = torch.linalg.vecdot(y, y).unsqueeze(2)
    ones = torch.ones_like(squares)
    # -b^2/2 ||y_j - y_k||^2 as one product, so that the n x n matrix is passed over less often.
    left = torch.cat([b2 * y, -b2 / 2 * squares, ones], 2)
    right = torch.cat([y, ones, -b2 / 2 * squares], 2)
    pairs = torch.bmm(left, right.mT).exp_().sum((1, 2)) / n
    single = torch.exp(squares * (-b2 / (2 * (1 + b2)))).sum((1, 2))
    statistic: Tensor = pairs - 2 * (1 + b2) ** (-p / 2) * single + n * (1 + 2 * b2) ** (-p / 2)
    return statistic


def _lognormal(b2: float, p: int) -> tuple[float, float]:
    """Mean and standard deviation of log HZ under normality (Henze and Zirkler, theorem 2.3)."""
    a, w, b4, b8 = 1 + 2 * b2, (1 + b2) * (1 + 3 * b2), b2**2, b2**4
    mean = 1 - a ** (-p / 2) * (1 + p * b2 / a + p * (p + 2) * b4 / (2 * a**2))
    variance = (
        2 * (1 + 4 * b2) ** (-p / 2)
        + 2 * a**-p * (1 + 2 * p * b4 / a**2 + 3 * p * (p + 2) * b8 / (4 * a**4))
        - 4 * w ** (-p / 2) * (1 + 3 * p * b4 / (2 * w) + p * (p + 2) * b8 / (2 * w**2))
    )
    ratio = math.log1p(variance / mean**2)
    return math.log(mean) - ratio / 2, math.sqrt(ratio)
