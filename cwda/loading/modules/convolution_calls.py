"""The convolution that a layer calls with its own weight, among those of its forward pass."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.parametrize import is_parametrized
from torch.overrides import TorchFunctionMode

from cwda.convolutions.copies.close_values import likeness
from cwda.loading.modules.lineage import Lineage, same_memory

__all__ = ["Call", "Seen", "Watch"]

#: Positions of `groups` among the arguments, and whether the convolution is transposed;
#: None where an argument tells.
_CALLS: dict[Any, tuple[int, bool | None]] = {
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), (6, False)),
    torch.conv_transpose1d: (6, True),
    torch.conv_transpose2d: (6, True),
    torch.conv_transpose3d: (6, True),
    torch.convolution: (8, None),
}


@dataclass(frozen=True)
class Call:
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


class Seen(BaseException):
    """Ends a forward pass; no `except Exception` in it may keep this."""


#: Name of the layer's input among what tensors come from; no parameter has it.
_INPUT = "the input"
#: Beginning of the names of what a parametrised weight is made of.
_PARAMETRISED = "parametrizations.weight."
#: Correlation with the stored weight from which a call is the layer's own beyond doubt; squares
#: and magnitudes have about 0, masked and rounded weights more.
_ALIKE = 0.5
#: Most calls that are waited for.
_MOST_CALLS = 50


class Watch(TorchFunctionMode):
    """Notes the weights that convolutions are called with, and stops at the layer's own."""

    def __init__(self, part: _ConvNd) -> None:
        super().__init__()
        self.part = part
        self.zeros = _zeros(part)
        self.calls: list[Call] = []
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

    def best(self) -> Call | None:
        """The call with the layer's own weight; None where none of them is."""
        fitting = [call for call in self.calls if tuple(call.weight.shape) == self.shape]
        if not fitting:
            fitting = [call for call in self.calls if call.own or len(self.calls) == 1]
            return fitting[0] if len(fitting) == 1 else None
        best = max(fitting, key=lambda call: call.rank)
        recognised = best.own or best.sources or best.likeness >= _ALIKE
        # Equal weights are a mean's or a count's, which nobody has trained.
        varied = best.input and bool(best.weight.min() < best.weight.max())
        return best if recognised or varied else None

    def rivals(self, best: Call) -> int:
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

    def _is_own(self, weight: Tensor, stored: Tensor | None, sources: frozenset[str]) -> bool:
        """Whether a weight comes from the layer's own weight."""
        if stored is not None:
            return same_memory(weight, stored) or bool(sources & self.lineage.of(stored))
        if is_parametrized(self.part, "weight"):
            return any(name.startswith(_PARAMETRISED) for name in sources)
        return bool(sources)

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        place, transposed = _CALLS[func]
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        images = args[0] if args else kwargs.get("input")
        stored: Any = vars(self.part).get("weight", self.part._parameters.get("weight"))
        sources = self.lineage.of(weight)
        own = self._is_own(weight, stored, sources - {_INPUT})
        if not own and any(name.startswith(self.nested) for name in sources):
            return
        groups = args[place] if len(args) > place else kwargs.get("groups", 1)
        if transposed is None:
            transposed = bool(args[6] if len(args) > 6 else kwargs.get("transposed", False))
        comparable = isinstance(stored, Tensor) and stored.shape == weight.shape
        like = likeness(weight.detach(), stored.detach()) if comparable else float(own)
        origins = sources - {_INPUT}
        seen = _INPUT in self.lineage.of(images)
        kept = weight.detach().clone()
        self.calls.append(Call(kept, groups, transposed, own, seen, like, origins))
        seen_whole = own and like >= _ALIKE and tuple(weight.shape) == self.shape
        if seen_whole or len(self.calls) >= _MOST_CALLS:
            raise Seen


def _zeros(part: _ConvNd) -> Tensor:
    """The smallest input that every mode of padding takes."""
    like = next((*part.parameters(), *part.buffers()).__iter__())
    padding = part.padding if isinstance(part.padding, tuple) else (0,) * len(part.kernel_size)
    sizes = [
        max(dilation * (size - 1), extra) + 1
        for size, dilation, extra in zip(part.kernel_size, part.dilation, padding, strict=True)
    ]
    return torch.zeros(1, part.in_channels, *sizes, dtype=like.dtype, device=like.device)
