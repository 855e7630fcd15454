"""Some input channels of all filters, as the sums over pairs take them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Chunk", "chunks"]

#: Doubles in one chunk (4 MiB): long enough for matrix products to run at full speed, small beside
#: the layers where that matters. On a GPU every call costs.
NUMBERS, NUMBERS_ELSEWHERE = 1 << 19, 1 << 24


@dataclass(frozen=True)
class Chunk:
    """Input channels of all filters about their mean, float64.

    Attributes
    ----------
    z : Tensor
        Centred filters, channels x k^2 x n.
    mean : Tensor
        What was subtracted, channels x k^2 x 1.
    u : Tensor
        z squared.
    first : int
        Number of the first channel.
    """

    z: Tensor
    mean: Tensor
    u: Tensor
    first: int


def chunks(blocks: Tensor, scale: float, device: torch.device) -> Iterator[Chunk]:
    """The filters, n x N x k^2, divided by `scale`, some channels at a time."""
    n, channels, positions = blocks.shape
    numbers = NUMBERS if device.type == "cpu" else NUMBERS_ELSEWHERE
    size = max(1, numbers // (n * positions))
    for first in range(0, channels, size):
        part = blocks[:, first : first + size]
        x = torch.empty((part.shape[1], positions, n), device=device, dtype=torch.float64)
        x.copy_(part.permute(1, 2, 0)).div_(scale)
        mean = x.mean(dim=2, keepdim=True)
        z = x.sub_(mean)
        yield Chunk(z, mean, z.square(), first)
