"""Filters that are copies of one another, of either sign and any scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy import special
from torch import Tensor

from cwda.brief import brief

__all__ = ["SURE", "THRESHOLD", "Copies", "copies"]

#: Filters with a larger |cosine| are copies of one another: noise of less than half of their RMS
#: has been added.
THRESHOLD = 0.9

#: Filters with a larger cosine are copies even if only a mean that all filters share makes them
#: so: without its projection on the other, 1 - .99^2 = 2 % of the energy of a filter is left.
SURE = 0.99

#: Numbers of one panel of rows (16 MiB).
PANEL_NUMBERS = 1 << 21


@dataclass(frozen=True, eq=False)
class Copies:
    """Which of n filters are copies of others, and how close the closest are.

    Attributes
    ----------
    same, opposite : Tensor of bool
        Whether a filter has a partner of the same and of the opposite direction, (n,).
    nearest : Tensor
        Largest |cosine| of each filter with another, (n,): of the same direction the smaller of
        the cosines before and after the mean direction has been subtracted, so that a mean that
        all filters share makes no copies, but for cosines beyond .99, which count as they are.
    largest : float
        The largest of them all.
    effective_dim : float
        1 / mean squared cosine of the pairs that are no copies; infinite without such a pair.
    """

    same: Tensor
    opposite: Tensor
    nearest: Tensor
    largest: float
    effective_dim: float

    __repr__ = brief

    def log_tail(self, cosine: float) -> float:
        """Logarithm of P(some |cosine| exceeds this) under CWDA, at most 0.

        A squared cosine of independent isotropic filters in d dimensions has the law
        Beta(1/2, (d - 1) / 2). Of all pairs one exceeds it with their number times that
        probability at most. With `effective_dim` in place of d it errs in .05 or less of
        simulated layers at a nominal .05 where variances differ or weights correlate, too.
        """
        n = len(self.nearest)
        other = (self.effective_dim - 1) / 2
        square = min(cosine**2, 1.0)
        if math.isinf(other) or square == 1 or other <= 0:
            return -math.inf if other > 0 else 0.0
        tail = float(special.betainc(other, 0.5, 1 - square))
        # Where it underflows, the first term of its series.
        log_tail = (
            math.log(tail)
            if tail > 0
            else other * math.log1p(-square) - math.log(other) - float(special.betaln(0.5, other))
        )
        return min(log_tail + math.log(n * (n - 1) / 2), 0.0)


def copies(gram: Tensor, energy: Tensor) -> Copies:
    """Find copies among filters from their Gram matrix.

    Parameters
    ----------
    gram : Tensor
        f_i . f_j, n x n, float64; its diagonal is not read.
    energy : Tensor
        |f_i|^2, (n,), positive; n >= 4.

    Examples
    --------
    >>> filters = torch.randn(16, 36, generator=torch.Generator().manual_seed(0)).double()
    >>> filters[3] = -2 * filters[8]
    >>> gram = filters @ filters.T
    >>> found = copies(gram, gram.diagonal())
    >>> found.opposite.nonzero().flatten().tolist(), int(found.same.sum())
    ([3, 8], 0)
    """
    n = len(energy)
    weight = energy.rsqrt()
    rows = (weight * (gram @ weight - gram.diagonal() * weight) + 1) / n
    shift = rows.mean()
    left = (1 - 2 * rows + shift).clamp(min=0)  # squared norms less the mean direction
    scale = left.where(left > 1e-12, torch.inf).rsqrt()
    same, opposite = (torch.zeros(n, dtype=torch.bool, device=gram.device) for _ in range(2))
    nearest = torch.zeros_like(energy)
    sums = torch.zeros(2, dtype=torch.float64, device=gram.device)
    height = max(1, PANEL_NUMBERS // n)
    for first in range(0, n, height):
        part = slice(first, min(first + height, n))
        raw = gram[part] * weight[part, None] * weight
        centred = (raw - rows[part, None] - rows + shift) * scale[part, None] * scale
        raw.diagonal(offset=first).zero_()
        centred.diagonal(offset=first).zero_()
        close = torch.maximum(torch.minimum(raw, centred), -raw).where(raw <= SURE, raw)
        nearest[part] = close.max(dim=1).values
        same[part] = ((raw > 0) & (close > THRESHOLD)).any(dim=1)
        opposite[part] = (raw < -THRESHOLD).any(dim=1)
        # U-centred, so that the mean of few filters adds nothing.
        squares = (centred + 1 / (n - 1)).square_()
        squares.masked_fill_(close > THRESHOLD, 0.0)
        squares.diagonal(offset=first).zero_()
        sums += torch.stack([squares.count_nonzero().double(), squares.sum()])
    others, total = sums.tolist()
    # Centred with the mean of the same filters, which takes (n - 3) / (n - 1) off.
    mean = total / others * (n - 1) / (n - 3) if others else 0.0
    effective = max(1 / mean, 1.0) if mean > 0 else math.inf
    return Copies(same, opposite, nearest, float(nearest.max()), effective)
