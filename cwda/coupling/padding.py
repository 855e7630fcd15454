"""Paddings of the channel axis, such as in the shortcuts of CIFAR ResNets, without pruned channels.

How many zeros a padding adds stands in the code of a forward pass. The code stays as it is: the
layer that runs it gets a class of the same name, derived from its own, that has `F.pad` add what
is left. So training, optional arguments and other sizes of input stay what they were.
"""

from __future__ import annotations

import copyreg
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from cwda.coupling.places import Marks, Padding
from cwda.errors import CwdaError

__all__ = ["Paddings", "rewrite"]

#: By the place of a padding in a forward pass: how many channels it adds before and after.
Added = Mapping[int, tuple[int, int]]


class Paddings:
    """Finds the place of each padding in the forward pass of the layer whose code pads."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[str, int]] = {}
        self._counts: dict[str, int] = {}

    def note(self, n: fx.Node, x: Any) -> None:
        """Note one node of a graph, and what it pads."""
        amounts = n.args[1] if len(n.args) > 1 else n.kwargs.get("pad")
        if n.target is not F.pad or not isinstance(x, Tensor) or not _pads_channels(x, amounts):
            return
        stack = n.meta.get("nn_module_stack") or {}
        calls = {"": "", **{str(call): path for call, (path, _) in stack.items()}}
        for call, path in calls.items():
            self.places[n.name] = path, self._counts.get(call, 0)
            self._counts[call] = self._counts.get(call, 0) + 1


def rewrite(model: nn.Module, paddings: Sequence[Padding], marked: Marks) -> None:
    """Have the paddings of a model add the channels that are left of theirs, in place.

    Raises
    ------
    CwdaError
        If one line of code would have to add different channels each time.
    """
    wanted: dict[str, dict[int, tuple[int, int]]] = {}
    for padding in paddings:
        if not marked[padding.channels].any():
            continue
        added = _left(padding, marked)
        if wanted.setdefault(padding.owner, {}).setdefault(padding.place, added) != added:
            raise CwdaError(
                f"{padding.owner or type(model).__name__} pads channels and is used several "
                "times, each with others; apply the plan as masks instead"
            )
    for owner, amounts in wanted.items():
        layer = model.get_submodule(owner)
        base, earlier = vars(type(layer)).get("_pads", (type(layer), {}))
        layer.__class__ = _kind(base, {**earlier, **amounts})


def _left(padding: Padding, marked: Marks) -> tuple[int, int]:
    """How many of the channels that a padding adds are left."""
    kept = ~marked[padding.channels]
    return int(kept[: padding.before].sum()), int(kept[len(kept) - padding.after :].sum())


def _kind(base: type[nn.Module], added: Added) -> type[nn.Module]:
    """A class of modules of which the paddings add other channels."""

    @functools.wraps(base.forward)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        with _Amounts(added):
            return base.forward(self, *args, **kwargs)

    def reduced(self: nn.Module, protocol: Any) -> Any:
        given: Any = base.__reduce_ex__(self, protocol)
        make, args, *state = given
        if make is not copyreg.__newobj__:  # type: ignore[attr-defined]
            return (make, args, *state)
        return (_empty, (base, dict(added)), *state)

    content = {
        **{name: getattr(base, name) for name in ("__module__", "__qualname__", "__doc__")},
        "forward": forward,
        "__reduce_ex__": reduced,
        "_pads": (base, added),
    }
    metaclass: Any = type(base)
    kind: type[nn.Module] = metaclass(base.__name__, (base,), content)
    return kind


def _empty(base: type[nn.Module], added: Added) -> nn.Module:
    """A module without content, as pickle fills it."""
    kind = _kind(base, added)
    return kind.__new__(kind)


class _Amounts(TorchFunctionMode):
    """Counts the paddings of the channel axis in a forward pass, and changes their amounts."""

    def __init__(self, added: Added) -> None:
        super().__init__()
        self._added = added
        self._count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function, `F.pad` with other amounts."""
        kwargs = dict(kwargs or {})
        if func is F.pad:
            given = dict(zip(("input", "pad"), args, strict=False)) | kwargs
            x, amounts = given["input"], given["pad"]
            if _pads_channels(x, amounts):
                kwargs |= {"input": x, "pad": self._changed(x, amounts)}
                kwargs |= dict(zip(("mode", "value"), args[2:], strict=False))
                args = ()
        return func(*args, **kwargs)

    def _changed(self, x: Any, amounts: Sequence[int]) -> tuple[int, ...]:
        added = self._added.get(self._count)
        self._count += 1
        place = _place(x)
        pad = [*amounts, 0][: len(amounts) + len(amounts) % 2]
        if added is not None:
            pad[place : place + 2] = added
        return tuple(pad)


def _place(x: Any) -> int:
    """Where amounts for the channel axis stand: pairs go from the last axis to the first."""
    return 2 * (int(x.ndim) - 2)


def _pads_channels(x: Any, amounts: Any) -> bool:
    return isinstance(amounts, list | tuple) and x.ndim > 1 and len(amounts) > _place(x)
