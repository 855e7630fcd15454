"""Sums over input channels of Gram matrices, and of their squares: three ways to one sum.

With B_b the Gram matrix of block b of centred filters, v_bi its diagonal, c = 1 / (n - 2) and
s_b = c sum_i v_bi / (n - 1), the squares are those of B_b,ij + c (v_bi + v_bj) - s_b.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cwda.numerics.compiled.compiler import compiled
from cwda.numerics.compiled.threads import in_threads
from cwda.numerics.pairs.chunks import Chunk
from cwda.numerics.pairs.products import Rows

__all__ = ["BlockSums", "Centring", "CompiledSums", "DirectSums", "ProductSums", "block_sums"]

#: Doubles in one part of the products of positions (8 MiB).
PRODUCT_NUMBERS, PRODUCT_NUMBERS_ELSEWHERE = 1 << 20, 1 << 25

#: Above this kernel size the k^2 (k^2 - 1) / 2 products of a block cost more than
#: forming the block's n x n Gram matrix and squaring it.
LARGEST_EXPANDED_KERNEL = 25

#: Multiplications n^2 d from which on a layer is worth loading compiled code, .2 seconds.
WORTH_COMPILED = 1 << 26


class BlockSums:
    """Sums over blocks for some rows: what the three ways share."""

    def __init__(self, rows: Rows, like: Tensor, n: int) -> None:
        self.rows, self.n, self.centring = rows, n, 1 / (n - 2)
        self._grams = self._zeros(like, 2)
        self._squares = self._zeros(like)

    def _zeros(self, like: Tensor, *shape: int) -> Tensor:
        return self.rows.zeros(like, *shape)

    def add(self, chunk: Chunk) -> None:
        """Add channels."""
        for parity in (0, 1):
            z = chunk.z[(parity + chunk.first) % 2 :: 2].reshape(-1, self.n)
            self.rows.add_product(self._grams[parity], z, z)

    @property
    def grams(self) -> Tensor:
        """Gram matrices of the even and of the odd channels, 2 x rows x columns."""
        return self._grams

    def within(self, positions: Centring) -> Tensor:
        """The sum of squares less that of the single positions, rows x columns."""
        return self._squares - positions.squares - positions.sums()

    def _shift(self, v: Tensor) -> Tensor:
        """s of each block, from v, blocks x n."""
        shift: Tensor = v.sum(dim=1) * (self.centring / (self.n - 1))
        return shift


class DirectSums(BlockSums):
    """Each block's Gram matrix formed and squared, for large kernels."""

    def add(self, chunk: Chunk) -> None:
        """Add channels."""
        super().add(chunk)
        c, (first, last) = self.centring, (self.rows.first, self.rows.last)
        v = chunk.u.sum(dim=1)
        shift = self._shift(v)
        for z_b, v_b, s_b in zip(chunk.z, v, shift, strict=True):
            centring = (c * v_b[first:last] - s_b)[:, None] + c * v_b[:last]
            centred = torch.addmm(centring, z_b[:, first:last].T, z_b[:, :last])
            self._squares.addcmul_(centred, centred)


