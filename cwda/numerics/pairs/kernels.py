"""Kernel matrices over pairs of filters for the second-order conditions.

Each condition says that a squared norm is small, and has a U-statistic of degree 2,

    U = sum_{i != j} H_ij / (n (n - 1)),        H_ij = h(f_i, f_j),

whose kernel matrix H (n x n, zero diagonal) is a sum over input channels:

    mean          f_i . f_j
    variance      y_i . y_j,                    y = u - mean(u),  u = z * z
    positions     sum_p A~_p,ij^2
    within        sum_b B~_b,ij^2 - sum_p A~_p,ij^2                     (epsilon)
    between       (sum_b B~_b,ij)^2 - sum_b B~_b,ij^2                   (independence)
    halves        (sum_{even b} B~_b,ij) (sum_{odd b} B~_b,ij)

B_b is the Gram matrix of block b (one input channel), A_p that of position p alone. The
tilde is U-centring (Szekely & Rizzo 2014), which keeps the mean of the filters out of
the estimate of their covariance; those kernels have U = sum H / (n (n - 3)). The variance kernel,
of the filters z about their sample mean, serves its test alone: the estimate itself, without bias,
comes from `cwda.numerics.pairs.moments`.

U-centring annihilates shifts, so the filters are first centred by their sample mean.
The row sums of every B_b are then -v_bi, v_bi = |z_ib|^2, and with c = 1 / (n - 2),
s_b = sum_i v_bi / ((n - 1)(n - 2)),

    B~_b,ij = B_b,ij + c (v_bi + v_bj) - s_b.

Its square, summed over positions, consists of Gram matrices: of u, of (2 c u - s) z with z, and
of z. Summed over blocks it is a loop on the CPU and consists of more Gram matrices elsewhere (see
`cwda.numerics.pairs.blocks`). Nothing of size d x d is formed; channels are taken in chunks, and
rows of the kernels too where there are thousands of filters, so that memory stays near the size of
the input and of the kernels themselves. Time grows as n^2 d.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.numerics.pairs.blocks import Centring, CompiledSums, block_sums
from cwda.numerics.pairs.chunks import Chunk, chunks
from cwda.numerics.pairs.products import PANEL, Rows
from cwda.progress import counter

__all__ = ["KernelName", "PairKernels", "pair_kernels", "whole_moments"]

KernelName: TypeAlias = Literal["mean", "variance", "positions", "within", "between", "halves"]

#: Kernels of U-centred Gram matrices.
CENTRED: frozenset[KernelName] = frozenset({"positions", "within", "between", "halves"})

#: Those for which the positions' squares have to be U-centred.
_OF_POSITIONS: frozenset[KernelName] = frozenset({"positions", "within", "between"})

#: Doubles in the rows of one matrix that are summed at a time (16 MiB): all rows of a layer of a
#: thousand filters.
ROW_NUMBERS = 1 << 21


@dataclass(frozen=True)
class PairKernels:
    """Kernel matrices of one layer, float64, n x n with zero diagonal.

    Attributes
    ----------
    energy : Tensor
        q_i = |f_i|^2, shape (n,).
    channel_energy : Tensor
        The same in each input channel, n x N.
    mean : Tensor
        f_i . f_j.
    variance : Tensor or None
        y_i . y_j.
    positions : Tensor or None
        Squares of the positions' U-centred Gram matrices, summed; its U estimates the sum of the
        squared variances.
    within : Tensor or None
        The epsilon kernel; None for kernels of one position.
    between : Tensor or None
        The independence kernel; None for one channel.
    halves : Tensor or None
        Products of the U-centred Gram matrices of the even and of the odd channels; None for one
        channel. Its U estimates the squared covariance of the two halves.
    projections : Tensor or None
        What `cwda.numerics.ranking.dispersion.overlap_of_halves` takes, 4 x n, with the halves'
        kernel: first z_i . m - v_i / (n - 2) less its mean, in the even and in the odd channels,
        with m the mean of the filters, z_i = f_i - m and v_i = |z_i|^2; then the sums over j != i
        of z_i . z_j in one half times the former of filter j in the other.
    moments : mapping of str to Tensor
        What `GramMoments` takes, 4 x n, of the filters as a "whole", of their "channels" and of
        their "positions". The first row is NaN for channels: it follows from the row sums of
        `within`. Empty where the mean alone was asked for.
    """

    energy: Tensor
    channel_energy: Tensor
    mean: Tensor
    variance: Tensor | None = None
    positions: Tensor | None = None
    within: Tensor | None = None
    between: Tensor | None = None
    halves: Tensor | None = None
    projections: Tensor | None = None
    moments: Mapping[str, Tensor] = field(default_factory=dict)

    __repr__ = brief


def pair_kernels(
    blocks: Tensor,
    names: Collection[KernelName] = get_args(KernelName),
    *,
    device: torch.device | str | None = None,
    scale: float = 1.0,
) -> PairKernels:
    """Kernel matrices of the second-order conditions.

    Parameters
    ----------
    blocks : Tensor
        Filters, n x N x k^2, any floating dtype; n >= 4.
    names : collection of str
        Which kernels; the mean is always there.
    device : torch.device or str, optional
        Where to compute, in float64; the device of `blocks` if not given.
    scale : float
        The filters are divided by it, against overflow of fourth powers.

    Returns
    -------
    PairKernels

    Examples
    --------
    >>> import torch
    >>> g = torch.Generator().manual_seed(0)
    >>> kernels = pair_kernels(torch.randn(32, 4, 9, generator=g, dtype=torch.float64))
    >>> kernels.within.shape, bool(kernels.within.diagonal().any())
    (torch.Size([32, 32]), False)
    """
    n, channels, positions = blocks.shape
    device = blocks.device if device is None else torch.device(device)
    wanted = _possible(names, channels, positions)
    if wanted == {"mean"}:
        return _mean_alone(blocks, device, scale)
    empty = torch.empty(0, device=device, dtype=torch.float64)
    stack = empty.new_empty(len(wanted), n, n)
    whole: dict[KernelName, Tensor] = dict(zip(wanted, stack, strict=True))
    squares, thirds = empty.new_zeros(n), empty.new_zeros(n)
    through_mean = empty.new_zeros(2, n)
    height = max(1, ROW_NUMBERS // n // PANEL) * PANEL
    parts = [Rows(first, min(first + height, n)) for first in range(0, n, height)]
    with counter("pairs of filters", len(parts) * channels) as count:
        for rows in parts:
            sums = _Sums(rows, empty, blocks.shape, wanted)
            tiled = isinstance(sums.blocks, CompiledSums)
            for chunk in chunks(blocks, scale, device, weighted=sums.centred, tiled=tiled):
                sums.add(chunk)
                count.advance(chunk.channels)
            sums.finish(whole, squares, thirds, through_mean)
    for rows in parts:
        rows.mirror(stack)
    stack.diagonal(dim1=1, dim2=2).zero_()
    by_channel = torch.cat(sums.by_channel, dim=1)
    moments = sums.moments(squares, thirds)
    projections = torch.cat([sums.projections, through_mean]) if "halves" in whole else None
    return PairKernels(
        by_channel.sum(dim=1), by_channel, moments=moments, projections=projections, **whole
    )


def _mean_alone(blocks: Tensor, device: torch.device, scale: float) -> PairKernels:
    filters = blocks.to(device, torch.float64) / scale
    flat = filters.flatten(1)
    by_channel = filters.square().sum(dim=2)
    gram = (flat @ flat.T).fill_diagonal_(0)
    return PairKernels(by_channel.sum(dim=1), by_channel, gram)


def whole_moments(filters: Tensor) -> Tensor:
    """What `GramMoments` takes, 4 x n, of filters, n x d, as a whole.

    Examples
    --------
    >>> whole_moments(torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64))[0].tolist()
    [2.0, 0.0, 2.0]
    """
    z = filters - filters.mean(dim=0)
    gram = z @ z.T
    v = gram.diagonal()
    return torch.stack([gram.square().sum(dim=1), v.square(), v * v.sum(), gram @ v])


def _possible(names: Collection[KernelName], channels: int, positions: int) -> set[KernelName]:
    """The kernels asked for that such a layer has."""
    wanted: set[KernelName] = {"mean", *names}
    if positions == 1:
        wanted -= {"within"}
    if channels == 1:
        wanted -= {"between", "halves"}
    return wanted


class _Sums:
    """Sums over channels from which some rows of the kernels are put together."""

    def __init__(
        self, rows: Rows, like: Tensor, shape: torch.Size, wanted: Collection[KernelName]
    ) -> None:
        n, channels, positions = shape
        self.rows, self.n, self.dim, self.wanted = rows, n, channels * positions, set(wanted)
        self.single = positions == 1
        #: z_i . m over the even and over the odd channels.
        self.on_mean, self.centred_energy = like.new_zeros(2, n), like.new_zeros(n)
        self.mean_energy = like.new_zeros(())
        self.by_channel: list[Tensor] = []
        self.even_energy = like.new_zeros(n)
        self.channel_squares, self.channel_totals = like.new_zeros(n), like.new_zeros(n)
        self.thirds = like.new_zeros(n, 2)
        #: Whether squares of the positions' Gram matrices are U-centred.
        self.centred = not self.wanted.isdisjoint(_OF_POSITIONS)
        squares = not self.wanted.isdisjoint({"within", "between"})
        self.blocks = block_sums(rows, like, shape, squares=squares)
        of_positions = self.centred or "variance" in self.wanted
        self.positions = Centring(rows, like, n) if of_positions else None

    def add(self, chunk: Chunk) -> None:
        """Add channels."""
        self.on_mean += chunk.mean_of_halves @ chunk.z.T
        self.mean_energy += chunk.mean @ chunk.mean
        self.centred_energy += chunk.v.sum(dim=1)
        self.by_channel.append(chunk.energy)
        self.even_energy += chunk.v[:, chunk.channels_of(0)].sum(dim=1)
        self.blocks.add(chunk)
        if self.positions is not None:
            self.positions.add(chunk.z, chunk.weighted, chunk.u)
            self.channel_squares += torch.linalg.vecdot(chunk.v, chunk.v)
            self.channel_totals += chunk.v @ chunk.v.sum(dim=0)
            self.thirds += chunk.z @ chunk.thirds.T

    def moments(self, squares: Tensor, thirds: Tensor) -> dict[str, Tensor]:
        """What `GramMoments` takes of each partition; of the whole, what `finish` has summed."""
        v = self.centred_energy
        found = {"whole": torch.stack([squares, v.square(), v * v.sum(), thirds])}
        if self.positions is not None:
            own, totals = self.positions.diagonal, self.positions.row_sums
            # A position's Gram matrix has rank 1: B_ij^2 = v_i v_j.
            found["positions"] = torch.stack([totals, own, totals, self.thirds[:, 0]])
            own, totals = self.channel_squares, self.channel_totals
            unknown = torch.full_like(own, torch.nan)
            found["channels"] = torch.stack([unknown, own, totals, self.thirds[:, 1]])
        return found

    @property
    def projections(self) -> Tensor:
        """z_i . m - v_i / (n - 2) less its mean, in the even and in the odd channels, 2 x n."""
        even = self.even_energy
        own = torch.stack([even, self.centred_energy - even])
        found = self.on_mean - own / (self.n - 2)
        return found - found.mean(dim=1, keepdim=True)

    def finish(
        self,
        whole: dict[KernelName, Tensor],
        squares: Tensor,
        thirds: Tensor,
        through_mean: Tensor,
    ) -> None:
        """Write these rows into the kernels, and add to (B^2)_ii and to (B v)_i of the whole.

        To `through_mean` is added what the projections of one half have from the other's pairs.
        """
        first, last = self.rows.first, self.rows.last

        def write(name: KernelName, rows: Tensor) -> None:
            whole[name][first:last, :last] = rows

        even, odd = self.blocks.grams
        gram = even + odd
        self._add_moments(gram.tril(first - 1), squares, thirds)
        write("mean", gram + self._both(self.on_mean.sum(dim=0)) + self.mean_energy)
        v = self.centred_energy
        if "variance" in self.wanted and self.positions is not None:
            products = self.positions.squares
            write("variance", torch.addr(products, v[first:last], v[:last], alpha=-1 / self.dim))
        if "halves" in self.wanted:
            self._add_through_mean(even, odd, through_mean)
            odd = self._centred(odd, v - self.even_energy)
            write("halves", odd.mul_(self._centred(even, self.even_energy)))
        if not self.centred or self.positions is None:
            return
        positions = self.positions.squares + self.positions.sums()
        if "positions" in self.wanted:
            write("positions", positions)
        if not self.single:
            within = self.blocks.within(self.positions)
            if "within" in self.wanted:
                write("within", within)
            positions += within
        if "between" in self.wanted:
            write("between", self._centred(gram, v).square_().sub_(positions))

    def _add_moments(self, left: Tensor, squares: Tensor, thirds: Tensor) -> None:
        """Of the centred Gram matrix left of its diagonal, for the pairs in these rows."""
        rows, columns = slice(self.rows.first, self.rows.last), slice(self.rows.last)
        v = self.centred_energy
        thirds[rows] += left @ v[columns] + v[rows].square()
        thirds[columns] += v[rows] @ left
        left.square_()
        squares[rows] += left.sum(dim=1) + v[rows].square()
        squares[columns] += left.sum(dim=0)

    def _add_through_mean(self, even: Tensor, odd: Tensor, sums: Tensor) -> None:
        rows, columns = slice(self.rows.first, self.rows.last), slice(self.rows.last)
        for out, gram, other in zip(sums, (even, odd), self.projections.flip(0), strict=True):
            left = gram.tril(self.rows.first - 1)
            out[rows] += left @ other[columns]
            out[columns] += other[rows] @ left

    def _both(self, x: Tensor) -> Tensor:
        """x_i + x_j, rows x columns."""
        return x[self.rows.first : self.rows.last, None] + x[: self.rows.last]

    def _centred(self, gram: Tensor, energy: Tensor) -> Tensor:
        """The U-centred Gram matrix, from that of centred filters and its diagonal."""
        c = 1 / (self.n - 2)
        return gram + self._both(c * energy) - energy.sum() * (c / (self.n - 1))
