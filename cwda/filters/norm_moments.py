"""Moments of the norms l1 and l2 of Gaussian filters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.errors import CwdaError

__all__ = ["NormMoments", "arcsine_kernel", "norm_moments"]

#: E |x| of a standard normal x.
MEAN_ABSOLUTE = math.sqrt(2 / math.pi)


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

    @property
    def log_ratio_variance(self) -> float:
        """Var(log(l1 / l2)) = v1 + v2 - 2 c, to leading order in 1 / d."""
        return self.l1_relative + self.l2_relative - 2 * self.covariance_relative


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

    Raises
    ------
    CwdaError
        If the blocks are not such a tensor.

    Examples
    --------
    >>> moments = norm_moments(torch.eye(9).expand(64, 9, 9))
    >>> round(moments.effective_dim), round(moments.covariance_relative * 2 * 576, 9)
    (576, 1.0)
    """
    square = isinstance(blocks, Tensor) and blocks.ndim == 3 and blocks.shape[1] == blocks.shape[2]
    if not square:
        raise CwdaError("the blocks of Sigma are a tensor of shape N x k^2 x k^2")
    blocks = blocks.double()
    variances = blocks.diagonal(dim1=1, dim2=2)
    sd = variances.clamp(min=0).sqrt()
    products = sd[:, :, None] * sd[:, None, :]
    correlation = (blocks / products.where(products > 0, 1.0)).clamp(-1, 1)
    kernel = arcsine_kernel(correlation)
    cross = (correlation.square() * products * sd[:, None, :]).sum()
    sums = (sd.sum(), (products * kernel).sum(), variances.sum(), blocks.square().sum(), cross)
    absolute, l1_variance, trace, trace_square, covariance = torch.stack(sums).tolist()
    return NormMoments(
        l1_mean=MEAN_ABSOLUTE * absolute,
        l1_variance=l1_variance,
        trace=trace,
        trace_square=trace_square,
        covariance=MEAN_ABSOLUTE * covariance,
    )


def arcsine_kernel(correlation: Tensor) -> Tensor:
    """Cov(|x|, |y|) of standard normal x, y: (2/pi) (r asin r + sqrt(1 - r^2) - 1).

    The series r^2/2 + r^4/24 + r^6/80 + 5 r^8/896 replaces the difference where |r| < 0.03.
    """
    square = correlation.square()
    direct = correlation * correlation.asin() + (1 - square).clamp(min=0).sqrt() - 1
    series = square * (1 / 2 + square * (1 / 24 + square * (1 / 80 + square * (5 / 896))))
    return 2 / math.pi * torch.where(square < 9e-4, series, direct)
