"""Names of Keras' convolutions, and the order of the axes in files of Keras 1."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["CONVOLUTION", "keras1_ordering"]

#: Class names of Keras' convolution layers, those of Keras 1 included.
CONVOLUTION = re.compile(
    r"(Atrous|Separable|Depthwise)?Conv(olution)?[123]D(Transpose)?|Deconvolution[123]D"
)

#: Kernels longer than this are rarer than layers with so few channels.
_LONGEST = 11


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
