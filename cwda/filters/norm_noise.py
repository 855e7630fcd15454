"""The noise of the norms of filters, from how their parts differ: no law of the weights is taken.

A norm to its power is a sum over the parts of a filter, its input channels: q_j = sum_c q_jc. At
one scale s_j the parts are s_j^p (e_c + h_jc), and if the h are independent, q_j scatters with the
variance sum_c Var(h_jc). The shares q_jc / q_j do not know s_j. With w_c their means, and variances
of the parts in the ratio of w_c^2, which those of kernels of one shape have,

    E sum_c (q_jc / q_j - w_c)^2 = V (1 - 2 sum w^3 / sum w^2 + sum w^2),

V the relative variance of q. So tails of the weights heavier than normal, weights that are zero
and kernels of unequal scale count, whatever their law. What channels have in common does not show
in the shares, and is added as it is of normal weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.filters.norm_moments import NormMoments, norm_moments

__all__ = ["NormNoise", "PartNoise", "norm_noise", "part_noise"]

#: With fewer channels, as counted by their energies, single weights are parts as well: three
#: channels say little of the noise.
FEW_CHANNELS = 4

#: Standard errors that noise lies above that of normal weights by chance once in twenty times: only
#: what exceeds them counts.
CHANCE = 1.645

#: If less of the noise is left in the shares, they say nothing of it: one part holds nearly all.
LEAST_KEPT = 0.1

#: Relative variances are given up to this: beyond it the sum is mostly one part.
LARGEST_SHARE = 0.9


@dataclass(frozen=True)
class PartNoise:
    """How far a sum of independent parts scatters at one scale.

    Attributes
    ----------
    relative : float
        V, the variance of the sum over its squared mean.
    kept : float
        What the shares keep of it: 1 of many parts, 1 - 1 / C of C alike, 0 of one.
    log_error : float
        Standard error of log V, by the scatter over the filters.
    """

    relative: float
    kept: float
    log_error: float


@dataclass(frozen=True)
class NormNoise:
    """Scatter of the norms of filters of one scale.

    Attributes
    ----------
    l1, l2 : float
        Variances of log l1 and log l2.
    normal_l1, normal_l2 : float
        What they are of normal weights with the same covariance.
    log_error : float
        Standard error of the logarithm of `l2`; 0 where that is `normal_l2`.
    """

    l1: float
    l2: float
    normal_l1: float
    normal_l2: float
    log_error: float


def part_noise(parts: Tensor) -> PartNoise:
    """The noise of sums of parts, free of the scales of the filters.

    The shares of gamma parts of one shape, such as the squared norms of isotropic channels, have
    the variance V / (1 + V) in place of V, which is taken back.

    Parameters
    ----------
    parts : Tensor
        n filters x parts, not negative, float64; no row is zero.

    Examples
    --------
    Of 64 channels of 9 normal weights V is 2 / 576 = .0035:

    >>> weights = torch.randn(64, 64, 9, generator=torch.Generator().manual_seed(0)).double()
    >>> found = part_noise(weights.square().sum(dim=2))
    >>> round(found.relative, 4), round(found.kept, 3)
    (0.0035, 0.984)
    """
    n = len(parts)
    shares = parts / parts.sum(dim=1, keepdim=True)
    means = shares.mean(dim=0)
    squares = (shares - means).square().sum(dim=1)
    second, third = means.square().sum(), means.pow(3).sum()
    numbers = (1 - 2 * third / second + second, squares.mean(), squares.std() / math.sqrt(n))
    kept, mean, error = torch.stack(numbers).tolist()
    found = min(mean * n / (n - 1) / max(kept, LEAST_KEPT), LARGEST_SHARE)
    return PartNoise(found / (1 - found), kept, error / mean if mean > 0 else 0.0)


def norm_noise(filters: Tensor, blocks: Tensor, effective_dim: float) -> NormNoise:
    """How far the norms of filters of one scale scatter, as their parts show it.

    Parts are the input channels, whose scatter has the covariance inside them; where they are few,
    the weights too, with the covariance inside the blocks added as it is of normal weights. So is,
    for both, covariance between channels. The larger counts, if it exceeds that of normal weights
    by more than chance would have it.

    Parameters
    ----------
    filters : Tensor
        n x N x k^2, float64; no filter is zero.
    blocks : Tensor
        Covariance of the channels, N x k^2 x k^2.
    effective_dim : float
        That of the whole covariance matrix; NaN where it is not known.

    Examples
    --------
    Weights with heavier tails scatter more:

    >>> from cwda.filters.unit_covariance import unit_covariance
    >>> from cwda.filters.unit_sums import filter_norms, unit_sums
    >>> weights = torch.randn(64, 64, 9, generator=torch.Generator().manual_seed(0)).double()
    >>> for filters in (weights, weights**3):
    ...     blocks = unit_covariance(unit_sums(filters, filter_norms(filters.flatten(1))))
    ...     noise = norm_noise(filters, blocks, 576.0)
    ...     print(round(noise.l2 / noise.normal_l2, 1))
    1.0
    17.8
    """
    moments = norm_moments(blocks)
    v1, v2 = moments.l1_relative, moments.l2_relative
    # The squares of correlations, which add to both, are weighted alike by l1 and l2.
    between = max(1 / (2 * effective_dim) - v2, 0.0) if math.isfinite(effective_dim) else 0.0
    normal = math.log1p(v1 + between), v2 + between
    l1, l2, error = *normal, 0.0
    energy = filters.square().sum(dim=2)
    ways = [(filters.abs().sum(dim=2), energy, between, between)]
    level = energy.sum(dim=0)
    if float(level.sum().square() / level.square().sum()) < FEW_CHANNELS:
        inside = _inside(blocks, moments)
        weights = filters.abs().flatten(1)
        ways.append((weights, weights.square(), between + inside[0], between + inside[1]))
    for sizes, energies, added1, added2 in ways:
        size, square = part_noise(sizes), part_noise(energies)
        if min(size.kept, square.kept) < LEAST_KEPT:
            continue
        found = math.log1p(size.relative + added1 / size.kept)
        if found > max(l1, normal[0] * math.exp(CHANCE * size.log_error)):
            l1 = found
        own = square.relative / 4
        found = own + added2 / square.kept
        spread = square.log_error * own / found
        if found > max(l2, normal[1] * math.exp(CHANCE * spread)):
            l2, error = found, spread
    return NormNoise(l1, l2, *normal, error)


def _inside(blocks: Tensor, moments: NormMoments) -> tuple[float, float]:
    """What covariance inside the blocks adds to the relative variances of l1 and l2."""
    variances = blocks.diagonal(dim1=1, dim2=2)
    l1 = (1 - 2 / math.pi) * moments.trace / moments.l1_mean**2
    l2 = float(variances.square().sum()) / (2 * moments.trace**2)
    return max(moments.l1_relative - l1, 0.0), max(moments.l2_relative - l2, 0.0)
