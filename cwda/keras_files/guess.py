"""How a kernel is stored where a Keras file does not name its layer's class.

A layer under an attribute, such as ``blocks/up``, is known by its variables alone. Its bias
has one value per filter, which tells an ordinary kernel (..., I, O) from a transposed one
(..., O, I) and a depthwise one (..., C, multiplier) unless the two axes are equal. Words in the
name come after that. What is assumed is said.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["Guess", "guess", "recurrent", "says_depthwise"]

_CONVOLUTION = re.compile(r".*(conv|cnn|1d).*")
_TRANSPOSED = frozenset({"up", "upconv", "upsample", "upsampling", "upscale", "tconv", "convt"})
_DEPTHWISE = frozenset({"dw", "depthwise", "dwconv", "depthconv"})
#: Words of layers whose kernels may have three axes without being convolutions.
_DENSE = re.compile(
    "dense|einsum|attention|attn|query|key|value|qkv|[qkv]|mha|linear|fc|mlp|lstm|gru|rnn"
)
#: Words of tables that are not kernels.
_TABLE = re.compile("embed(ding)?s?|pos(ition(al)?)?|tables?|tokens?")
#: Kernels of two and three dimensions are hardly longer than this.
_LONGEST = 31


@dataclass(frozen=True)
class Guess:
    """What a kernel is taken for.

    Attributes
    ----------
    role : str
        ``conv``, ``transposed`` or ``depthwise``; empty if it is not a convolution's kernel.
    note : str
        The assumption, or the reason why it is none.
    open : bool
        Whether nothing tells an ordinary kernel from a transposed one.
    """

    role: str
    note: str
    open: bool = False


def guess(shape: tuple[int, ...], bias: int | None, name: str) -> Guess:
    """What a kernel is, from its shape, the size of its bias and its layer's name.

    Examples
    --------
    >>> guess((2, 2, 8, 16), 8, "blocks.grow").role
    'transposed'
    >>> guess((3, 3, 8, 1), 8, "blocks.spatial").role
    'depthwise'
    """
    words = _words(name)
    if bias is not None:
        guessed = _by_bias(shape, bias, words)
        if guessed is not None:
            return guessed if len(shape) > 3 else _three_axes(guessed, words, biased=True)
    guessed = _by_words(shape, words)
    return guessed if len(shape) > 3 else _three_axes(guessed, words, biased=False)


def recurrent(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Whether two kernels are the input's and the state's of a convolutional LSTM."""
    same = first[:-2] == second[:-2] and first[-1] == second[-1]
    return same and first[-1] == 4 * second[-2]


def _by_bias(shape: tuple[int, ...], bias: int, words: set[str]) -> Guess | None:
    first, last = shape[-2:]
    per = "its bias has one value per"
    if bias == first and last == 1 and first > 1:
        return Guess("depthwise", f"taken for depthwise, because {per} input channel")
    if bias == first * last and first > 1 and last > 1:
        return Guess("depthwise", f"taken for depthwise, because {per} channel and multiplier")
    if bias == first != last:
        return Guess("transposed", f"taken for transposed, because {per} filter, on axis -2")
    if bias != last:
        return None
    if first == last and _says_transposed(words):
        return Guess("transposed", "taken for transposed, because its name says so")
    if first == last:
        return Guess("conv", "taken for a convolution by its shape and bias", open=True)
    return Guess("conv", f"taken for a convolution, because {per} filter")


def _by_words(shape: tuple[int, ...], words: set[str]) -> Guess:
    first, last = shape[-2:]
    if len(shape) > 3 and max(shape[:-2]) > max(_LONGEST, *shape[-2:]):
        return Guess("", f"the {max(shape[:-2])} on its first axes is too long for a kernel")
    if words & _DEPTHWISE and first > 1:
        return Guess("depthwise", "taken for depthwise, because its name says so")
    if _says_transposed(words):
        return Guess("transposed", "taken for transposed, because its name says so")
    if last == 1 and first > 1 and math.prod(shape[:-2]) > 1:
        return Guess("depthwise", "taken for depthwise, because its last axis has one entry")
    if any(map(_TABLE.fullmatch, words)):
        return Guess("", "its name is that of a table or embedding, not of a convolution")
    return Guess("conv", "taken for a convolution, because its shape is that of a kernel", True)


def _three_axes(guessed: Guess, words: set[str], biased: bool) -> Guess:
    """Three axes are also those of a dense layer's kernel with several output axes."""
    if any(_CONVOLUTION.fullmatch(word) for word in words) or guessed.note.endswith("says so"):
        return guessed
    if any(_DENSE.fullmatch(word) or _TABLE.fullmatch(word) for word in words):
        return Guess("", "its name is that of a dense layer or a table, not of a convolution")
    if biased:
        return Guess(
            guessed.role,
            f"{guessed.note}; a dense layer's kernel (EinsumDense) could look the same",
            guessed.open,
        )
    return Guess(
        "",
        "neither its name nor a bias tells a 1-D convolution from a dense layer's kernel",
    )


def says_depthwise(name: str) -> bool:
    """Whether a layer's name says that it is depthwise."""
    return bool(_words(name) & _DEPTHWISE)


def _says_transposed(words: set[str]) -> bool:
    return bool(words & _TRANSPOSED) or any("transpose" in w or "deconv" in w for w in words)


def _words(name: str) -> set[str]:
    """Words in the last part of a layer's name: ``blocks.upConv_1`` has up, conv and upconv."""
    last = name.rpartition(".")[2]
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", last)
    return {part.lower() for part in parts} | {last.lower(), re.sub(r"[^a-z]", "", last.lower())}
