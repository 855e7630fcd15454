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
from cwda.numerics.pairs.chunks import Chunk, worth_compiling
from cwda.numerics.pairs.products import Rows

__all__ = ["BlockSums", "Centring", "CompiledSums", "DirectSums", "ProductSums", "block_sums"]

#: Doubles in one part of the products of positions (8 MiB).
PRODUCT_NUMBERS, PRODUCT_NUMBERS_ELSEWHERE = 1 << 20, 1 << 25

#: Above this kernel size the k^2 (k^2 - 1) / 2 products of a block cost more than
#: forming the block's n x n Gram matrix and squaring it.
LARGEST_EXPANDED_KERNEL = 25


class BlockSums:
    """Sums over blocks for some rows: what the three ways share."""

    def __init__(self, rows: Rows, like: Tensor, n: int) -> None:
        self.rows, self.n, self.centring = rows, n, 1 / (n - 2)
        self._grams = self._zeros(like, 2)

    def _zeros(self, like: Tensor, *shape: int) -> Tensor:
        return self.rows.zeros(like, *shape)

    def add(self, chunk: Chunk) -> None:
        """Add channels."""
        for parity in (0, 1):
            z = chunk.by_channel[:, chunk.channels_of(parity)].flatten(1)
            self.rows.add_product(self._grams[parity], z, z)

    @property
    def grams(self) -> Tensor:
        """Gram matrices of the even and of the odd channels, 2 x rows x columns."""
        return self._unpadded(self._grams)

    def within(self, positions: Centring) -> Tensor:
        """The sum of squares less that of the single positions, rows x columns."""
        raise NotImplementedError

    def _unpadded(self, sums: Tensor) -> Tensor:
        return sums[..., : self.rows.last - self.rows.first, : self.rows.last]

    def _shift(self, v: Tensor) -> Tensor:
        """s of each block, from v, n x blocks."""
        shift: Tensor = v.sum(dim=0) * (self.centring / (self.n - 1))
        return shift


class _Squares(BlockSums):
    """Sums of squares that are formed block by block."""

    def __init__(self, rows: Rows, like: Tensor, n: int) -> None:
        super().__init__(rows, like, n)
        self._squares = self._zeros(like)

    def within(self, positions: Centring) -> Tensor:
        """The sum of squares less that of the single positions, rows x columns."""
        return self._unpadded(self._squares) - positions.squares - positions.sums()


class DirectSums(_Squares):
    """Each block's Gram matrix formed and squared, for large kernels."""

    def add(self, chunk: Chunk) -> None:
        """Add channels."""
        super().add(chunk)
        c, (first, last) = self.centring, (self.rows.first, self.rows.last)
        shift = self._shift(chunk.v)
        for z_b, v_b, s_b in zip(chunk.by_channel.unbind(1), chunk.v.unbind(1), shift, strict=True):
            centring = (c * v_b[first:last] - s_b)[:, None] + c * v_b[:last]
            centred = torch.addmm(centring, z_b[first:last], z_b[:last].T)
            self._squares.addcmul_(centred, centred)


