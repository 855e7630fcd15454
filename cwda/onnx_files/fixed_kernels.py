"""Kernels that nobody trained: averages, blurs, edge filters, shuffles, Fourier bases.

Only what the values prove is recognised; in doubt a kernel counts as trained. Dead filters
are trained ones that ended at zero, so zeros alone prove nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["fixed_kernel"]

#: Relative error up to which values agree: that of float16.
_TOLERANCE = 1e-3
#: Agreeing numbers that are not chance.
_CERTAIN = 9
_NOT_TRAINED = "not trained weights"

#: One-dimensional profiles whose products are the usual blurs and edge filters.
_SMOOTH: tuple[tuple[int, ...], ...] = (
    (1, 1),
    (1, 1, 1),
    (1, 2, 1),
    (3, 10, 3),
    (1, 3, 3, 1),
    (1, 1, 1, 1, 1),
    (1, 4, 6, 4, 1),
    (1, 5, 10, 10, 5, 1),
    (1, 6, 15, 20, 15, 6, 1),
)
_STEEP: tuple[tuple[int, ...], ...] = ((1, -1), (1, 0, -1), (1, -2, 1), (1, 2, 0, -2, -1))
_LAPLACIANS = (
    ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
    ((1, 1, 1), (1, -8, 1), (1, 1, 1)),
    ((1, 4, 1), (4, -20, 4), (1, 4, 1)),
    ((-1, -1, -1), (-1, 9, -1), (-1, -1, -1)),
    ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
)


def fixed_kernel(weight: Tensor, quantised: bool = False) -> str:
    """What a weight is if its values prove that no training made it; empty otherwise.

    Parameters
    ----------
    weight : Tensor
        (N', N / groups, *kernel), or (N, N' / groups, *kernel) if transposed.
    quantised : bool
        Whether the values lie on a coarse grid, where small filters agree by chance; only
        agreement of whole layers counts then.

    Examples
    --------
    >>> import torch
    >>> fixed_kernel(torch.full((8, 1, 3, 3), 1 / 9))
    'all weights are equal (an average or a sum), not trained weights'
    >>> fixed_kernel(torch.randn(8, 1, 3, 3))
    ''
    """
    if weight.numel() < 4 or not weight.is_floating_point():
        return ""
    values = weight.to(torch.float32) if weight.dtype.itemsize < 4 else weight
    if not bool(values.isfinite().all()) or not bool(values.any()):
        return ""
    if values.numel() >= _CERTAIN and bool((values == values.flatten()[0]).all()):
        return f"all weights are equal (an average or a sum), {_NOT_TRAINED}"
    if _one_hot(values):
        return f"every filter hands on one input unchanged, {_NOT_TRAINED}"
    filters = _single(values)
    if filters is None:
        return ""
    if _repeated(filters):
        return f"all {len(filters)} filters are one fixed kernel, {_NOT_TRAINED}"
    if _fourier(filters):
        return f"a fixed Fourier basis, {_NOT_TRAINED}"
    if not quantised and all(_stencil(one) for one in filters):
        return f"fixed blurs or edge filters, {_NOT_TRAINED}"
    return ""


def _one_hot(values: Tensor) -> bool:
    """Whether each filter is 1 in one place and 0 elsewhere (identity, shift, shuffle)."""
    rows = values.flatten(1)
    ones = bool(((rows == 0) | (rows == 1)).all())
    return ones and rows.shape[1] > 1 and bool((rows.sum(1) == 1).all())


def _single(values: Tensor) -> Tensor | None:
    """Filters of one channel (N, *kernel); also those on the diagonal of an otherwise empty
    square, as transposed convolutions that enlarge images have."""
    outputs, inputs = values.shape[:2]
    if inputs == 1:
        return values[:, 0]
    if outputs == inputs and values[0, 0].numel() >= 4:
        diagonal = torch.diagonal(values, dim1=0, dim2=1).movedim(-1, 0)
        if torch.count_nonzero(values) == torch.count_nonzero(diagonal):
            return diagonal
    return None


def _repeated(filters: Tensor) -> bool:
    """Whether all filters are the same, to the last bit."""
    agreeing = (len(filters) - 1) * filters[0].numel()
    return agreeing >= _CERTAIN and filters[0].numel() >= 4 and bool((filters == filters[0]).all())


def _fourier(filters: Tensor) -> bool:
    """Whether the filters are sinusoids of regular frequencies under one window.

    r_k(n) = w(n) cos(a k n + b n) obeys r_{k+1} + r_{k-1} = c(n) r_k with one c for all k,
    whatever the window is, and so do sines. Real and imaginary parts may follow each other
    in halves or alternate.
    """
    rows = filters.flatten(1).to(torch.float64)
    if rows.shape[0] < 8 or rows.shape[1] < 16:
        return False
    half = len(rows) // 2
    layouts = [[rows]]
    if half >= 8 and len(rows) % 2 == 0:
        layouts += [[rows[:half], rows[half:]], [rows[::2], rows[1::2]]]
    return any(all(_regular(block) for block in blocks) for blocks in layouts)


def _regular(rows: Tensor) -> bool:
    """Whether rows fulfil the recurrence of sinusoids; inverse bases halve the outer rows."""
    inner = rows[2:-2]
    sums = rows[3:-1] + rows[1:-3]
    energy = inner.square().sum(0)
    factor = (sums * inner).sum(0) / energy.clamp(min=1e-30)
    seen = energy > 1e-6 * energy.max()
    error = (sums - factor * inner).square().sum()
    if not bool(seen.any()) or error > _TOLERANCE**2 * inner.square().sum():
        return False
    # Rows of one frequency would fulfil it too, with a constant factor.
    spread = factor[seen].max() - factor[seen].min()
    return bool(spread > 1) and bool((factor[seen].abs() < 2.1).all())


def _stencil(one: Tensor) -> bool:
    """Whether a filter is a usual blur, edge filter or bilinear kernel up to a factor."""
    shape = [size for size in one.shape if size > 1]
    if not 1 <= len(shape) <= 2 or one.numel() < 4:
        return False
    plane = one.reshape(shape).to(torch.float64)
    if len(shape) == 1:
        return False  # four to seven numbers in a row may be anything
    vertical, horizontal = (_profiles(size) for size in shape)
    products = (torch.outer(v, h) for v in vertical for h in horizontal)
    others = (torch.tensor(stencil, dtype=torch.float64) for stencil in _LAPLACIANS)
    return any(_proportional(plane, stencil) for stencil in (*products, *others))


def _profiles(size: int) -> list[Tensor]:
    profiles = [profile for profile in (*_SMOOTH, *_STEEP) if len(profile) == size]
    # Bilinear kernels of FCN: a triangle of the size's half.
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    triangle = [1 - abs(place - centre) / factor for place in range(size)]
    return [torch.tensor(profile, dtype=torch.float64) for profile in (*profiles, triangle)]


def _proportional(left: Tensor, right: Tensor) -> bool:
    if left.shape != right.shape:
        return False
    factor = (left * right).sum() / right.square().sum()
    error = (left - factor * right).abs().max()
    return bool(left.abs().max() > 0) and bool(error <= 1e-6 * left.abs().max())
