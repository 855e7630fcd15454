"""Kernel matrices over pairs of filters for the second-order conditions.

Each condition says that a squared norm is small, and has a U-statistic of degree 2,

    U = sum_{i != j} H_ij / (n (n - 1)),        H_ij = h(f_i, f_j),

whose kernel matrix H (n x n, zero diagonal) is a sum over input channels:

    mean          f_i . f_j
    variance      y_i . y_j,                    y = u - mean(u),  u = f * f
    positions     sum_p A~_p,ij^2
    within        sum_b B~_b,ij^2 - sum_p A~_p,ij^2                     (epsilon)
    between       (sum_b B~_b,ij)^2 - sum_b B~_b,ij^2                   (independence)
    halves        (sum_{even b} B~_b,ij) (sum_{odd b} B~_b,ij)

B_b is the Gram matrix of block b (one input channel), A_p that of position p alone. The
tilde is U-centring (Szekely & Rizzo 2014), which keeps the mean of the filters out of
the estimate of their covariance; those kernels have U = sum H / (n (n - 3)).

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

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.numerics.pairs.blocks import Centring, CompiledSums, block_sums
from cwda.numerics.pairs.chunks import Chunk, chunks
from cwda.numerics.pairs.products import PANEL, Rows
from cwda.progress import counter

__all__ = ["KernelName", "PairKernels", "pair_kernels"]

KernelName: TypeAlias = Literal["mean", "variance", "positions", "within", "between", "halves"]

#: Kernels of U-centred Gram matrices.
CENTRED: frozenset[KernelName] = frozenset({"positions", "within", "between", "halves"})

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
    total : Tensor or None
        Sum over i != j of the squared, U-centred Gram matrix, one number; with kernels that are
        U-centred. Over n (n - 3) it estimates trace(Sigma^2).
    """

    energy: Tensor
    mean: Tensor
    variance: Tensor | None = None
    positions: Tensor | None = None
    within: Tensor | None = None
    between: Tensor | None = None
    halves: Tensor | None = None
    total: Tensor | None = None

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
    empty = torch.empty(0, device=device, dtype=torch.float64)
    wanted = _possible(names, channels, positions)
    whole = {name: empty.new_empty(n, n) for name in wanted}
    total = empty.new_zeros(())
    height = max(1, ROW_NUMBERS // n // PANEL) * PANEL
    parts = [Rows(first, min(first + height, n)) for first in range(0, n, height)]
    with counter("pairs of filters", len(parts) * channels) as count:
        for rows in parts:
            sums = _Sums(rows, empty, blocks.shape, wanted)
            tiled = isinstance(sums.blocks, CompiledSums)
            for chunk in chunks(blocks, scale, device, raw="variance" in wanted, tiled=tiled):
                sums.add(chunk)
                count.advance(chunk.channels)
            total += sums.finish(whole)
    for matrix in whole.values():
        for rows in parts:
            rows.mirror(matrix)
        matrix.fill_diagonal_(0)
    centred = not CENTRED.isdisjoint(names)
    return PairKernels(sums.energy, total=2 * total if centred else None, **whole)


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
        self.on_mean, self.centred_energy = like.new_zeros(n), like.new_zeros(n)
        self.mean_energy = like.new_zeros(())
        self.even_energy = like.new_zeros(n)
        squares = not self.wanted.isdisjoint({"within", "between"})
        centred = squares or "positions" in self.wanted
        self.blocks = block_sums(rows, like, shape, squares=squares)
        self.positions = Centring(rows, like, n) if centred else None
        self.squares = rows.zeros(like) if "variance" in self.wanted else None

    def add(self, chunk: Chunk) -> None:
        """Add channels."""
        self.on_mean += chunk.z @ chunk.mean
        self.mean_energy += chunk.mean @ chunk.mean
        self.centred_energy += chunk.v.sum(dim=1)
        self.even_energy += chunk.v[:, chunk.channels_of(0)].sum(dim=1)
        if self.squares is not None and chunk.raw is not None:
            self.rows.add_product(self.squares, chunk.raw, chunk.raw)
        self.blocks.add(chunk)
        if self.positions is not None:
            self.positions.add(chunk.z, chunk.weighted, chunk.u)

    @property
    def energy(self) -> Tensor:
        """q of all filters."""
        return self.centred_energy + 2 * self.on_mean + self.mean_energy

    def finish(self, whole: dict[KernelName, Tensor]) -> Tensor:
        """Write these rows into the kernels; the sum of the squared Gram matrix left of i = j."""
        first, last = self.rows.first, self.rows.last

        def write(name: KernelName, rows: Tensor) -> None:
            whole[name][first:last, :last] = rows

        even, odd = self.blocks.grams
        write("mean", even + odd + self._both(self.on_mean) + self.mean_energy)
        if self.squares is not None:
            energy = self.energy
            write(
                "variance",
                self.squares.addr_(energy[first:last], energy[:last], alpha=-1 / self.dim),
            )
        even = self._centred(even, self.even_energy)
        odd = self._centred(odd, self.centred_energy - self.even_energy)
        if "halves" in self.wanted:
            write("halves", even * odd)
        total = even.add_(odd).square_()
        if self.positions is not None:
            positions = self.positions.squares + self.positions.sums()
            if "positions" in self.wanted:
                write("positions", positions)
            blocks = positions
            if not self.single:
                within = self.blocks.within(self.positions)
                blocks = within + positions
                if "within" in self.wanted:
                    write("within", within)
            if "between" in self.wanted:
                write("between", total - blocks)
        return total.tril_(first - 1).sum()

    def _both(self, x: Tensor) -> Tensor:
        """x_i + x_j, rows x columns."""
        return x[self.rows.first : self.rows.last, None] + x[: self.rows.last]

    def _centred(self, gram: Tensor, energy: Tensor) -> Tensor:
        """The U-centred Gram matrix, from that of centred filters and its diagonal."""
        c = 1 / (self.n - 2)
        return gram + self._both(c * energy) - energy.sum() * (c / (self.n - 1))
