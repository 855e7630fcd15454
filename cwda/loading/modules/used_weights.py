"""The weight that a convolution in memory would use in its next forward pass.

Hooks, parametrisations and subclasses compute it from what is stored. They are run, on one
layer at a time and on zeros, until a convolution of PyTorch is called with a weight that comes
from the layer's own; the weight is kept, and the layer is left as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import conv
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from cwda.errors import reason_of
from cwda.loading.modules.convolution_calls import Seen, Watch
from cwda.loading.modules.left_alone import left_as_it_was

__all__ = ["UsedWeight", "is_plain", "parametrised_tensor", "used_weight"]


@dataclass(frozen=True)
class UsedWeight:
    """A convolution's weight, how it is applied, and the names of what it was computed from."""

    weight: Tensor
    groups: int
    transposed: bool
    assumption: str = ""
    sources: frozenset[str] = frozenset()


_KINDS = (
    *(conv.Conv1d, conv.Conv2d, conv.Conv3d),
    *(conv.ConvTranspose1d, conv.ConvTranspose2d, conv.ConvTranspose3d),
)
_FORWARDS = {kind.forward for kind in _KINDS}
_INNER = {kind._conv_forward for kind in _KINDS[:3]}


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
    with left_as_it_was(part) as kept, torch.no_grad():
        used = _run(part)
        drawn = kept.random_numbers_drawn()
    if not drawn:
        return used
    note = "its forward pass draws the weight at random: one draw, from the random state of now"
    return replace(used, assumption="; ".join(filter(None, (used.assumption, note))))


def parametrised_tensor(part: nn.Module, name: str) -> Tensor:
    """The value of a parametrised tensor of any module, in memory of its own."""
    with left_as_it_was(part), torch.no_grad():
        value: Tensor = getattr(part, name).detach().clone()
    return value


def _stored(part: _ConvNd) -> Tensor:
    """The largest tensor, where none has values: its weight or the factor like it."""
    return max(part.parameters(), key=lambda each: 0 if is_lazy(each) else each.numel())


def _run(part: _ConvNd) -> UsedWeight:
    watch = Watch(part)
    problem = ""
    try:
        with watch:
            _forward(part, watch.zeros)
    except Seen:
        pass
    except Exception as error:
        problem = f"{type(error).__name__}: {reason_of(error)}"
    stored = part.weight.detach()
    call = watch.best()
    if call is None:
        reason = problem or watch.why_none()
        return UsedWeight(
            stored.clone(),
            part.groups,
            part.transposed,
            f"the stored weight: the forward pass of {type(part).__name__} does not show what it "
            f"makes of it ({reason})",
        )
    own = call.weight.shape == stored.shape and torch.equal(call.weight, stored)
    note = f"effective weights, as the forward pass of {type(part).__name__} computes them"
    if several := watch.rivals(call):
        note += f", the likest to the stored ones of {several + 1} that it convolves with"
    return UsedWeight(call.weight, call.groups, call.transposed, "" if own else note, call.sources)


def _forward(part: _ConvNd, zeros: Tensor) -> None:
    """Hooks before the forward pass, then the forward pass itself, on zeros."""
    arguments: tuple[Any, ...] = (zeros,)
    keywords: dict[str, Any] = {}
    for key, hook in list(part._forward_pre_hooks.items()):
        if getattr(hook, "__module__", "").startswith("torch.distributed."):
            continue  # it would wait for the other processes
        if key in part._forward_pre_hooks_with_kwargs:
            arguments, keywords = hook(part, arguments, keywords) or (arguments, keywords)
        else:
            changed = hook(part, arguments)
            if changed is not None:
                arguments = changed if isinstance(changed, tuple) else (changed,)
    forward = part.forward
    # A compiled forward pass hides its calls.
    getattr(forward, "_torchdynamo_orig_callable", forward)(*arguments, **keywords)
