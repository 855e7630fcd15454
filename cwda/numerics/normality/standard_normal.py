"""Samples in standard form, and the standard normal law at their values."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Standardised", "Tails", "standardise_sorted", "tails", "upper_tail"]

# Values whose range is below twice this share of their size are constant but for rounding.
_CONSTANT = 16 * torch.finfo(torch.float64).eps


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
    size = torch.maximum(first.abs(), last.abs())
    finite = torch.isfinite(first) & torch.isfinite(last)
    varied = finite & (last / 2 - first / 2 > _CONSTANT * size)  # halves: the range may overflow
    # A power of two changes no digit, and squares then neither overflow nor vanish.
    exponent = torch.frexp(torch.where(finite, size, 0.0)).exponent.clamp(-1022, 1022)
    unit = torch.ldexp(torch.ones_like(size), -exponent)
    z = ordered.double().mul_(unit)
    mean = z.mean(1, keepdim=True)
    z.sub_(mean)
    # A norm, unlike a product with itself, makes no second copy of the rows.
    sd = torch.linalg.vector_norm(z, dim=1, keepdim=True) / math.sqrt(n - 1)
    sd = torch.where(varied, sd, torch.nan)
    z.mul_(1 / sd)
    return Standardised(z, unit, mean, sd, ~varied.squeeze(1))


def tails(z: Tensor) -> Tails:
    """Phi(z) and 1 - Phi(z), elementwise."""
    t = z * math.sqrt(0.5)
    upper = torch.erfc(t).mul_(0.5)
    lower = t.neg_().erfc_().mul_(0.5)
    return Tails(lower, upper)


def upper_tail(z: Tensor) -> Tensor:
    """1 - Phi(z), elementwise, with full relative precision."""
    return torch.erfc(z * math.sqrt(0.5)).mul_(0.5)
