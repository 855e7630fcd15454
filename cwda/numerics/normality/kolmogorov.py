"""Kolmogorov's distance between the law of a sample and the normal law."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["largest_deviation"]


def largest_deviation(probability: Tensor, before: int, n: int) -> Tensor:
    """sup |F_n - Phi| over columns before + 1, ... of sorted rows, from Phi(z) there.

    Both one-sided suprema; among equal values the largest rank gives F_n at the value and the
    smallest its limit from below, so ties need no care.
    """
    c = probability.shape[1]
    rank = torch.arange(before, before + c + 1, dtype=probability.dtype, device=probability.device)
    share = rank / n
    above = (share[1:] - probability).amax(1)
    below = (probability - share[:-1]).amax(1)
    return torch.maximum(above, below)
