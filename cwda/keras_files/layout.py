"""Where Keras keeps the axes of a kernel, and how to turn it to PyTorch's layout.

Keras stores H, W, I, O since version 2, whatever the backend and `data_format` are; a
transposed convolution H, W, O, I; a depthwise one H, W, I, multiplier. Keras 1 stored
O, I, H, W where its `dim_ordering` was ``th`` and H, W, I, O where it was ``tf``, transposed
convolutions included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["CONVOLUTION", "Layout", "keras1_ordering"]

#: Class names of Keras' convolution layers, those of Keras 1 included.
CONVOLUTION = re.compile(
    r"(Atrous|Separable|Depthwise)?Conv(olution)?[123]D(Transpose)?|Deconvolution[123]D"
)

#: Kernels longer than this are rarer than layers with so few channels.
_LONGEST = 11


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
        space = range(kernel.ndim - 2)
        if self.depthwise:
            moved = kernel.permute(-2, -1, *space)
            return moved.reshape(-1, 1, *moved.shape[2:]).contiguous()
        if self.transposed and self.first:
            return kernel.permute(-2, -1, *space).contiguous()
        # The last axis is first in PyTorch for both: O of a convolution, I of a transposed one.
        return kernel.permute(-1, -2, *space).contiguous()

    def channels_last(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """The shape with the channels last, the order of ``tf``."""
        return (*stored[2:], stored[1], stored[0]) if self.order == "th" else stored

    def shape(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in PyTorch's layout."""
        *space, first, second = self.channels_last(stored)
        if self.depthwise:
            return (first * second, 1, *space)
        if self.transposed and self.first:
            return (first, second, *space)
        return (second, first, *space)


def keras1_ordering(
    stated: str | None, kernels: Iterable[tuple[tuple[int, ...], int | None]]
) -> tuple[str, str]:
    """``th`` or ``tf`` for a file of Keras 1, and the reason in words.

    Parameters
    ----------
    stated : str or None
        `dim_ordering` of the model's configuration.
    kernels : iterable
        Shape of each kernel, and the number of its biases where it has them.
    """
    if stated in ("th", "tf"):
        return stated, "as the model's configuration says"
    votes = [_vote(shape, bias) for shape, bias in kernels]
    first, last = votes.count("th"), votes.count("tf")
    reason = (
        f"the file does not say; {max(first, last)} of {len(votes)} kernels fit it "
        "by the size of their bias or kernel"
    )
    return ("th", reason) if first > last else ("tf", reason)


def _vote(shape: tuple[int, ...], bias: int | None) -> str | None:
    if bias is not None and (shape[0] == bias) != (shape[-1] == bias):
        return "th" if shape[0] == bias else "tf"
    small_last, small_first = max(shape[2:]) <= _LONGEST, max(shape[:-2]) <= _LONGEST
    if small_last != small_first:
        return "th" if small_last else "tf"
    return None
