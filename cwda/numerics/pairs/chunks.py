"""Some input channels of all filters, as the sums over pairs take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.numerics.compiled.compiler import compiled
from cwda.numerics.compiled.threads import in_threads

__all__ = ["Chunk", "chunks", "worth_compiling"]

#: Doubles in one chunk (2 MiB): long enough for matrix products to run at full speed, small beside
#: the layers where that matters. On a GPU every call costs.
NUMBERS, NUMBERS_ELSEWHERE = 1 << 18, 1 << 24

#: Multiplications n^2 d from which on compiled code is used: loading it takes half a second per
#: process, which networks of smaller layers do not repay.
WORTH_COMPILED = 1 << 28

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
    weighted : Tensor or None
        (2 c u - s) z with c = 1 / (n - 2), s = c sum_i u / (n - 1), if asked for.
    thirds : Tensor
        sum_i u z and sum_i v z, with v of the channel, 2 x m.
    energy, v : Tensor
        Sums over each channel of the squares before and after the mean was subtracted,
        n x channels.
    tiles : Tensor or None
        z as the compiled loop over blocks takes it.
    """

    first: int
    channels: int
    positions: int
    z: Tensor
    mean: Tensor
    u: Tensor
    weighted: Tensor | None
    thirds: Tensor
    energy: Tensor
    v: Tensor
    tiles: Tensor | None = None

    @property
    def by_channel(self) -> Tensor:
        """The centred filters, n x channels x k^2."""
        return self.z.view(len(self.z), self.channels, self.positions)

    @property
    def mean_of_halves(self) -> Tensor:
        """The mean in the even and in the odd channels of the layer, 2 x m, 0 elsewhere."""
        mean = self.mean.view(self.channels, self.positions)
        halves = mean.new_zeros(2, *mean.shape)
        for parity in (0, 1):
            halves[parity, self.channels_of(parity)] = mean[self.channels_of(parity)]
        return halves.flatten(1)

    def channels_of(self, parity: int) -> slice:
        """The even channels, 0, of the layer, or the odd ones, 1."""
        return slice((parity + self.first) % 2, None, 2)


def worth_compiling(shape: torch.Size, device: torch.device) -> bool:
    """Whether compiled loops shall be used for a layer, n x N x k^2."""
    n, channels, positions = shape
    return device.type == "cpu" and n * n * channels * positions >= WORTH_COMPILED


def chunks(
    blocks: Tensor, scale: float, device: torch.device, *, weighted: bool, tiled: bool
) -> Iterator[Chunk]:
    """The filters, n x N x k^2, divided by `scale`, some channels at a time.

    A chunk lasts until the next is asked for, since both may share their memory.
    """
    n, channels, positions = blocks.shape
    numbers = NUMBERS if device.type == "cpu" else NUMBERS_ELSEWHERE
    size = max(1, numbers // (n * positions))
    centre = None
    if worth_compiling(blocks.shape, device):
        centre = compiled("centring", "centre")
    if centre is not None:
        buffers = _Buffers(n, min(size, channels), positions, weighted=weighted, tiled=tiled)
    for first in range(0, channels, size):
        part = blocks[:, first : first + size]
        if centre is None:
            yield _chunk(part, scale, device, first, weighted)
        else:
            yield buffers.fill(part, scale, first, centre)


def _chunk(part: Tensor, scale: float, device: torch.device, first: int, weighted: bool) -> Chunk:
    n, channels, positions = part.shape
    c = 1 / (n - 2)
    x = torch.empty(part.shape, device=device, dtype=torch.float64)
    x = x.copy_(part).div_(scale).view(n, -1)
    energy = x.square().view(part.shape).sum(dim=2)
    # From the first filter on, sums stay small where all filters are alike.
    origin = x[0].clone()
    average = x.sub_(origin).mean(dim=0)
    z = x.sub_(average)
    u = z.square()
    v = u.view(part.shape).sum(dim=2)
    cubes = u * z
    own = (v[:, :, None] * z.view(part.shape)).sum(dim=0)
    thirds = torch.stack([cubes.sum(dim=0), own.view(-1)])
    lead = None
    if weighted:
        lead = cubes.mul_(2 * c).addcmul_(z, u.sum(dim=0), value=-c / (n - 1))
    return Chunk(first, channels, positions, z, origin + average, u, lead, thirds, energy, v)


class _Buffers:
    """Memory for one chunk that is centred by compiled code, used again for the next."""

    def __init__(
        self, n: int, channels: int, positions: int, *, weighted: bool, tiled: bool
    ) -> None:
        from cwda.numerics.compiled.block_squares import WIDTH

        self.weighted, self.tiled, self._width = weighted, tiled, WIDTH
        size = n * channels * positions
        self._wide = torch.empty(3 if weighted else 2, size, dtype=torch.float64)
        padded = -(-n // WIDTH) * WIDTH * channels * positions if tiled else 0
        self._tiles = torch.empty(padded, dtype=torch.float64)

    def fill(self, part: Tensor, scale: float, first: int, centre: Callable[..., None]) -> Chunk:
        """The chunk of these channels; it lasts until the next."""
        n, channels, positions = part.shape
        m = channels * positions
        z, u, *lead = (row[: n * m].view(n, m) for row in self._wide)
        mean, energy, v = z.new_empty(m), z.new_empty(n, channels), z.new_empty(n, channels)
        weighted, thirds = lead[0] if lead else z.new_empty(0, m), z.new_empty(2, m)
        count = -(-n // self._width) if self.tiled else 0
        tiles = self._tiles[: count * m * self._width].view(count, m, self._width)
        if count:
            tiles[-1].zero_()  # beyond the last filter there are zeros
        z.view(part.shape).copy_(part)
        outputs = [each.numpy() for each in (mean, u, weighted, thirds, energy, v, tiles)]
        together = -(-_TOGETHER // positions)

        def share(start: int) -> None:
            stop = min(start + together, channels)
            centre(z.numpy(), scale, positions, start, stop, *outputs)

        in_threads(share, range(0, channels, together))
        return Chunk(
            first, channels, positions, z, mean, u, weighted if self.weighted else None, thirds,
            energy, v, tiles if self.tiled else None,
        )  # fmt: skip
