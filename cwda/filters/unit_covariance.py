"""Covariance of the directions of filters inside the blocks, without the excess of few filters.

With n filters the squares of sample covariances are too large by about 1 / n. They are shrunk, by
one factor for the variances and one for what lies off the diagonal, until their sums are those of
unbiased estimates. These take one pass over the weights: the sum over i != j of x_i x_j is the
square of the sum less the sum of the squares.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cwda.filters.unit_sums import UnitSums

__all__ = ["unit_covariance"]


def unit_covariance(sums: UnitSums) -> Tensor:
    """The blocks of the covariance of filters divided by their root mean square.

    Parameters
    ----------
    sums : UnitSums
        Of n >= 4 filters.

    Returns
    -------
    Tensor
        N x k^2 x k^2, float64.

    Examples
    --------
    >>> from cwda.filters.unit_sums import filter_norms, unit_sums
    >>> filters = torch.randn(64, 4, 9, generator=torch.Generator().manual_seed(0)).double()
    >>> blocks = unit_covariance(unit_sums(filters, filter_norms(filters.flatten(1))))
    >>> blocks.shape, round(float(blocks.diagonal(dim1=1, dim2=2).mean()), 1)
    (torch.Size([4, 9, 9]), 1.0)
    """
    n, products = len(sums.l1), sums.products
    diagonal = products.diagonal(dim1=1, dim2=2)
    # Taken about the sample mean, both lose a factor (n - 1) / n a filter.
    pairs = (n - 1) ** 2
    blocks_squared = (products.square().sum() - sums.block_squares) / pairs
    variances_squared = (diagonal.square().sum() - sums.weight_squares) / pairs
    variances = diagonal / (n - 1)
    mean = variances.mean()
    deviation = variances - mean
    even = variances.numel() * mean.square()
    shrunk = mean + _shrinkage(variances_squared - even, deviation) * deviation
    # Scaled to the shrunk variances as a whole, the matrices keep their correlations.
    factor = (shrunk / variances.where(variances > 0, 1.0)).sqrt().where(variances > 0, 0.0)
    scaled = products * (factor[:, :, None] * factor[:, None, :] / (n - 1))
    off = scaled - torch.diag_embed(scaled.diagonal(dim1=1, dim2=2))
    shrinkage = _shrinkage(blocks_squared - variances_squared, off)
    blocks: Tensor = torch.diag_embed(shrunk) + shrinkage * off
    return blocks


def _shrinkage(unbiased: Tensor, sample: Tensor) -> Tensor:
    """Factor 0 to 1 that brings the sum of squares of `sample` down to its unbiased estimate."""
    squares = sample.square().sum()
    return (unbiased / squares.where(squares > 0, 1.0)).clamp(0, 1).sqrt()