class ProductSums(BlockSums):
    """Matrix products of expanded features: the quickest on a GPU.

    sum_b B_b^2 = sum_p u_ip u_jp + 2 sum_{p<q} (z_ip z_iq)(z_jp z_jq), and what centring adds
    to it consists of the Gram matrices of (2 c v_bi - s_b) z_b with z_b, and of v.
    """

    def __init__(self, rows: Rows, like: Tensor, n: int) -> None:
        super().__init__(rows, like, n)
        self._squares = self._zeros(like)
        self._centring = Centring(rows, like, n)

    def add(self, chunk: Chunk) -> None:
        """Add channels."""
        super().add(chunk)
        n, positions = self.n, chunk.positions
        weights = 2 * self.centring * chunk.v - self._shift(chunk.v)
        weighted = (weights[:, :, None] * chunk.by_channel).flatten(1)
        self._centring.add(chunk.z, weighted, chunk.v)
        numbers = PRODUCT_NUMBERS if chunk.z.device.type == "cpu" else PRODUCT_NUMBERS_ELSEWHERE
        pairs = positions * (positions - 1) // 2
        # Positions before channels: their products are then contiguous.
        by_position = chunk.by_channel.transpose(1, 2).contiguous()
        for part in by_position.split(max(1, numbers // (n * pairs)), dim=2):
            products = _position_products(part)
            self.rows.add_product(self._squares, products, products)

    def within(self, positions: Centring) -> Tensor:
        """The sum of squares less that of the single positions, rows x columns.

        The first term is on both sides, and left out.
        """
        return 2 * self._squares + self._centring.sums() - positions.sums()


class CompiledSums(_Squares):
    """A compiled loop that keeps each block's products in registers: the quickest on a CPU."""

    def __init__(self, rows: Rows, like: Tensor, n: int, add: Callable[..., None]) -> None:
        from cwda.numerics.compiled.block_squares import WIDTH

        self._width, self._add = WIDTH, add
        super().__init__(rows, like, n)

    def _zeros(self, like: Tensor, *shape: int) -> Tensor:
        return self.rows.zeros(like, *shape, multiple=self._width)

    def add(self, chunk: Chunk) -> None:
        """Add channels, which are tiled."""
        assert chunk.tiles is not None
        lead = self.centring * chunk.v - self._shift(chunk.v)
        tiled = [x.numpy() for x in (chunk.tiles, self._tiles(chunk.v), self._tiles(lead))]
        top, bottom = self.rows.first // self._width, -(-self.rows.last // self._width)
        sums = self._squares.numpy(), self._grams.numpy()

        def add(tile: tuple[int, int]) -> None:
            self._add(*tiled, self.centring, chunk.first % 2, top, *tile, *sums)

        in_threads(add, [(i, j) for i in range(top, bottom) for j in range(i + 1)])

    def _tiles(self, x: Tensor) -> Tensor:
        """n x m as tiles x m x width, zeros beyond the last filter."""
        n, m = x.shape
        tiles = -(-n // self._width)
        padded = x.new_zeros(tiles * self._width, m)
        padded[:n] = x
        return padded.view(tiles, self._width, m).transpose(1, 2).contiguous()


def block_sums(rows: Rows, like: Tensor, shape: torch.Size, *, squares: bool) -> BlockSums:
    """The quickest way for a layer of this shape, n x N x k^2, on the device of `like`.

    Without `squares`, or where a block is a single position, Gram matrices alone.
    """
    n, _, positions = shape
    if not squares or positions == 1:
        return BlockSums(rows, like, n)
    if worth_compiling(shape, like.device):
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
        # sum_b v_bi sum_j v_bj and sum_b v_bi^2
        self.row_sums, self.diagonal = like.new_zeros(n), like.new_zeros(n)
        # One full product and its transpose, where all rows are there, else two halves of each.
        self._whole = (rows.first, rows.last) == (0, n)

    def add(self, z: Tensor, weighted: Tensor | None, v: Tensor) -> None:
        """Add blocks: filters z and (2 c v - s) z, n x m, and energies v, n x blocks.

        Without the second, `squares` alone is of use.
        """
        if weighted is None:
            pass
        elif self._whole:
            self.cross.addmm_(weighted, z.T)
        else:
            self.rows.add_product(self.cross, weighted, z)
            self.rows.add_product(self.cross, z, weighted)
        self.rows.add_product(self.squares, v, v)
        self.row_sums += v @ v.sum(dim=0)
        self.diagonal += torch.linalg.vecdot(v, v)

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
    """Products z_p z_q, p < q, of n x k^2 x channels: n x (k^2 (k^2 - 1) / 2 channels)."""
    n, positions, channels = z.shape
    out = z.new_empty(n, positions * (positions - 1) // 2, channels)
    start = 0
    for p in range(positions - 1):
        stop = start + positions - 1 - p
        torch.mul(z[:, p : p + 1], z[:, p + 1 :], out=out[:, start:stop])
        start = stop
    return out.view(n, -1)
