"""An image of F F^T without F F^T."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["energy_image"]

#: Rows and columns of F F^T that are held at once; 8 MiB in float64.
TILE = 1024


def energy_image(filters: Tensor, cell: int = 1, *, tile: int = TILE) -> Tensor:
    """Root mean square of the elements of F F^T / n in each cell of an image.

    With M = F F^T / n, element (a, b) of the image is
    sqrt(mean of M_pq^2 over a cell <= p < (a + 1) cell, b cell <= q < (b + 1) cell);
    the last cells may be smaller. At cell = 1 it is |M|.

    Parameters
    ----------
    filters : Tensor
        n x d, any floating dtype: the transpose of the paper's F.
    cell : int
        Positions along one side of a cell.
    tile : int
        F F^T is made in square tiles of about this side, each reduced to its cells at once; the
        upper triangle alone is computed.

    Returns
    -------
    Tensor
        float64, symmetric, ceil(d / cell) on a side, on the device of the filters.

    Examples
    --------
    >>> energy_image(torch.tensor([[3.0, 0.0, 4.0, 0.0]]), cell=2)
    tensor([[4.5000, 6.0000],
            [6.0000, 8.0000]], dtype=torch.float64)
    """
    n, dim = filters.shape
    side = -(-dim // cell)
    step = max(1, tile // cell)
    squares = filters.new_empty(side, side, dtype=torch.float64)
    spans = [(start, min(start + step, side)) for start in range(0, side, step)]
    for i, (top, bottom) in enumerate(spans):
        rows = _columns(filters, top * cell, bottom * cell)
        for left, right in spans[i:]:
            columns = rows if left == top else _columns(filters, left * cell, right * cell)
            found = (rows.T @ columns).square_().view(bottom - top, cell, right - left, cell)
            sums = found.sum(dim=(1, 3))
            squares[top:bottom, left:right] = sums
            squares[left:right, top:bottom] = sums.T
    sizes = torch.full((side,), float(cell), dtype=torch.float64, device=filters.device)
    sizes[-1] = dim - (side - 1) * cell
    return squares.div_(sizes[:, None] * sizes).sqrt_().div_(n)


def _columns(filters: Tensor, start: int, stop: int) -> Tensor:
    """Columns in float64; those beyond the last are zero, so that every cell is whole."""
    missing = stop - filters.shape[1]
    columns = filters[:, start:stop].double()
    return torch.nn.functional.pad(columns, (0, missing)) if missing > 0 else columns
