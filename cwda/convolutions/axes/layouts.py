"""Orders in which libraries keep the axes of a kernel, and how to turn them to PyTorch's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from cwda.containers.tensors import NamedTensor, printable
from cwda.errors import SourceError

__all__ = ["CHANNELS_FIRST", "CHANNELS_LAST", "FILTERS_FIRST", "Order", "arranged", "parse_order"]

#: Letters of kernel axes that have an order of their own.
_KERNEL = "DHW"


@dataclass(frozen=True)
class Order:
    """Which axis of a stored weight is which.

    Attributes
    ----------
    letters : str
        One letter for each axis: O outputs (filters), I inputs (channels), any other letter
        an axis of the kernel. Where the kernel's letters stand together they stand for one,
        two or three axes.

    Examples
    --------
    >>> Order("HWIO").axes(4), Order("HWIO").axes(3), Order("OKI").axes(5)
    ((3, 2, 0, 1), (2, 1, 0), (0, 4, 1, 2, 3))
    >>> Order("OKI").named(4)
    'O, H, W, I'
    """

    letters: str

    def axes(self, ndim: int) -> tuple[int, ...] | None:
        """Positions of the outputs, the inputs and the kernel; None if they do not fit."""
        letters = self._for(ndim)
        if letters is None:
            return None
        outputs, inputs = letters.index("O"), letters.index("I")
        kernel = [axis for axis in range(ndim) if axis not in (outputs, inputs)]
        if all(letters[axis] in _KERNEL for axis in kernel):
            kernel.sort(key=lambda axis: _KERNEL.index(letters[axis]))
        return (outputs, inputs, *kernel)

    def named(self, ndim: int) -> str:
        """The letters for a weight of `ndim` axes, in words of a message."""
        letters = self._for(ndim) or self.letters
        if ndim in (4, 5) and "K" in letters:
            letters = letters.replace("K" * (ndim - 2), _KERNEL[5 - ndim :])
        return ", ".join(letters)

    def _for(self, ndim: int) -> str | None:
        if len(self.letters) == ndim:
            return self.letters
        block = self.letters.replace("O", " ").replace("I", " ").split()
        if len(block) != 1 or list(block[0]) != sorted(block[0]):
            return None
        return self.letters.replace(block[0], "K" * (ndim - 2))


#: PyTorch and ONNX.
CHANNELS_FIRST = Order("OIK")
#: TensorFlow, Keras and JAX; the first spconv; sparse libraries with positions on one axis.
CHANNELS_LAST = Order("KIO")
#: MLX; spconv since version 2.
FILTERS_FIRST = Order("OKI")


def parse_order(text: object) -> Order:
    """The order that a text such as ``HWIO`` names.

    Raises
    ------
    SourceError
        If it does not name one axis O, one axis I and one to three of a kernel, all different.
    """
    letters = text.strip().upper() if isinstance(text, str) else ""
    fits = letters.isascii() and letters.isalpha() and 3 <= len(letters) <= 5
    if not fits or not {"O", "I"} <= set(letters) or len(set(letters)) < len(letters):
        shown = repr(printable(text)[:40]) if isinstance(text, str) else type(text).__name__
        raise SourceError(
            f"layout {shown} is not an order of axes; write O (outputs), I (inputs) and the "
            "letters of the kernel, each once, such as OIHW, HWIO, OHWI or KIO"
        )
    return Order(letters)


def arranged(tensor: NamedTensor, axes: tuple[int, ...]) -> NamedTensor:
    """The tensor with its axes in the order `axes`; its values are turned when they are read."""
    if axes == tuple(range(len(axes))):
        return tensor

    def read() -> Tensor:
        return tensor.read().permute(axes).contiguous()

    return replace(tensor, shape=tuple(tensor.shape[axis] for axis in axes), read=read)
