"""Kernel matrices over pairs of filters for the second-order conditions.

Each condition says that a squared norm is small, and has a U-statistic of degree 2,

    U = sum_{i != j} H_ij / (n (n - 1)),        H_ij = h(f_i, f_j),

whose kernel matrix H (n x n, zero diagonal) is a sum of matrix products:

    mean          f_i . f_j
    variance      y_i . y_j,                    y = u - mean(u),  u = f * f
    epsilon       sum_b B~_b,ij^2 - sum_p A~_p,ij^2
    independence  (sum_b B~_b,ij)^2 - sum_b B~_b,ij^2

B_b is the Gram matrix of block b (one input channel), A_p that of position p alone. The
tilde is U-centring (Szekely & Rizzo 2014), which keeps the mean of the filters out of
the estimate of their covariance; those kernels have U = sum H / (n (n - 3)).

U-centring annihilates shifts, so the filters are first centred by their sample mean.
The row sums of every B_b are then -v_bi, v_bi = |z_ib|^2, and with c = 1 / (n - 2),
s_b = sum_i v_bi / ((n - 1)(n - 2)),

    B~_b,ij = B_b,ij + c (v_bi + v_bj) - s_b.

Its square, summed over blocks, consists of Gram matrices: of the products z_p z_q of one
block, of (2 c v_bi - s_b) z_b with z_b, and of v. Nothing of size d x d is formed, and
the channels are taken in chunks, so that memory stays near the size of the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.numerics.gram import PanelGram

__all__ = ["PairKernels", "pair_kernels"]

#: Doubles in one chunk of filters and in one of their products (4 and 8 MiB): long enough
#: for matrix products to run at full speed, small beside the layers where that matters.
CHUNK_NUMBERS, PRODUCT_NUMBERS = 1 << 19, 1 << 20

#: Above this kernel size the k^2 (k^2 - 1) / 2 products of a block cost more than
#: forming the block's n x n Gram matrix and squaring it.
LARGEST_EXPANDED_KERNEL = 25


@dataclass(frozen=True)
class PairKernels:
    """Kernel matrices of one layer, float64, n x n with zero diagonal.

    Attributes
    ----------
    energy : Tensor
        q_i = |f_i|^2, shape (n,).
    gram : Tensor
        f_i . f_j with the energies on its diagonal.
    mean : Tensor
        Off-diagonal part of the Gram matrix.
    variance : Tensor or None
        y_i . y_j off the diagonal.
    total : Tensor or None
        Squares of the U-centred Gram matrix; its U estimates trace(Sigma^2).
    within : Tensor or None
        The epsilon kernel; None for kernels of one position.
    between : Tensor or None
        The independence kernel; None for one channel.
    """

    energy: Tensor
    gram: Tensor
    mean: Tensor
    variance: Tensor | None
    total: Tensor | None
    within: Tensor | None
    between: Tensor | None

    __repr__ = brief


def pair_kernels(
    blocks: Tensor,
    *,
    device: torch.device | str | None = None,
    scale: float = 1.0,
    variance: bool = True,
    covariance: bool = True,
) -> PairKernels:
    """Kernel matrices of the mean, variance, epsilon and independence conditions.

    Parameters
    ----------
    blocks : Tensor
        Filters, n x N x k^2, any floating dtype; n >= 4.
    device : torch.device or str, optional
        Where to compute, in float64; the device of `blocks` if not given.
    scale : float
        The filters are divided by it, against overflow of fourth powers.
    variance, covariance : bool
        Whether the variance kernel, and the kernels of U-centred Gram matrices, are
        wanted; the cost is about n^2 d operations for the mean alone, 10 times that for
        all.

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
    n, channels, kernel_size = blocks.shape
    device = blocks.device if device is None else torch.device(device)
    sums = _Sums(n, device, kernel_size, variance, covariance)
    for part in _channel_chunks(blocks):
        # Positions before channels: the products of positions are then contiguous.
        shape = (n, kernel_size, part.shape[1])
        chunk = torch.empty(shape, device=device, dtype=torch.float64)
        sums.add(chunk.copy_(part.transpose(1, 2)).div_(scale))
    return sums.finish(channels, channels * kernel_size)


