"""What the variables of one layer of a Keras file are: kernels, and of which kind."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cwda.keras_files.guess import guess, recurrent
from cwda.keras_files.kinds import closed, fits, role_of_class, role_of_config
from cwda.keras_files.places import Place

__all__ = ["Kernel", "Variable", "kernels_of"]

_SEPARATE = ("depthwise_kernel", "pointwise_kernel")
_KERNEL = re.compile(r"kernel|(depthwise|pointwise)_kernel|weights?|[Ww]|filters?")


@dataclass(frozen=True)
class Variable:
    """Name in its layer, a number in files of Keras 3, and shape with the channels last."""

    leaf: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Kernel:
    """What a variable of three axes or more is.

    Attributes
    ----------
    leaf : str
        What it is called in its layer.
    role : str
        ``conv``, ``transposed`` or ``depthwise``; empty if it is not a convolution's kernel.
    groups : int or None
    assumption, reason : str
        What was assumed, or why it is not a kernel.
    open : bool
        Whether nothing tells an ordinary kernel from a transposed one.
    """

    leaf: str
    role: str = ""
    groups: int | None = None
    assumption: str = ""
    reason: str = ""
    open: bool = False


def kernels_of(place: Place, variables: list[Variable]) -> dict[int, Kernel]:
    """What each variable of three axes or more is, by its index among the layer's variables."""
    big = [i for i, variable in enumerate(variables) if len(variable.shape) >= 3]
    if not big:
        return {}
    numbered = variables[0].leaf.isdigit()
    node = place.node
    if foreign := place.owner or _foreign(place, variables):
        return _none(variables, big, f"belongs to {foreign}, not to a convolution")
    if node is not None and node.wrapped is not None and numbered:
        reason = f"belongs to the wrapper {node.kind}; the weights of the layer inside are read"
        return _none(variables, big, reason)
    config = node.config if node is not None else {}
    role = role_of_config(node) if node is not None else role_of_class(place.kind)
    kernels = _by_class(role, place, config, variables) if role else None
    if kernels is not None:
        rest = [i for i in big if i not in kernels]
        return kernels | _none(variables, rest, f"belongs to {place.kind}, but is not its kernel")
    contradicted = role and "its class in the configuration does not fit its shape; "
    return _guessed(place, variables, big, contradicted if node is not None else "")


def _foreign(place: Place, variables: list[Variable]) -> str:
    """Class of the layer if that is one of Keras' own without convolutions; else empty."""
    if not closed(place.kind) or (place.node is not None and place.node.custom):
        return ""
    if not place.certain and place.node is None:
        # A name may be anything: these classes have no kernels of three axes or more.
        twofold = re.fullmatch("Dense|Embedding|(LSTM|GRU|SimpleRNN)(Cell)?", place.kind)
        if twofold or any(variable.leaf in _SEPARATE for variable in variables):
            return ""
    return place.kind


def _none(variables: list[Variable], indices: Iterable[int], reason: str) -> dict[int, Kernel]:
    return {i: Kernel(variables[i].leaf, reason=reason) for i in indices}


def _by_class(
    role: str, place: Place, config: dict[str, Any], variables: list[Variable]
) -> dict[int, Kernel] | None:
    """The kernels of a layer whose class is known; None if its shapes contradict the class."""
    leaves = [variable.leaf for variable in variables]
    wanted = {"kernel": role}
    if role == "separable":
        wanted = {"depthwise_kernel": "depthwise", "pointwise_kernel": "pointwise"}
    note = "" if place.certain else "its class is read from its name"
    kernels: dict[int, Kernel] = {}
    for number, (leaf, part) in enumerate(wanted.items()):
        index = _index(leaves, leaf, number)
        if index is None or len(variables[index].shape) < 3:
            return None
        shape = variables[index].shape
        bias = _bias(variables, len(wanted))
        if part == role and not config and bias not in (None, _filters(part, shape)):
            return None
        if not fits(part, shape, config):
            return None
        groups = _groups(part, shape, config)
        kernels[index] = Kernel(leaf, part.replace("pointwise", "conv"), groups, note)
    return kernels


