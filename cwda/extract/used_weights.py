"""The weight that a convolution in memory would use in its next forward pass.

Hooks, parametrisations and subclasses compute it from what is stored. They are run, on one
layer at a time and on zeros, until a convolution of PyTorch is called with a weight that comes
from the layer's own; the weight is kept, and the layer is left as it was.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import conv
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized
from torch.overrides import TorchFunctionMode

from cwda.extract.close_values import likeness
from cwda.extract.left_alone import left_as_it_was
from cwda.extract.lineage import Lineage

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
    with left_as_it_was(part) as kept, torch.no_grad():
        found = _run(part)
        drawn = kept.random_numbers_drawn()
    if not drawn:
        return found
    note = "its forward pass draws the weight at random: one draw, from the random state of now"
    return replace(found, assumption="; ".join(filter(None, (found.assumption, note))))


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
            _forward(part, watch.zeros)
    except _Seen:
        pass
    except Exception as error:
        problem = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
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
    """A call of a convolution.

    `own` says whether its weight comes from the layer's, `input` whether it convolves what
    comes from the layer's input; `likeness` is the correlation with the stored weight.
    """

    weight: Tensor
    groups: int
    transposed: bool
    own: bool
    input: bool
    likeness: float
    sources: frozenset[str]

    @property
    def rank(self) -> tuple[bool, bool, bool, float]:
        return self.own, bool(self.sources), self.input, self.likeness


class _Seen(BaseException):
    """Ends a forward pass; no `except Exception` in it may keep this."""


#: Name of the layer's input among what tensors come from; no parameter has it.
_INPUT = "the input"
#: Names of parameters that make up the weight.
_OWN = re.compile(r"weight\w*|parametrizations\.weight\..*")
#: Correlation with the stored weight from which a call is the layer's own beyond doubt; squares
#: and magnitudes have about 0, masked and rounded weights more.
_ALIKE = 0.5
#: Most calls that are waited for.
_MOST_CALLS = 50


class _Watch(TorchFunctionMode):
    """Notes the weights that convolutions are called with, and stops at the layer's own."""

    def __init__(self, part: _ConvNd) -> None:
        super().__init__()
        self.part = part
        self.zeros = _zeros(part)
        self.calls: list[_Call] = []
        inputs, outputs = part.in_channels, part.out_channels
        first, second = (
            (inputs, outputs) if isinstance(part, _ConvTransposeNd) else (outputs, inputs)
        )
        self.shape = (first, second // part.groups, *part.kernel_size)
        self.nested = tuple(
            f"{name}."
            for name, inner in part.named_modules()
            if inner is not part and isinstance(inner, _ConvNd)
        )
        attributes = {name: t for name, t in vars(part).items() if isinstance(t, Tensor)}
        tensors = (*part.named_parameters(), *part.named_buffers())
        self.lineage = Lineage({**dict(tensors), **attributes, _INPUT: self.zeros})

    def best(self) -> _Call | None:
        """The call with the layer's own weight; None where none of them is."""
        fitting = [call for call in self.calls if tuple(call.weight.shape) == self.shape]
        if not fitting:
            fitting = [call for call in self.calls if call.own or len(self.calls) == 1]
            return fitting[0] if len(fitting) == 1 else None
        best = max(fitting, key=lambda call: call.rank)
        return best if any(best.rank[:3]) or best.likeness >= _ALIKE else None

    def rivals(self, best: _Call) -> int:
        """How many other weights come from the layer's as well."""
        if best.likeness >= _ALIKE and len(self.calls) == 1:
            return 0
        others = [
            call
            for call in self.calls
            if call.own and call is not best and call.weight.shape == best.weight.shape
        ]
        return sum(not torch.equal(call.weight, best.weight) for call in others)

    def why_none(self) -> str:
        if self.calls:
            return "the weights of its convolutions do not come from it"
        return "it calls no convolution of PyTorch with one"

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
        result = func(*args, **kwargs)
        with contextlib.suppress(Exception):
            self.lineage.follow(func, args, kwargs, result)
        return result

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        place, transposed = _CALLS[func]
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        images = args[0] if args else kwargs.get("input")
        stored: Any = vars(self.part).get("weight", self.part._parameters.get("weight"))
        sources = self.lineage.of(weight)
        own = any(map(_OWN.fullmatch, sources)) or bool(sources & self.lineage.of(stored))
        if not own and any(name.startswith(self.nested) for name in sources):
            return
        groups = args[place] if len(args) > place else kwargs.get("groups", 1)
        if transposed is None:
            transposed = bool(args[6] if len(args) > 6 else kwargs.get("transposed", False))
        comparable = isinstance(stored, Tensor) and stored.shape == weight.shape
        like = likeness(weight.detach(), stored.detach()) if comparable else float(own)
        known = sources - {_INPUT}
        seen = _INPUT in self.lineage.of(images)
        kept = weight.detach().clone()
        self.calls.append(_Call(kept, groups, transposed, own, seen, like, known))
        found = own and like >= _ALIKE and tuple(weight.shape) == self.shape
        if found or len(self.calls) >= _MOST_CALLS:
            raise _Seen
