"""Samples in standard form, and the standard normal law at their values."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Tails", "standardise_sorted", "tails", "upper_tail"]

# Values whose range is below twice this share of their size are constant but for rounding.
_CONSTANT = 16 * torch.finfo(torch.float64).eps


class Tails(NamedTuple):
    """Both tails of the standard normal law, each with full relative precision."""

    lower: Tensor
    upper: Tensor


def standardise_sorted(ordered: Tensor) -> tuple[Tensor, Tensor]:
    """Sorted rows with mean 0 and standard deviation 1 (with n - 1), in float64.

    Parameters
    ----------
    ordered : Tensor
        Shape (m, n), each row in ascending order, NaN last; overwritten if float64.

    Returns
    -------
    z : Tensor
        Shape (m, n); NaN throughout a degenerate row.
    degenerate : Tensor
        Shape (m,), bool: constant (but for rounding in float64), or not finite.
    """
    n = ordered.shape[1]
    first, last = ordered[:, :1].double(), ordered[:, -1:].double()
    size = torch.maximum(first.abs(), last.abs())
    finite = torch.isfinite(first) & torch.isfinite(last)
    varied = finite & (last / 2 - first / 2 > _CONSTANT * size)  # halves: the range may overflow
    # In units of a power of two near the largest magnitude, which changes no digit, squares
    # neither overflow nor vanish.
    exponent = torch.frexp(torch.where(finite, size, 0.0)).exponent.clamp(-1022, 1022)
    z = ordered.double().mul_(torch.ldexp(torch.ones_like(size), -exponent))
    z.sub_(z.mean(1, keepdim=True))
    sd = (torch.linalg.vecdot(z, z).unsqueeze(1) / (n - 1)).sqrt()
    z.mul_(torch.where(varied, 1 / sd, torch.nan))
    return z, ~varied.squeeze(1)


def tails(z: Tensor) -> Tails:
    """Phi(z) and 1 - Phi(z), elementwise."""
    t = z * math.sqrt(0.5)
    upper = torch.erfc(t).mul_(0.5)
    lower = t.neg_().erfc_().mul_(0.5)
    return Tails(lower, upper)


def upper_tail(z: Tensor) -> Tensor:
    """1 - Phi(z), elementwise, with full relative precision."""
    return torch.erfc(z * math.sqrt(0.5)).mul_(0.5)
