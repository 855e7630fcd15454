"""Some input channels of all filters, as the sums over pairs take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.numerics.compiled.compiler import compiled
from cwda.numerics.compiled.threads import in_threads

__all__ = ["Chunk", "chunks", "worth_compiling"]

#: Doubles in one chunk (4 MiB): long enough for matrix products to run at full speed, small beside
#: the layers where that matters. On a GPU every call costs.
NUMBERS, NUMBERS_ELSEWHERE = 1 << 19, 1 << 24

#: Multiplications n^2 d from which on a layer is worth loading compiled code, .2 seconds.
WORTH_COMPILED = 1 << 26

#: Columns that one thread centres at a time: long enough for loops over them.
_TOGETHER = 256


@dataclass(frozen=True)
class Chunk:
    """Input channels of all filters about their mean, float64; m = channels x k^2.

    Attributes
    ----------
    first, channels, positions : int
        Number of the first channel, how many there are, and k^2.
    z : Tensor
        Centred filters, n x m.
    mean : Tensor
        What was subtracted, (m,).
    u : Tensor
        z squared.
    weighted : Tensor
        (2 c u - s) z with c = 1 / (n - 2), s = c sum_i u / (n - 1).
    raw : Tensor or None
        Squares before the mean was subtracted, if asked for.
    v : Tensor
        Energy of each filter in each channel, n x channels.
    tiles : Tensor or None
        z as the compiled loop over blocks takes it.
    """

    first: int
    channels: int
    positions: int
    z: Tensor
    mean: Tensor
    u: Tensor
    weighted: Tensor
    raw: Tensor | None
    v: Tensor
    tiles: Tensor | None = None

    @property
    def by_channel(self) -> Tensor:
        """The centred filters, n x channels x k^2."""
        return self.z.view(len(self.z), self.channels, self.positions)

    def channels_of(self, parity: int) -> slice:
        """The even channels, 0, of the layer, or the odd ones, 1."""
        return slice((parity + self.first) % 2, None, 2)


def worth_compiling(shape: torch.Size, device: torch.device) -> bool:
    """Whether compiled loops shall be used for a layer, n x N x k^2."""
    n, channels, positions = shape
    return device.type == "cpu" and n * n * channels * positions >= WORTH_COMPILED


def chunks(
    blocks: Tensor, scale: float, device: torch.device, *, raw: bool, tiled: bool
) -> Iterator[Chunk]:
    """The filters, n x N x k^2, divided by `scale`, some channels at a time."""
    n, channels, positions = blocks.shape
    numbers = NUMBERS if device.type == "cpu" else NUMBERS_ELSEWHERE
    size = max(1, numbers // (n * positions))
    centre = None
    if worth_compiling(blocks.shape, device):
        centre = compiled("centring", "centre")
    for first in range(0, channels, size):
        part = blocks[:, first : first + size]
        if centre is None:
            yield _chunk(part, scale, device, first, raw)
        else:
            yield _compiled_chunk(part, scale, first, raw, tiled, centre)


def _chunk(part: Tensor, scale: float, device: torch.device, first: int, raw: bool) -> Chunk:
    n, channels, positions = part.shape
    c = 1 / (n - 2)
    x = torch.empty(part.shape, device=device, dtype=torch.float64)
    x = x.copy_(part).div_(scale).view(n, -1)
    squares = x.square() if raw else None
    # From the first filter on, sums stay small where all filters are alike.
    origin = x[0].clone()
    average = x.sub_(origin).mean(dim=0)
    z = x.sub_(average)
    u = z.square()
    weighted = (2 * c * u).sub_(u.sum(dim=0) * (c / (n - 1))).mul_(z)
    v = u.view(part.shape).sum(dim=2)
    mean = origin + average
    return Chunk(first, channels, positions, z, mean, u, weighted, squares, v)


def _compiled_chunk(
    part: Tensor, scale: float, first: int, raw: bool, tiled: bool, centre: Callable[..., None]
) -> Chunk:
    from cwda.numerics.compiled.block_squares import WIDTH

    n, channels, positions = part.shape
    m = channels * positions
    z = torch.empty((n, m), dtype=torch.float64)
    z.view(part.shape).copy_(part)
    mean, v = z.new_empty(m), z.new_empty(n, channels)
    u, weighted = z.new_empty(n, m), z.new_empty(n, m)
    squares = z.new_empty(n if raw else 0, m)
    count = -(-n // WIDTH) if tiled else 0
    tiles = z.new_empty(count, m, WIDTH)
    if tiled:
        tiles[-1].zero_()  # beyond the last filter there are zeros
    outputs = [each.numpy() for each in (mean, u, weighted, squares, v, tiles)]

    together = -(-_TOGETHER // positions)

    def share(start: int) -> None:
        stop = min(start + together, channels)
        centre(z.numpy(), scale, positions, start, stop, *outputs)

    in_threads(share, range(0, channels, together))
    kept = squares if raw else None
    return Chunk(
        first, channels, positions, z, mean, u, weighted, kept, v, tiles if tiled else None
    )