def _channel_chunks(blocks: Tensor) -> Iterator[Tensor]:
    n, _, kernel_size = blocks.shape
    return iter(blocks.split(max(1, CHUNK_NUMBERS // (n * kernel_size)), dim=1))


class _Sums:
    """Sums over channels of the Gram matrices from which the kernels are put together."""

    def __init__(
        self, n: int, device: torch.device, kernel_size: int, variance: bool, covariance: bool
    ) -> None:
        blocks = covariance and kernel_size > 1
        expanded = kernel_size <= LARGEST_EXPANDED_KERNEL
        self.n, self.kernel_size, self.centring = n, kernel_size, 1 / (n - 2)
        self.on_mean = torch.zeros(n, device=device, dtype=torch.float64)
        self.mean_energy = torch.zeros((), device=device, dtype=torch.float64)
        self.gram = PanelGram(n, device)
        self.squares = PanelGram(n, device) if variance else None
        self.positions = _CentredSquares(n, device) if covariance else None
        self.blocks = _CentredSquares(n, device) if blocks and expanded else None
        self.products = PanelGram(n, device) if blocks and expanded else None
        self.direct = self.on_mean.new_zeros(n, n) if blocks and not expanded else None

    def add(self, x: Tensor) -> None:
        """Add channels: `x` is n x k^2 x channels, and is overwritten."""
        n = self.n
        if self.squares is not None:
            self.squares.add(x.view(n, -1).square())
        mean = x.mean(dim=0)
        z = x.sub_(mean)
        self.on_mean += z.view(n, -1) @ mean.view(-1)
        self.mean_energy += mean.square().sum()
        self.gram.add(z.view(n, -1))
        if self.positions is None:
            return
        u = z.square()
        self.positions.add(z, u)
        if self.products is not None and self.blocks is not None:
            self.blocks.add(z, u.sum(dim=1, keepdim=True))
            pairs = self.kernel_size * (self.kernel_size - 1) // 2
            for part in z.split(max(1, PRODUCT_NUMBERS // (n * pairs)), dim=2):
                self.products.add(_position_products(part).view(n, -1))
        elif self.direct is not None:
            self._add_directly(z, u.sum(dim=1))

    def _add_directly(self, z: Tensor, v: Tensor) -> None:
        assert self.direct is not None
        c = self.centring
        shift = v.sum(dim=0) * (c / (self.n - 1))
        for z_b, v_b, s_b in zip(z.unbind(2), v.unbind(1), shift, strict=True):
            centred = torch.addmm(c * (v_b[:, None] + v_b) - s_b, z_b, z_b.T)
            self.direct.addcmul_(centred, centred)

    def finish(self, channels: int, dim: int) -> PairKernels:
        gram_centred = self.gram.symmetric()
        gram = gram_centred + self.on_mean[:, None] + self.on_mean + self.mean_energy
        energy = gram.diagonal().clone()
        variance = total = within = between = None
        if self.squares is not None:
            variance = self.squares.symmetric().addr_(energy, energy, alpha=-1 / dim)
            variance.fill_diagonal_(0)
        if self.positions is not None:
            total = self._total(gram_centred)
            positions = self.positions.symmetric(1.0)
            blocks = positions
            if self.products is not None and self.blocks is not None:
                # sum_b B_b^2 = sum_p u_ip u_jp + 2 sum_{p<q} (z_ip z_iq)(z_jp z_jq); the
                # first term is left out on both sides of the epsilon kernel, so that
                # this does not stem from a difference of large numbers.
                pairs = self.products.symmetric().mul_(2).add_(self.blocks.symmetric(0.0))
                within = pairs - self.positions.symmetric(0.0)
                blocks = pairs.add_(self.positions.squares.symmetric())
            elif self.direct is not None:
                blocks = self.direct
                within = blocks - positions
            if channels > 1:
                between = total - blocks
                between.fill_diagonal_(0)
            if within is not None:
                within.fill_diagonal_(0)
            total.fill_diagonal_(0)
        off_diagonal = gram.clone().fill_diagonal_(0)
        return PairKernels(energy, gram, off_diagonal, variance, total, within, between)

    def _total(self, gram_centred: Tensor) -> Tensor:
        v = gram_centred.diagonal().clone()
        c = self.centring
        centred = gram_centred + (c * v)[:, None] + c * v - v.sum() * (c / (self.n - 1))
        return centred.square_()


class _CentredSquares:
    """sum over b of B~_b^2, where B_b is a Gram matrix of centred filters.

    The part sum_b B_b^2 is the caller's, who knows the cheapest way to it. With V the Gram
    matrix of the energies v, the shifts s_b enter through its row sums: sum_b s_b v_bi is
    c / (n - 1) times the row sum, sum_b s_b^2 the square of that factor times the total.
    """

    def __init__(self, n: int, device: torch.device) -> None:
        self.n, self.centring = n, 1 / (n - 2)
        self.cross = torch.zeros(n, n, device=device, dtype=torch.float64)
        self.squares = PanelGram(n, device)

    def add(self, z: Tensor, v: Tensor) -> None:
        """Add blocks: filters z, n x k^2 x channels, and their energies v, n x ... alike.

        The middle axis of v is k^2 where each position is a block, 1 where a channel is.
        """
        n, c = self.n, self.centring
        weight = (v * (2 * c)).sub_(v.sum(dim=0) * (c / (n - 1)))
        weighted = weight.mul_(z) if v.shape == z.shape else weight * z
        self.cross.addmm_(weighted.view(n, -1), z.view(n, -1).T)
        self.squares.add(v.reshape(n, -1))

    def symmetric(self, weight: float) -> Tensor:
        """The sum with `weight` times the Gram matrix of the energies v added to it."""
        c, factor = self.centring, self.centring / (self.n - 1)
        out = self.squares.symmetric()
        sums = out.sum(dim=0)
        rows = c**2 * out.diagonal() - 2 * c * factor * sums
        out.mul_(weight + 2 * c**2)
        out += self.cross
        out += self.cross.T
        out += rows
        out += rows[:, None]
        out += factor**2 * sums.sum()
        return out


def _position_products(z: Tensor) -> Tensor:
    """Products z_p z_q, p < q, of n x k^2 x channels: n x k^2 (k^2 - 1) / 2 x channels."""
    n, kernel_size, channels = z.shape
    out = z.new_empty(n, kernel_size * (kernel_size - 1) // 2, channels)
    start = 0
    for p in range(kernel_size - 1):
        stop = start + kernel_size - 1 - p
        torch.mul(z[:, p : p + 1], z[:, p + 1 :], out=out[:, start:stop])
        start = stop
    return out
