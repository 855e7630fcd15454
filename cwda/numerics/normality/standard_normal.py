"""Samples in standard form, and the standard normal law at their values."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "CONSTANT",
    "Standardised",
    "Tails",
    "size_unit",
    "standardise_sorted",
    "tails",
    "upper_tail",
]

#: Values whose range is below twice this share of their size are constant but for rounding.
CONSTANT = 16 * torch.finfo(torch.float64).eps


class Tails(NamedTuple):
    """Both tails of the standard normal law, each with full relative precision."""

    lower: Tensor
    upper: Tensor


class Standardised(NamedTuple):
    """Sorted rows in standard form: z = (x unit - mean) / sd.

    Attributes
    ----------
    z : Tensor
        Shape (m, n), float64; NaN throughout a degenerate row.
    unit, mean, sd : Tensor
        Shape (m, 1), float64; the unit is a power of two that brings the largest magnitude of
        the row near 1, sd is with n - 1 and NaN in a degenerate row.
    degenerate : Tensor
        Shape (m,), bool: constant (but for rounding in float64), or not finite.
    """

    z: Tensor
    unit: Tensor
    mean: Tensor
    sd: Tensor
    degenerate: Tensor


def standardise_sorted(ordered: Tensor) -> Standardised:
    """Rows (m, n) in ascending order, NaN last, in standard form; float64 rows are overwritten."""
    n = ordered.shape[1]
    first, last = ordered[:, :1].double(), ordered[:, -1:].double()
    unit, varied = size_unit(first, last)
    z = ordered.double().mul_(unit)
    mean = z.mean(1, keepdim=True)
    z.sub_(mean)
    # A norm, unlike a product with itself, makes no second copy of the rows.
    sd = torch.linalg.vector_norm(z, dim=1, keepdim=True) / math.sqrt(n - 1)
    sd = torch.where(varied, sd, torch.nan)
    z.mul_(1 / sd)
    return Standardised(z, unit, mean, sd, ~varied.squeeze(1))


def size_unit(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """A power of two that brings the largest magnitude near 1, and whether values vary at all.

    Values vary if they are finite and their range is more than rounding; `low` and `high` are
    the smallest and the largest of each sample, float64, NaN if there is one.
    """
    size = torch.maximum(low.abs(), high.abs())
    finite = torch.isfinite(low) & torch.isfinite(high)
    varied = finite & (high / 2 - low / 2 > CONSTANT * size)  # halves: the range may overflow
    # A power of two changes no digit, and squares then neither overflow nor vanish.
    exponent = torch.frexp(torch.where(finite, size, 0.0)).exponent.clamp(-1022, 1022)
    return torch.ldexp(torch.ones_like(size), -exponent), varied


def tails(z: Tensor) -> Tails:
    """Phi(z) and 1 - Phi(z), elementwise."""
    t = z * math.sqrt(0.5)
    upper = torch.erfc(t).mul_(0.5)
    lower = t.neg_().erfc_().mul_(0.5)
    return Tails(lower, upper)


def upper_tail(z: Tensor) -> Tensor:
    """1 - Phi(z), elementwise, with full relative precision."""
    return torch.erfc(z * math.sqrt(0.5)).mul_(0.5)