def _index(leaves: list[str], leaf: str, number: int) -> int | None:
    """Where a kernel is among the variables, by its name or its number."""
    if leaves[0].isdigit():
        return leaves.index(str(number)) if str(number) in leaves else None
    others = ("depthwise_kernel", "W") if leaf == "kernel" else ()
    return next((leaves.index(name) for name in (leaf, *others) if name in leaves), None)


def _bias(variables: list[Variable], number: int) -> int | None:
    """Size of the bias, which follows the kernels."""
    for variable in variables:
        if variable.leaf in ("bias", "b", str(number)) and len(variable.shape) == 1:
            return variable.shape[0]
    return None


def _filters(role: str, shape: tuple[int, ...]) -> int:
    if role == "depthwise":
        return shape[-2] * shape[-1]
    return shape[-2] if role == "transposed" else shape[-1]


def _groups(role: str, shape: tuple[int, ...], config: dict[str, Any]) -> int | None:
    """Number of groups; None if it is not known."""
    if role == "depthwise":
        return shape[-2]
    if role in ("pointwise", "transposed"):
        return 1
    stated = config.get("groups", 1) if config else None
    if not isinstance(stated, int) or stated < 1 or shape[-1] % stated:
        return None
    return stated


def _guessed(
    place: Place, variables: list[Variable], big: list[int], before: str
) -> dict[int, Kernel]:
    """The kernels of a layer whose class is not known."""
    shapes = [variables[i].shape for i in big]
    leaves = {variable.leaf for variable in variables}
    pairs = itertools.pairwise(shapes)
    if "recurrent_kernel" in leaves or any(recurrent(one, two) for one, two in pairs):
        return _none(variables, big, "belongs to a recurrent layer, not to a convolution")
    if len(big) == 2 and _separable(*shapes):
        note = f"{before}taken for separable, because a 1x1 kernel follows on its channels"
        first = Kernel("depthwise_kernel", "depthwise", shapes[0][-2], note)
        return {big[0]: first, big[1]: Kernel("pointwise_kernel", "conv", 1, note)}
    if len(big) > 1 and len(shapes[0]) == 3 and len(set(shapes)) == 1:
        return _none(
            variables, big, "several variables of one shape, like those of a normalisation"
        )
    return {i: _guessed_one(place, variables, i, len(big) == 1, before) for i in big}


def _guessed_one(
    place: Place, variables: list[Variable], index: int, only: bool, before: str
) -> Kernel:
    leaf, shape = variables[index].leaf, variables[index].shape
    numbered = leaf.isdigit()
    called = "kernel" if numbered and only else leaf
    if not numbered and not _KERNEL.fullmatch(leaf):
        return Kernel(leaf, reason="not named like a convolution's weight")
    if leaf in _SEPARATE:
        depthwise = leaf == "depthwise_kernel"
        only_one = depthwise and only
        role, groups = ("depthwise", shape[-2]) if depthwise else ("conv", 1)
        return Kernel("kernel" if only_one else leaf, role, groups)
    after = _after(variables, index)
    if after is not None and len(after.shape) == 2:
        reason = "its bias has 2 axes, like that of a dense layer (EinsumDense)"
        return Kernel(leaf, reason=reason)
    bias = after.shape[0] if after is not None and len(after.shape) == 1 else None
    guessed = guess(shape, bias, place.words)
    if not guessed.role:
        return Kernel(leaf, reason=guessed.note)
    known_groups = {"depthwise": shape[-2], "transposed": 1}.get(guessed.role)
    return Kernel(called, guessed.role, known_groups, before + guessed.note, open=guessed.open)


def _after(variables: list[Variable], index: int) -> Variable | None:
    """The variable that may be a kernel's bias."""
    if not variables[index].leaf.isdigit():
        return next((v for v in variables if v.leaf in ("bias", "b")), None)
    return variables[index + 1] if index + 1 < len(variables) else None


def _separable(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    ones = all(size == 1 for size in second[:-2])
    return ones and len(first) == len(second) and second[-2] == first[-2] * first[-1]
