"""The size of a simulated layer."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Size"]


@dataclass(frozen=True, order=True)
class Size:
    """Size of a layer: n = N' filters of N channels with k^2 positions.

    Examples
    --------
    >>> str(Size(64, 16, 9)), Size(64, 16, 9).dim
    ('64x16x9', 144)
    """

    n_filters: int
    channels: int
    kernel_size: int

    @property
    def dim(self) -> int:
        """d = N k^2."""
        return self.channels * self.kernel_size

    def __str__(self) -> str:
        return f"{self.n_filters}x{self.channels}x{self.kernel_size}"
