"""The weight that a convolution in memory would use in its next forward pass.

Hooks, parametrisations and subclasses compute it from what is stored. They are run, on one
layer at a time and on zeros, until a convolution of PyTorch is called; its weight is kept,
nothing is convolved, and the layer is left as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import conv
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized
from torch.overrides import TorchFunctionMode

from cwda.extract.left_alone import left_as_it_was

__all__ = ["UsedWeight", "is_plain", "parametrised_tensor", "used_weight"]


@dataclass(frozen=True)
class UsedWeight:
    """A convolution's weight, and how it is applied."""

    weight: Tensor
    groups: int
    transposed: bool
    assumption: str = ""


_KINDS = (
    *(conv.Conv1d, conv.Conv2d, conv.Conv3d),
    *(conv.ConvTranspose1d, conv.ConvTranspose2d, conv.ConvTranspose3d),
)
_FORWARDS = {kind.forward for kind in _KINDS}
_INNER = {kind._conv_forward for kind in _KINDS[:3]}

#: Positions of `groups` among the arguments, and whether the convolution is transposed;
#: None where an argument tells.
_CALLS: dict[Any, tuple[int, bool | None]] = {
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), (6, False)),
    torch.conv_transpose1d: (6, True),
    torch.conv_transpose2d: (6, True),
    torch.conv_transpose3d: (6, True),
    torch.convolution: (8, None),
}


def is_plain(part: _ConvNd) -> bool:
    """Whether the forward pass uses the stored weight as it is."""
    kind = type(part)
    return (
        not part._forward_pre_hooks
        and not is_parametrized(part)
        and "forward" not in vars(part)
        and "_conv_forward" not in vars(part)
        and kind.forward in _FORWARDS
        and getattr(kind, "_conv_forward", None) in (*_INNER, None)
        and not isinstance(getattr(kind, "weight", None), property)
    )


def used_weight(part: _ConvNd) -> UsedWeight:
    """The weight of the next forward pass, in memory of its own unless it is the stored one.

    Raises
    ------
    Exception
        Whatever the module raises where neither its forward pass nor its weight can be had.
    """
    if is_plain(part):
        return UsedWeight(part.weight, part.groups, part.transposed)
    if any(is_lazy(tensor) or tensor.is_meta for tensor in (*part.parameters(), *part.buffers())):
        return UsedWeight(_stored(part), part.groups, part.transposed)
    before = torch.get_rng_state()
    with left_as_it_was(part), torch.no_grad():
        found = _run(part)
    if not torch.equal(before, torch.get_rng_state()):
        drawn = (
            "its forward pass draws the weight at random: one draw, from the random state of now"
        )
        found = UsedWeight(
            found.weight,
            found.groups,
            found.transposed,
            "; ".join(filter(None, (found.assumption, drawn))),
        )
    return found


def parametrised_tensor(part: nn.Module, name: str) -> Tensor:
    """The value of a parametrised tensor of any module, in memory of its own."""
    with left_as_it_was(part), torch.no_grad():
        value: Tensor = getattr(part, name).detach().clone()
    return value


def _stored(part: _ConvNd) -> Tensor:
    """The largest tensor, where none has values: its weight or the factor like it."""
    return max(part.parameters(), key=lambda each: 0 if is_lazy(each) else each.numel())


def _run(part: _ConvNd) -> UsedWeight:
    watch = _Watch(part)
    problem = ""
    try:
        with watch:
            _forward(part)
    except _Seen:
        pass
    except Exception as error:
        problem = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
    stored = part.weight.detach()
    call = watch.best()
    if call is None:
        reason = problem or "it calls no convolution of PyTorch with one"
        return UsedWeight(
            stored.clone(),
            part.groups,
            part.transposed,
            f"the stored weight: the forward pass of {type(part).__name__} does not show what it "
            f"makes of it ({reason})",
        )
    weight = call.weight.detach()
    own = weight.shape == stored.shape and torch.equal(weight, stored)
    note = f"effective weights, as the forward pass of {type(part).__name__} computes them"
    return UsedWeight(weight.clone(), call.groups, call.transposed, "" if own else note)


def _forward(part: _ConvNd) -> None:
    """Hooks before the forward pass, then the forward pass itself, on zeros."""
    arguments: tuple[Any, ...] = (_zeros(part),)
    keywords: dict[str, Any] = {}
    for key, hook in list(part._forward_pre_hooks.items()):
        if getattr(hook, "__module__", "").startswith("torch.distributed."):
            continue  # it would wait for the other processes
        if key in part._forward_pre_hooks_with_kwargs:
            arguments, keywords = hook(part, arguments, keywords) or (arguments, keywords)
        else:
            given = hook(part, arguments)
            if given is not None:
                arguments = given if isinstance(given, tuple) else (given,)
    forward = part.forward
    # A compiled forward pass hides its calls.
    getattr(forward, "_torchdynamo_orig_callable", forward)(*arguments, **keywords)


def _zeros(part: _ConvNd) -> Tensor:
    """The smallest input that every mode of padding takes."""
    like = next((*part.parameters(), *part.buffers()).__iter__())
    padding = part.padding if isinstance(part.padding, tuple) else (0,) * len(part.kernel_size)
    sizes = [
        max(dilation * (size - 1), extra) + 1
        for size, dilation, extra in zip(part.kernel_size, part.dilation, padding, strict=True)
    ]
    return torch.zeros(1, part.in_channels, *sizes, dtype=like.dtype, device=like.device)


@dataclass(frozen=True)
class _Call:
    weight: Tensor
    groups: int
    transposed: bool


class _Seen(BaseException):
    """Ends a forward pass; no `except Exception` in it may keep this."""


class _Watch(TorchFunctionMode):
    """Notes the weights that convolutions are called with, and stops at the layer's own."""

    def __init__(self, part: _ConvNd) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        inputs, outputs = part.in_channels, part.out_channels
        first, second = (
            (inputs, outputs) if isinstance(part, _ConvTransposeNd) else (outputs, inputs)
        )
        self.shape = (first, second // part.groups, *part.kernel_size)
        self.others = {
            id(tensor)
            for inner in part.modules()
            if inner is not part and isinstance(inner, _ConvNd)
            for tensor in inner.parameters(recurse=False)
        }

    def best(self) -> _Call | None:
        """The call with a weight of the layer's shape, or the only call."""
        fitting = [call for call in self.calls if tuple(call.weight.shape) == self.shape]
        if fitting or len(self.calls) != 1:
            return fitting[0] if fitting else None
        return self.calls[0]

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _CALLS:
            self._note(func, args, kwargs)
        return func(*args, **kwargs)

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        place, transposed = _CALLS[func]
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        if id(weight) in self.others:
            return
        groups = args[place] if len(args) > place else kwargs.get("groups", 1)
        if transposed is None:
            transposed = bool(args[6] if len(args) > 6 else kwargs.get("transposed", False))
        self.calls.append(_Call(weight, groups, transposed))
        if tuple(weight.shape) == self.shape:
            raise _Seen