class ProductSums(BlockSums):
    """Matrix products of expanded features: the quickest on a GPU.

    sum_b B_b^2 = sum_p u_ip u_jp + 2 sum_{p<q} (z_ip z_iq)(z_jp z_jq), and what centring adds
    to it consists of the Gram matrices of (2 c v_bi - s_b) z_b with z_b, and of v.
    """

    def __init__(self, rows: Rows, like: Tensor, n: int) -> None:
        super().__init__(rows, like, n)
        self._centring = Centring(rows, like, n)

    def add(self, chunk: Chunk) -> None:
        """Add channels."""
        super().add(chunk)
        n, positions = self.n, chunk.z.shape[1]
        self._centring.add(chunk.z, chunk.u.sum(dim=1, keepdim=True))
        numbers = PRODUCT_NUMBERS if chunk.z.device.type == "cpu" else PRODUCT_NUMBERS_ELSEWHERE
        pairs = positions * (positions - 1) // 2
        for part in chunk.z.split(max(1, numbers // (n * pairs))):
            products = _position_products(part)
            self.rows.add_product(self._squares, products, products)

    def within(self, positions: Centring) -> Tensor:
        """The sum of squares less that of the single positions, rows x columns.

        The first term is on both sides, and left out.
        """
        return 2 * self._squares + self._centring.sums() - positions.sums()


class CompiledSums(BlockSums):
    """A compiled loop that keeps each block's products in registers: the quickest on a CPU."""

    def __init__(self, rows: Rows, like: Tensor, n: int, add: Callable[..., None]) -> None:
        from cwda.numerics.compiled.block_squares import WIDTH

        self._width, self._add = WIDTH, add
        super().__init__(rows, like, n)

    def _zeros(self, like: Tensor, *shape: int) -> Tensor:
        return self.rows.zeros(like, *shape, multiple=self._width)

    def add(self, chunk: Chunk) -> None:
        """Add channels."""
        v = chunk.u.sum(dim=1)
        lead = self.centring * v - self._shift(v)[:, None]
        tiled = [self._tiles(x).numpy() for x in (chunk.z.view(-1, self.n), v, lead)]
        top, bottom = self.rows.first // self._width, -(-self.rows.last // self._width)
        sums = self._squares.numpy(), self._grams.numpy()

        def add(tile: tuple[int, int]) -> None:
            self._add(*tiled, self.centring, chunk.first % 2, top, *tile, *sums)

        in_threads(add, [(i, j) for i in range(top, bottom) for j in range(i + 1)])

    def _tiles(self, x: Tensor) -> Tensor:
        """m x n as tiles x m x width, zeros beyond the last filter."""
        m, n = x.shape
        tiles = -(-n // self._width)
        padded = x if n == tiles * self._width else x.new_zeros(m, tiles * self._width)
        if padded is not x:
            padded[:, :n] = x
        return padded.view(m, tiles, self._width).transpose(0, 1).contiguous()

    @property
    def grams(self) -> Tensor:
        """Gram matrices of the even and of the odd channels, 2 x rows x columns."""
        return self._grams[:, : self.rows.last - self.rows.first, : self.rows.last]

    def within(self, positions: Centring) -> Tensor:
        """The sum of squares less that of the single positions, rows x columns."""
        squares = self._squares[: self.rows.last - self.rows.first, : self.rows.last]
        return squares - positions.squares - positions.sums()


def block_sums(rows: Rows, like: Tensor, shape: torch.Size, *, squares: bool) -> BlockSums:
    """The quickest way for a layer of this shape, n x N x k^2, on the device of `like`.

    Without `squares`, or where a block is a single position, Gram matrices alone.
    """
    n, channels, positions = shape
    if not squares or positions == 1:
        return BlockSums(rows, like, n)
    if like.device.type == "cpu" and n * n * channels * positions >= WORTH_COMPILED:
        add = compiled("block_squares", "add_block_squares")
        if add is not None:
            return CompiledSums(rows, like, n, add)
    return (ProductSums if positions <= LARGEST_EXPANDED_KERNEL else DirectSums)(rows, like, n)


class Centring:
    """What U-centring adds to sum_b B_b^2, for blocks of one position or of a channel.

    With V the Gram matrix of the energies v, the shifts s_b enter through its row sums:
    sum_b s_b v_bi is c / (n - 1) times the row sum, sum_b s_b^2 the square of that factor times
    the total.
    """

    def __init__(self, rows: Rows, like: Tensor, n: int) -> None:
        self.rows, self.n, self.centring = rows, n, 1 / (n - 2)
        self.cross, self.squares = rows.zeros(like), rows.zeros(like)
        self.row_sums, self.diagonal = like.new_zeros(n), like.new_zeros(n)
        # One full product and its transpose, where all rows are there, else two halves of each.
        self._whole = (rows.first, rows.last) == (0, n)

    def add(self, z: Tensor, v: Tensor) -> None:
        """Add blocks: filters z, channels x k^2 x n, and energies v, channels x ... x n alike.

        The middle axis of v is k^2 where each position is a block, 1 where a channel is.
        """
        n, c = self.n, self.centring
        total = v.sum(dim=2, keepdim=True)
        weighted = ((2 * c * v).sub_(total * (c / (n - 1))) * z).view(-1, n)
        z, v = z.view(-1, n), v.reshape(-1, n)
        if self._whole:
            self.cross.addmm_(weighted.T, z)
        else:
            self.rows.add_product(self.cross, weighted, z)
            self.rows.add_product(self.cross, z, weighted)
        self.rows.add_product(self.squares, v, v)
        self.row_sums += v.T @ total.view(-1)
        self.diagonal += v.square().sum(dim=0)

    def sums(self) -> Tensor:
        """What is added, rows x columns."""
        c, factor = self.centring, self.centring / (self.n - 1)
        edge = c**2 * self.diagonal - 2 * c * factor * self.row_sums
        out = self.squares * (2 * c**2)
        out += self.cross
        if self._whole:
            out += self.cross.T
        out += edge[: self.rows.last]
        out += edge[self.rows.first : self.rows.last, None]
        out += factor**2 * self.row_sums.sum()
        return out


def _position_products(z: Tensor) -> Tensor:
    """Products z_p z_q, p < q, of channels x k^2 x n: (k^2 (k^2 - 1) / 2 channels) x n."""
    channels, positions, n = z.shape
    out = z.new_empty(channels, positions * (positions - 1) // 2, n)
    start = 0
    for p in range(positions - 1):
        stop = start + positions - 1 - p
        torch.mul(z[:, p : p + 1], z[:, p + 1 :], out=out[:, start:stop])
        start = stop
    return out.view(-1, n)
