"""Accumulation of Gram matrices, without computing each symmetric half twice."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["PanelGram"]

#: Rows of one panel: large enough for an efficient matrix product.
PANEL = 128


class PanelGram:
    """A sum of Gram matrices A A^T, of which only the lower panels are computed.

    With n / 128 panels the products cost little more than half of the full ones.

    Examples
    --------
    >>> import torch
    >>> gram = PanelGram(3, torch.device("cpu"))
    >>> gram.add(torch.eye(3, dtype=torch.float64))
    >>> gram.symmetric()
    tensor([[1., 0., 0.],
            [0., 1., 0.],
            [0., 0., 1.]], dtype=torch.float64)
    """

    def __init__(self, n: int, device: torch.device) -> None:
        self._sum = torch.zeros(n, n, device=device, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Add A A^T for A = `rows`, n x m."""
        n = len(rows)
        for start in range(0, n, PANEL):
            stop = min(start + PANEL, n)
            self._sum[start:stop, :stop].addmm_(rows[start:stop], rows[:stop].T)

    def symmetric(self) -> Tensor:
        """The whole symmetric matrix, a new tensor."""
        whole = self._sum.clone()
        # A panel holds its own square whole; what lies right of it is left to mirror.
        for start in range(PANEL, len(whole), PANEL):
            stop = min(start + PANEL, len(whole))
            whole[:start, start:stop] = whole[start:stop, :start].T
        return whole
