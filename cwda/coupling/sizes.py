"""What becomes of the number of channels, where a forward pass computes with it.

A size that gives a value of the same channels its form changes along with them. Where it is used
for anything else, such as a factor or the form of another value, the channels must stay.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from cwda.coupling.channels import Channels, varies
from cwda.tracing.operations import (
    FILLING,
    FLATTEN,
    FORM,
    MOVING,
    PARTS,
    RESHAPING,
    kind,
    operation,
)

__all__ = ["Sizes"]

_SHAPING = {RESHAPING, FLATTEN}
_CUTTING = {MOVING, PARTS, FILLING}
_WHOLE = ("shape", "size")
_ORDER = {operator.gt, operator.ge, operator.lt, operator.le}
_GROUPED = {
    F.conv1d,
    F.conv2d,
    F.conv3d,
    F.conv_transpose1d,
    F.conv_transpose2d,
    F.conv_transpose3d,
}


class Sizes:
    """Notes which numbers are numbers of channels, and settles what that means.

    Parameters
    ----------
    channels : Channels
        All channels.
    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._forms: dict[fx.Node, Tensor] = {}
        self._counts: dict[fx.Node, Tensor] = {}
        self._used: list[tuple[Tensor, Tensor, str]] = []

    def note(self, n: fx.Node, value: Any, numbers: Mapping[fx.Node, Any]) -> None:
        """Note one node of the graph, once its value is known."""
        given = n.args[0] if n.args else None
        of = numbers.get(given) if isinstance(given, fx.Node) else None
        if kind(n) == FORM and isinstance(of, Tensor):
            self._note_form(n, of)
        elif isinstance(given, fx.Node) and given in self._forms and operation(n) == "getitem":
            if isinstance(n.args[1], int):
                self._note_axis(n, self._forms[given], n.args[1])
        else:
            counts = [self._counts[each] for each in n.all_input_nodes if each in self._counts]
            if counts:
                self._note_use(n, value, torch.cat(counts), numbers.get(n))

    def settle(self) -> None:
        """Fix the channels of which the number is used for other channels."""
        for source, result, name in self._used:
            wanted, present = (
                {*self._channels.united(each.flatten()).tolist()} for each in (source, result)
            )
            if not wanted <= present:
                self._channels.fix(source, f"its number of channels gives {name} its size")

    def note_parameter(self, n: fx.Node, held: Mapping[int, Tensor]) -> None:
        """Fix the channels of a parameter's axes, but the first, of which the number is asked."""
        parts = [each for each in n.users if operation(each) == "getitem"]
        users = [*n.users, *(user for part in parts for user in part.users)]
        for user in users:
            asked = _asked(user, [*held])
            if user not in n.users and asked:  # of a part, such as one filter
                asked = {*held} - {0}
            for axis in asked & {*held}:
                self._channels.fix(held[axis], f"its number of channels is asked of {n.target}")

    def _note_form(self, n: fx.Node, of: Tensor) -> None:
        name = operation(n)
        axis = n.args[1] if n.op == "call_method" and len(n.args) > 1 else n.kwargs.get("dim")
        if name == "shape" or (name == "size" and axis is None):
            self._forms[n] = of
        elif name == "size" and isinstance(axis, int):
            self._note_axis(n, of, axis)
        elif any(varies(of, place) for place in range(of.ndim)):
            self._counts[n] = torch.unique(of.abs())

    def _note_axis(self, n: fx.Node, of: Tensor, axis: int) -> None:
        if varies(of, axis):
            self._counts[n] = torch.unique(of.abs())

    def _note_use(self, n: fx.Node, value: Any, counts: Tensor, numbers: Any) -> None:
        if not isinstance(value, Tensor | tuple | list) and kind(n) != FILLING:
            self._counts[n] = counts
            if n.meta.get("asked") and n.target in _ORDER and len(n.all_input_nodes) == 1:
                self._channels.fix(
                    counts, "its number of channels is compared with one in the code"
                )
            return
        shapes = kind(n) in _SHAPING or operation(n) in ("expand", "broadcastto", "repeat")
        if shapes and isinstance(numbers, Tensor):
            self._used.append((counts, torch.unique(numbers.abs()), _name(n)))
        elif kind(n) not in _CUTTING and n.target not in _GROUPED:
            made = not any(each not in self._counts for each in n.all_input_nodes)
            if not made:
                self._channels.fix(counts, f"its number of channels enters {_name(n)}")


def _asked(n: fx.Node, axes: list[int]) -> set[Any]:
    """The axes, but the first, of which a node asks the size; all of them for a whole number."""
    name = operation(n)
    if name in ("numel", "nelement"):
        return {*axes}
    if name == "size" and len(n.args) > 1:
        return {n.args[1]} - {0}
    items = {each.args[1] for each in n.users if operation(each) == "getitem"}
    return {each for each in items if isinstance(each, int) and each} if name in _WHOLE else set()


def _name(n: fx.Node) -> str:
    return getattr(n.target, "__name__", str(n.target))
