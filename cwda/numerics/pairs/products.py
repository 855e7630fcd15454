"""Matrix products of which only the lower triangle is wanted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["PANEL", "Rows", "panel_height"]

#: Rows of one panel: large enough for an efficient matrix product. On a GPU every call costs.
PANEL, PANEL_ELSEWHERE = 128, 1024


def panel_height(device: torch.device) -> int:
    """Rows of one panel on a device."""
    return PANEL if device.type == "cpu" else PANEL_ELSEWHERE


@dataclass(frozen=True)
class Rows:
    """Some rows of a symmetric matrix over filters: first, ..., last - 1, up to the diagonal.

    What lies beyond the last column or right of the diagonal is not wanted; where it is stored
    it may hold anything.
    """

    first: int
    last: int

    def zeros(self, like: Tensor, *shape: int, multiple: int = 1) -> Tensor:
        """Sums to add to, `shape` x rows x columns, rounded up to multiples of a number."""
        rows, columns = (-(-n // multiple) * multiple for n in (self.last - self.first, self.last))
        return like.new_zeros(*shape, rows, columns)

    def add_product(self, out: Tensor, a: Tensor, b: Tensor) -> None:
        """Add these rows of a b' to `out`; a and b are n x m.

        Examples
        --------
        >>> import torch
        >>> rows, x = Rows(1, 3), torch.eye(3, dtype=torch.float64)
        >>> out = rows.zeros(x)
        >>> rows.add_product(out, x, x)
        >>> out
        tensor([[0., 1., 0.],
                [0., 0., 1.]], dtype=torch.float64)
        """
        height = panel_height(a.device)
        for start in range(self.first, self.last, height):
            stop = min(start + height, self.last)
            panel = out[start - self.first : stop - self.first, :stop]
            panel.addmm_(a[start:stop], b[:stop].T)

    def mirror(self, whole: Tensor) -> None:
        """Complete matrices above these rows by what lies on and left of the diagonal."""
        first, last = self.first, self.last
        if first:
            whole[..., :first, first:last] = whole[..., first:last, :first].mT
        square = whole[..., first:last, first:last]
        square.copy_(square.tril() + square.tril(-1).mT)
