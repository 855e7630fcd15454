"""Ranks of scores, and how far two rankings agree over their whole length.

Scores come as rows: (..., C, n) holds C scores for each of n items, and what compares them
is (..., C, C). A coefficient that is undefined (equal scores, fewer than two items, NaN)
is NaN.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["ascending", "kendall", "midranks", "spearman", "spearman_leave_one_out"]

# Number of signs held in memory at once by `kendall`. A sum of that many signs is exact in
# float32, in which the products are twice as fast.
_CHUNK = 1 << 22


def ascending(scores: Tensor, *, stable: bool = True) -> Tensor:
    """Indices that sort each row in ascending order, shape and device of `scores`.

    `stable` keeps equal scores in the order of their indices.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.ranking.ranks import ascending
    >>> ascending(torch.tensor([3.0, 1.0, 1.0]))
    tensor([1, 2, 0])
    """
    if scores.device.type != "cpu":
        return torch.argsort(scores, dim=-1, stable=stable)
    # numpy sorts several times faster than torch on the CPU
    return torch.from_numpy(
        np.argsort(scores.detach().numpy(), axis=-1, kind="stable" if stable else None)
    )


def midranks(scores: Tensor) -> Tensor:
    """Ranks from 1 to n along the last axis; equal scores share the mean of their ranks.

    Parameters
    ----------
    scores : Tensor
        Shape (..., n), any real dtype.

    Returns
    -------
    Tensor
        float64, same shape. A row with a NaN is NaN throughout.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.ranking.ranks import midranks
    >>> midranks(torch.tensor([[0.3, 0.1, 0.3, 0.2]]))
    tensor([[3.5000, 1.0000, 3.5000, 2.0000]], dtype=torch.float64)
    """
    n = scores.shape[-1]
    order = ascending(scores, stable=False)
    ordered = scores.gather(-1, order)
    place = torch.arange(n, device=scores.device).expand_as(order)
    starts = torch.ones_like(order, dtype=torch.bool)
    starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    ends = starts.roll(-1, -1)
    ends[..., -1:] = True
    first = place.where(starts, 0).cummax(-1).values
    last = place.where(ends, n).flip(-1).cummin(-1).values.flip(-1)
    mean = (first + last).to(torch.float64) / 2 + 1
    ranks = torch.empty_like(mean).scatter_(-1, order, mean)
    return ranks.masked_fill(scores.isnan().any(-1, keepdim=True), torch.nan)


def spearman(scores: Tensor) -> Tensor:
    r"""Spearman's rank correlation of all pairs of rows, (..., C, n) -> (..., C, C).

    rho_ab = corr(R_a, R_b), Pearson's correlation of the mid-ranks.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.ranking.ranks import spearman
    >>> spearman(torch.tensor([[1.0, 2, 3, 4], [1.0, 3, 2, 4]]))
    tensor([[1.0000, 0.8000],
            [0.8000, 1.0000]], dtype=torch.float64)
    """
    ranks = midranks(scores)
    centred = ranks - (scores.shape[-1] + 1) / 2
    return _correlation(centred @ centred.mT)


def _correlation(products: Tensor) -> Tensor:
    """Products of deviations (..., C, C) as correlations, NaN where a row is constant."""
    squares = products.diagonal(dim1=-2, dim2=-1)
    scale = (squares.unsqueeze(-1) * squares.unsqueeze(-2)).sqrt()
    return (products / scale).clamp(-1, 1)  # 0 / 0 is the NaN that is meant


def kendall(scores: Tensor) -> Tensor:
    r"""Kendall's tau-b of all pairs of rows, (C, n) -> (C, C).

    tau_b = S_ab / sqrt(S_aa S_bb),  S_ab = sum_{i, j} sign(a_i - a_j) sign(b_i - b_j).

    Takes O(C n^2) signs and O(C^2 n^2) additions, in blocks of bounded memory.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.ranking.ranks import kendall
    >>> kendall(torch.tensor([[1.0, 2, 3], [1.0, 3, 2]]))
    tensor([[1.0000, 0.3333],
            [0.3333, 1.0000]], dtype=torch.float64)
    """
    ranks = midranks(scores).to(torch.float32)  # exact: halves of whole numbers
    rows, n = ranks.shape
    total = torch.zeros(rows, rows, dtype=torch.float64, device=ranks.device)
    size = max(1, _CHUNK // max(1, n))
    for start in range(0, n, size):
        block = ranks[:, start : start + size]
        signs = (block.unsqueeze(2) - ranks.unsqueeze(1)).sign_().flatten(1)
        total += (signs @ signs.T).to(torch.float64)
    return _correlation(total)


def spearman_leave_one_out(scores: Tensor) -> Tensor:
    r"""Spearman's correlation without each item in turn, (C, n) -> (C, C, n).

    Without item i the mid-rank of j falls by h_ij = 1 if j is above i, 1/2 if they tie, so
    all sums over the new ranks follow from the old ones by matrix products, O(C^2 n^2).

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.ranking.ranks import spearman_leave_one_out
    >>> spearman_leave_one_out(torch.tensor([[1.0, 2, 3, 4], [1.0, 3, 2, 4]]))[0, 1]
    tensor([0.5000, 1.0000, 1.0000, 0.5000], dtype=torch.float64)
    """
    n = scores.shape[-1]
    # Deviations from n/2, the mean rank of the n - 1 that stay, keep the sums small.
    ranks = midranks(scores) - n / 2
    fall = ((ranks.unsqueeze(1) - ranks.unsqueeze(2)).sign() + 1) / 2
    fall.diagonal(dim1=1, dim2=2).zero_()
    crossed = torch.einsum("aij,bj->abi", fall, ranks)
    both = torch.einsum("aij,bij->abi", fall, fall)
    products = (ranks @ ranks.T).unsqueeze(-1) - ranks.unsqueeze(1) * ranks.unsqueeze(0)
    products = products - crossed - crossed.transpose(0, 1) + both
    return _correlation(products.permute(2, 0, 1)).permute(1, 2, 0)
