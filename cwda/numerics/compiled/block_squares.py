"""Squared Gram matrices of single blocks, summed over blocks without ever being stored.

For each block b and each pair of filters the U-centred inner product

    x = z_ib . z_jb + c v_jb + e_ib,      e_ib = c v_ib - s_b,

is formed in registers, for 4 x 16 pairs at once, and x^2 added to a sum that stays there as well.
A compiler finds no such schedule in plain loops: written with vectors it takes a third of their
time.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["SIGNATURES", "WIDTH", "add_block_squares"]

#: Filters of one tile, whose positions lie side by side in memory.
WIDTH = 64

#: Blocks that are summed before the next pairs: as many as the first-level cache holds.
GROUP = 4

# Pairs at once: rows, and vectors of columns. On processors with shorter vectors each of ours
# becomes two of theirs.
_ROWS, _VECTORS, _LANES = 4, 2, 8
_COLUMNS = _VECTORS * _LANES
_REAL, _SIZE = ir.DoubleType(), ir.IntType(64)
_VECTOR = ir.VectorType(_REAL, _LANES)
_PAIRS = list(product(range(_ROWS), range(_VECTORS)))

SIGNATURES = {
    "add_block_squares": "void(float64[:,:,::1], float64[:,:,::1], float64[:,:,::1], float64, "
    "int64, int64, int64, int64, float64[:,::1], float64[:,:,::1])"
}


def add_block_squares(
    z: np.ndarray,
    energy: np.ndarray,
    lead: np.ndarray,
    weight: float,
    parity: int,
    top: int,
    row_tile: int,
    column_tile: int,
    squares: np.ndarray,
    grams: np.ndarray,
) -> None:
    """Add one tile of sum_b x_b,ij^2 and of sum_b z_ib . z_jb.

    Parameters
    ----------
    z : ndarray
        Centred filters, float64, tiles x (blocks k^2) x WIDTH; zeros beyond the last filter.
    energy, lead : ndarray
        v and e, tiles x blocks x WIDTH.
    weight : float
        c = 1 / (n - 2).
    parity : int
        0 if the first block is an even input channel, 1 if an odd one.
    top : int
        The tile of the first row of `squares` and `grams`.
    row_tile, column_tile : int
        Which pairs of filters.
    squares : ndarray
        Rows x columns, multiples of WIDTH; added to.
    grams : ndarray
        2 x rows x columns, sums over even and over odd channels; added to.
    """
    blocks = energy.shape[1]
    positions = z.shape[1] // blocks
    rows, columns = z[row_tile].ctypes.data, z[column_tile].ctypes.data
    v, e = energy[column_tile].ctypes.data, lead[row_tile].ctypes.data
    width = 8 * squares.shape[1]
    corner = (row_tile - top) * WIDTH * width + 8 * column_tile * WIDTH
    total = squares.ctypes.data + corner
    for start in range(0, blocks, 2 * GROUP):
        for first in range(start, min(start + 2, blocks)):
            # This one and every second after it: channels of one parity.
            count = min(GROUP, (blocks - first + 1) // 2)
            gram = grams[(parity + first) % 2].ctypes.data + corner
            z_first, v_first = 8 * WIDTH * positions * first, 8 * WIDTH * first
            for i in range(0, WIDTH, _ROWS):
                for j in range(0, WIDTH, _COLUMNS):
                    at = i * width + 8 * j
                    _add_pairs(
                        rows + z_first + 8 * i,
                        columns + z_first + 8 * j,
                        positions,
                        v + v_first + 8 * j,
                        e + v_first + 8 * i,
                        weight,
                        count,
                        total + at,
                        gram + at,
                        width,
                    )


@intrinsic  # type: ignore[untyped-decorator]
def _add_pairs(
    typing: Any,
    rows: Any,
    columns: Any,
    positions: Any,
    v: Any,
    e: Any,
    weight: Any,
    count: Any,
    squares: Any,
    gram: Any,
    width: Any,
) -> Any:
    """4 x 16 pairs of filters, over `count` blocks; all but `weight` are addresses or counts."""
    word = types.intp
    kinds = [word, word, word, word, word, types.float64, word, word, word, word]
    return types.void(*kinds), _emit_pairs


def _emit_pairs(context: Any, builder: ir.IRBuilder, _: Any, arguments: Any) -> Any:
    rows, columns, positions, v, e, weight, count, squares, gram, width = arguments
    emit = _Emitter(builder)
    position_step, block_step = emit.size(8 * WIDTH), emit.size(2 * 8 * WIDTH)
    filter_step = builder.mul(block_step, positions)
    places = {
        (r, h): builder.add(builder.mul(width, emit.size(r)), emit.size(8 * _LANES * h))
        for r, h in _PAIRS
    }
    entry = builder.block
    weights = emit.spread(weight)
    before = {pair: (emit.load(squares, at), emit.load(gram, at)) for pair, at in places.items()}

    blocks, inner, after, done = map(
        builder.append_basic_block, ("blocks", "positions", "after", "done")
    )
    builder.branch(blocks)

    builder.position_at_end(blocks)
    block, z_at, v_at = (emit.carried(_SIZE, emit.size(0), entry) for _ in range(3))
    total = {pair: emit.carried(_VECTOR, x, entry) for pair, (x, _) in before.items()}
    sums = {pair: emit.carried(_VECTOR, x, entry) for pair, (_, x) in before.items()}
    builder.branch(inner)

    builder.position_at_end(inner)
    position = emit.carried(_SIZE, emit.size(0), blocks)
    at = emit.carried(_SIZE, z_at, blocks)
    inside = {pair: emit.carried(_VECTOR, emit.zero, blocks) for pair in _PAIRS}
    y = [emit.load(columns, at, 8 * _LANES * h) for h in range(_VECTORS)]
    a = [emit.spread(emit.load(rows, at, 8 * r, _REAL)) for r in range(_ROWS)]
    dot = {(r, h): emit.fused(a[r], y[h], inside[r, h]) for r, h in _PAIRS}
    emit.carry(inner, {inside[pair]: dot[pair] for pair in _PAIRS})
    next_position = builder.add(position, emit.size(1))
    emit.carry(inner, {position: next_position, at: builder.add(at, position_step)})
    builder.cbranch(builder.icmp_signed("<", next_position, positions), inner, after)

    builder.position_at_end(after)
    column = [emit.load(v, v_at, 8 * _LANES * h) for h in range(_VECTORS)]
    row = [emit.spread(emit.load(e, v_at, 8 * r, _REAL)) for r in range(_ROWS)]
    new_total, new_sums = {}, {}
    for r, h in _PAIRS:
        centred = builder.fadd(dot[r, h], emit.fused(weights, column[h], row[r]))
        new_total[r, h] = emit.fused(centred, centred, total[r, h])
        new_sums[r, h] = builder.fadd(sums[r, h], dot[r, h])
    emit.carry(after, {total[pair]: new_total[pair] for pair in _PAIRS})
    emit.carry(after, {sums[pair]: new_sums[pair] for pair in _PAIRS})
    next_block = builder.add(block, emit.size(1))
    emit.carry(after, {block: next_block, z_at: builder.add(z_at, filter_step)})
    emit.carry(after, {v_at: builder.add(v_at, block_step)})
    builder.cbranch(builder.icmp_signed("<", next_block, count), blocks, done)

    builder.position_at_end(done)
    for pair, place in places.items():
        emit.store(new_total[pair], squares, place)
        emit.store(new_sums[pair], gram, place)
    return context.get_dummy_value()


class _Emitter:
    """Instructions that the pairs are made of."""

    zero = ir.Constant(_VECTOR, [0.0] * _LANES)

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def size(self, number: int) -> ir.Constant:
        return ir.Constant(_SIZE, number)

    def load(self, base: Any, offset: Any, further: int = 0, kind: Any = _VECTOR) -> Any:
        """The numbers at an address, which need not be aligned to the vector."""
        found = self.builder.load(self._pointer(base, offset, further, kind))
        found.align = 8
        return found

    def store(self, numbers: Any, base: Any, offset: Any) -> None:
        self.builder.store(numbers, self._pointer(base, offset, 0, _VECTOR)).align = 8

    def _pointer(self, base: Any, offset: Any, further: int, kind: Any) -> Any:
        address = self.builder.add(self.builder.add(base, offset), self.size(further))
        return self.builder.inttoptr(address, kind.as_pointer())

    def spread(self, number: Any) -> Any:
        """A vector of one number."""
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        index = ir.IntType(32)
        first = self.builder.insert_element(nothing, number, ir.Constant(index, 0))
        return self.builder.shuffle_vector(
            first, nothing, ir.Constant(ir.VectorType(index, _LANES), [0] * _LANES)
        )

    def fused(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, rounded once."""
        together = ("contract",)
        return self.builder.fadd(self.builder.fmul(a, b, flags=together), c, flags=together)

    def carried(self, kind: Any, first: Any, before: Any) -> Any:
        """A value that a loop hands on to its next turn."""
        value = self.builder.phi(kind)
        value.add_incoming(first, before)
        return value

    def carry(self, loop: Any, values: dict[Any, Any]) -> None:
        for value, new in values.items():
            value.add_incoming(new, loop)
