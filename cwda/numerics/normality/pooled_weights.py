"""All weights of a layer in standard form: how many lie below a threshold, and the supremum.

Two ways with equal results: `SortedWeights` sorts them, `BucketedWeights` sorts only those few
buckets of a histogram that matter, in compiled loops.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.numerics.compiled.buckets import BUCKETS, COMPARE
from cwda.numerics.compiled.threads import in_threads
from cwda.numerics.normality.loops import loops_for
from cwda.numerics.normality.sorting import sort_rows
from cwda.numerics.normality.standard_normal import size_unit, upper_tail

__all__ = ["BucketedWeights", "Counts", "Pooled", "SortedWeights", "counted"]

# Number of weights in work at once; with fewer than 32,768 torch starts no threads of its own.
_TILE_SERIAL = (1 << 15) - 1
_TILE_CPU, _TILE_OTHER = 1 << 18, 1 << 24
# The same for compiled loops, which have no temporaries but a copy of half and odd layouts.
_CHUNK = 1 << 22
# Values between two at which the supremum is first looked for.
_STRIDE = 64


@dataclass(frozen=True, eq=False)
class Pooled:
    """The common mean and standard deviation of all weights, and the sums of each filter.

    Attributes
    ----------
    filters : Tensor
        Shape (n, d), as given.
    unit, mean, factor : float
        z = (x unit - mean) factor is in standard form; the factor is NaN, as the sums, where
        the weights are constant or not finite.
    sums, squares : Tensor
        Shape (n,), float64: sums of z and of z^2 over each filter.
    """

    filters: Tensor
    unit: float
    mean: float
    factor: float
    sums: Tensor
    squares: Tensor

    @classmethod
    def of(cls, filters: Tensor) -> Pooled:
        """Sums over blocks of filters, added in an order that no number of threads changes."""
        filters = filters.detach()
        (n, d), total = filters.shape, filters.numel()
        # Blocks that torch leaves to one thread: those it starts keep their core for a while.
        height = max(1, (_TILE_SERIAL if filters.device.type == "cpu" else _TILE_OTHER) // d)
        blocks = filters.split(height)
        sums, squares = filters.new_empty((2, n), dtype=torch.float64)
        low, high = filters.new_empty((2, len(blocks)), dtype=torch.float64)

        for i, x in enumerate(blocks):
            low[i], high[i] = x.aminmax()
        unit_, varied = size_unit(low.min(), high.max())
        if not bool(varied):
            return cls(filters, 1.0, math.nan, math.nan, *(sums.fill_(math.nan),) * 2)
        unit = float(unit_)
        shift = float((blocks[0].double() * unit).mean())

        def add(i: int) -> None:
            rows = slice(i * height, (i + 1) * height)
            z = blocks[i].to(torch.float64, copy=True).mul_(unit).sub_(shift)
            torch.sum(z, 1, out=sums[rows])
            torch.sum(z.square_(), 1, out=squares[rows])

        for last in (False, True):
            for i in range(len(blocks)):  # so short that threads would only wait for each other
                add(i)
            off = float(sums.sum()) / total
            variance = (float(squares.sum()) - total * off * off) / (total - 1)
            if last or off * off < 100 * variance:
                break  # else the first block was no guide to the mean: digits would be lost
            shift += off
        factor = 1 / math.sqrt(variance) if variance > 0 else math.nan
        squares += off * (d * off - 2 * sums)
        sums -= d * off
        return cls(filters, unit, shift + off, factor, sums * factor, squares * factor**2)


class Counts(Protocol):
    """What a distance of the weights from a law asks of them."""

    def supremum(self) -> tuple[float, float]:
        """The largest deviation of the weights' law from the normal one, signed; its place."""

    def up_to(self, points: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """How many weights lie at or below each point, and how many of the *other* filters at
        or below each threshold of a filter: shapes (K,) and (n, K), ascending in K."""


def counted(pooled: Pooled) -> Counts:
    """The faster way for these weights on this machine."""
    names = "count", "collect", "count_up_to"
    loops = loops_for(pooled.filters.numel(), pooled.filters.device, "buckets", *names)
    if loops:
        return BucketedWeights(pooled, *loops)
    return SortedWeights(pooled)


def tile_rows(filters: Tensor) -> int:
    """How many filters make a block."""
    tile = _TILE_CPU if filters.device.type == "cpu" else _TILE_OTHER
    return max(1, tile // filters.shape[1])


class SortedWeights:
    """Counts in weights that are all sorted, with torch, on any device."""

    def __init__(self, pooled: Pooled) -> None:
        self._pooled = pooled
        self._z = self._standard(sort_rows(pooled.filters.reshape(1, -1)))[0]

    def _standard(self, ordered: Tensor) -> Tensor:
        pooled = self._pooled
        return ordered.double().mul_(pooled.unit).sub_(pooled.mean).mul_(pooled.factor)

    def supremum(self) -> tuple[float, float]:
        """See `Counts`.

        Phi is evaluated at every 64th value first: between two of them F and Phi only grow, so
        that the ends bound the deviation. Few stretches can hold the supremum; they are
        evaluated whole.
        """
        z = self._z
        m, device = len(z), z.device
        last = torch.tensor([m - 1], device=device)
        ends = torch.cat([torch.arange(0, m, _STRIDE, device=device), last])
        share, phi = ends.double() / m, _phi(z[ends])
        reached = torch.maximum(share + 1 / m - phi, phi - share).max()
        # In ends[i] .. ends[i + 1] no deviation exceeds these, of either sign.
        bound = torch.maximum(share[1:] + 1 / m - phi[:-1], phi[1:] - share[:-1])
        starts = ends[:-1][bound >= reached]
        rank = starts[:, None] + torch.arange(_STRIDE + 1, device=device)
        rank = rank.clamp(max=m - 1).reshape(-1)
        return _largest(z[rank], rank, m)

    def up_to(self, points: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """See `Counts`."""
        filters, others, height = self._pooled.filters, [], tile_rows(self._pooled.filters)
        for part, limits in zip(filters.split(height), thresholds.split(height), strict=True):
            own = torch.searchsorted(self._standard(sort_rows(part)), limits, right=True)
            others.append(torch.searchsorted(self._z, limits, right=True) - own)
        return torch.searchsorted(self._z, points, right=True), torch.cat(others)


class BucketedWeights:
    """Counts in weights in buckets; only a few of them are ever sorted."""

    def __init__(
        self,
        pooled: Pooled,
        count: Callable[..., None],
        collect: Callable[..., None],
        count_up_to: Callable[..., None],
    ) -> None:
        self._pooled, self._collect, self._count_up_to = pooled, collect, count_up_to
        self._form = pooled.unit, pooled.mean, pooled.factor
        n, d = pooled.filters.shape
        pieces = max(min(torch.get_num_threads(), n), -(-n * d // _CHUNK))
        self._parts = pooled.filters.split(-(-n // pieces))
        self._counts = np.zeros((len(self._parts), BUCKETS), np.int32)

        def work(i: int) -> None:
            count(_array(self._parts[i]), *self._form, self._counts[i])

        in_threads(work, range(len(self._parts)))
        self._below = np.zeros(BUCKETS + 1, np.int64)
        np.cumsum(self._counts.sum(0, dtype=np.int64), out=self._below[1:])

    def supremum(self) -> tuple[float, float]:
        """See `Counts`.

        F is known at the edges of the buckets. Between two edges F and Phi only grow, so that
        the edges bound the deviation; the values of those buckets that may hold the supremum
        are sorted.
        """
        m, phi = self._pooled.filters.numel(), _phi_at_edges()
        below, left = self._below, np.arange(0, BUCKETS, _STRIDE)
        for stride in (_STRIDE, 1):  # few stretches of 64 buckets need a closer look
            left = (left[:, None] + np.arange(0, _STRIDE, stride)).ravel()
            right = left + stride
            # Edges are no closer to the values than rounding allows.
            reached = np.abs(below[right] / m - phi[right]).max() - 1e-12
            above = below[right] / m - phi[left]
            beneath = phi[right] - below[left] / m
            left = left[np.maximum(above, beneath) >= reached]
        wanted = np.zeros(BUCKETS, bool)
        wanted[left] = True
        values = self._values(wanted)
        places = _buckets(values)
        rank = self._below[places] + np.arange(len(values)) - places.searchsorted(places)
        return _largest(torch.from_numpy(values), torch.from_numpy(rank), m)

    def _values(self, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """The values of some buckets, sorted."""
        found = [np.empty(int(counts[wanted].sum()) + 1) for counts in self._counts]

        def work(i: int) -> None:
            self._collect(_array(self._parts[i]), *self._form, wanted, found[i])

        in_threads(work, range(len(self._parts)))
        values = np.concatenate([part[:-1] for part in found])
        values.sort()
        return values

    def up_to(self, points: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """See `Counts`."""
        (n, k), flat = thresholds.shape, torch.cat([points, thresholds.reshape(-1)]).numpy()
        order = flat.argsort()
        shared = flat[order]
        starts = np.zeros(BUCKETS + 1, np.int32)
        np.cumsum(np.bincount(_buckets(shared), minlength=BUCKETS), out=starts[1:])
        own = np.pad(thresholds.numpy(), ((0, 0), (0, 1)), constant_values=np.inf)
        lowest, highest = _buckets(own[:, :k].min(0)), _buckets(own[:, :k].max(0))
        own_starts = np.repeat(
            np.arange(k + 1, dtype=np.int32), np.diff(highest, prepend=-1, append=BUCKETS - 1)
        )
        # Between the bands in which the thresholds of all filters lie, buckets tell enough.
        known = own_starts.astype(np.uint8)
        known[_buckets(points.numpy())] = COMPARE
        for low, high in zip(lowest, highest, strict=True):
            known[low : high + 1] = COMPARE
        own_counts = np.zeros((n, k + 1), np.int32)
        shared_counts = np.zeros((len(self._parts), len(flat) + 1), np.int32)
        height = len(self._parts[0])

        def work(i: int) -> None:
            rows = slice(i * height, (i + 1) * height)
            self._count_up_to(
                _array(self._parts[i]),
                *self._form,
                known,
                shared,
                starts,
                own[rows],
                own_starts,
                shared_counts[i],
                own_counts[rows],
            )

        in_threads(work, range(len(self._parts)))
        everywhere = np.empty(len(flat), np.int64)
        outside = np.where(known == COMPARE, 0, np.diff(self._below)).cumsum()
        everywhere[order] = shared_counts.sum(0, dtype=np.int64).cumsum()[:-1]
        everywhere += outside[_buckets(flat)]
        others = everywhere[k:].reshape(n, k) - own_counts.cumsum(1)[:, :k]
        return torch.from_numpy(everywhere[:k]), torch.from_numpy(others)


def _largest(z: Tensor, rank: Tensor, m: int) -> tuple[float, float]:
    """The largest deviation at some values of which the ranks, from 0, are known."""
    below = rank.double() / m - _phi(z)  # of the limit of F from below
    lowest, highest = int(below.argmin()), int(below.argmax())
    least, most = float(below[lowest]), float(below[highest]) + 1 / m
    return (most, float(z[highest])) if most > -least else (least, float(z[lowest]))


def _phi(z: Tensor) -> Tensor:
    return upper_tail(-z)


@lru_cache(maxsize=1)
def _phi_at_edges() -> npt.NDArray[np.float64]:
    """Phi at the lower edge of each bucket, and at the end; 0 and 1 at the outermost."""
    edges = torch.arange(BUCKETS + 1, dtype=torch.float64).sub_(32768.0).div_(4096.0)
    phi: npt.NDArray[np.float64] = _phi(edges).numpy()
    phi[0], phi[-1] = 0.0, 1.0
    return phi


def _buckets(z: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The bucket of each value, as the compiled loops have it."""
    return np.clip(z * 4096.0 + 32768.0, 0.0, 65535.0).astype(np.int64)


def _array(part: Tensor) -> npt.NDArray[Any]:
    """As contiguous numbers of a type that the compiled loops take."""
    dtype = torch.float64 if part.dtype == torch.float64 else torch.float32
    array: npt.NDArray[Any] = part.to(dtype).contiguous().numpy()
    return array
