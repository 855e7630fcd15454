"""Where a file keeps the axes of a kernel, and how to turn it to PyTorch's layout.

Keras stores H, W, I, O since version 2, whatever the backend and `data_format` are; a
transposed convolution H, W, O, I; a depthwise one H, W, I, multiplier. Keras 1 stored
O, I, H, W where its `dim_ordering` was ``th`` and H, W, I, O where it was ``tf``, transposed
convolutions included. TensorFlow and JAX store kernels as Keras does.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """How one kernel is stored.

    Attributes
    ----------
    order : {"th", "tf"}
        Channels first or last.
    depthwise, transposed : bool
    first : bool
        Whether Keras 1 stored it.
    """

    order: str = "tf"
    depthwise: bool = False
    transposed: bool = False
    first: bool = False

    def turn(self, kernel: Tensor) -> Tensor:
        """The kernel in PyTorch's layout."""
        if self.order == "th":
            kernel = kernel.permute(*range(2, kernel.ndim), 1, 0)
        kernel_axes = range(kernel.ndim - 2)
        if self.depthwise:
            moved = kernel.permute(-2, -1, *kernel_axes)
            return moved.reshape(-1, 1, *moved.shape[2:]).contiguous()
        if self.transposed and self.first:
            return kernel.permute(-2, -1, *kernel_axes).contiguous()
        # The last axis is first in PyTorch for both: O of a convolution, I of a transposed one.
        return kernel.permute(-1, -2, *kernel_axes).contiguous()

    def channels_last(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """The shape with the channels last, the order of ``tf``."""
        return (*stored[2:], stored[1], stored[0]) if self.order == "th" else stored

    def shape(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in PyTorch's layout."""
        *kernel_axes, first, second = self.channels_last(stored)
        if self.depthwise:
            return (first * second, 1, *kernel_axes)
        if self.transposed and self.first:
            return (first, second, *kernel_axes)
        return (second, first, *kernel_axes)
