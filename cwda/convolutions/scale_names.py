"""Which tensor next to a weight of one byte is its scale, by names.

Each quantiser has names of its own: ``weight_scale``, ``weights_scaling_factor``,
``weight_quantizer._scale``. What is called a scale and not of something else is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cwda.containers.names import split_leaf
from cwda.containers.tensors import NamedTensor

__all__ = ["ABSMAX", "NearbyScales", "Neighbours"]

#: What bitsandbytes calls the largest magnitudes of the rows of an int8 weight.
ABSMAX = "SCB"
_WEIGHT = re.compile(r"_?(weights?|kernel|w)([._].*|_?\w*quant\w*)?", re.IGNORECASE)
_OF_WEIGHT = re.compile(r"weight|kernel|(^|[._])w_|_w$", re.IGNORECASE)
_OF_OTHERS = re.compile(
    r"bias|zero|lora|dora|scaled_fp8|residual|running_|num_batches|"
    r"(^|[._])(in|out|x|y|k|v|kv|act|activation|input|output)s?([._]|$)",
    re.IGNORECASE,
)
_DICT = re.compile(r"(weights?_)?scal(e|es|ings?|ing_factors)(_dict)?", re.IGNORECASE)


@dataclass(frozen=True)
class NearbyScales:
    """Scales of a weight, and tensors of which no one knows whether they are."""

    scales: list[NamedTensor]
    unknown: list[NamedTensor]


@dataclass
class Neighbours:
    """The tensors of a source by the module that they lie in."""

    tensors: Iterable[NamedTensor]
    _mates: dict[tuple[tuple[str, ...], str], list[NamedTensor]] = field(default_factory=dict)
    _elsewhere: dict[str, list[NamedTensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for tensor in self.tensors:
            stem = split_leaf(tensor.name)[0]
            self._mates.setdefault((tensor.container, stem), []).append(tensor)
            above, part = split_leaf(stem)
            if part and _WEIGHT.fullmatch(part):  # as in conv.weight_quantizer._scale
                self._mates.setdefault((tensor.container, above), []).append(tensor)
            if tensor.container and _DICT.fullmatch(tensor.container[-1]):
                self._elsewhere.setdefault(tensor.name, []).append(tensor)

    def near(self, weight: NamedTensor) -> NearbyScales:
        """What may be the scale of a weight."""
        stem, leaf = split_leaf(weight.name)
        mates = [
            (tensor.name[len(stem) :].lstrip("./,"), tensor)
            for tensor in self._mates.get((weight.container, stem), [])
            if tensor is not weight
        ]
        if not _WEIGHT.fullmatch(leaf):  # conv1_weight: its neighbours are other layers'
            mates = [(name, tensor) for name, tensor in mates if name.startswith(leaf)]
        inside = self._mates.get(((*weight.container, weight.name), ""), [])
        mates += [(f"{leaf}.{tensor.name}", tensor) for tensor in inside]
        mates = [(name, tensor) for name, tensor in mates if not _OF_OTHERS.search(name)]
        scales = [(name, t) for name, t in mates if "scal" in name.lower() or name == ABSMAX]
        own = [tensor for name, tensor in scales if _OF_WEIGHT.search(name)]
        scales_of_weight = own or [tensor for _, tensor in scales]
        scales_of_weight = scales_of_weight or self._elsewhere.get(weight.name, [])
        called = {id(tensor) for _, tensor in scales}
        unknown = [t for name, t in mates if id(t) not in called and _is_perhaps(name, t, weight)]
        return NearbyScales(scales_of_weight, unknown)


def _is_perhaps(name: str, tensor: NamedTensor, weight: NamedTensor) -> bool:
    """Whether a tensor has one number, or one for each filter, that may be a scale."""
    if tensor.dtype is None or not tensor.dtype.is_floating_point:
        return False
    long = [size for size in tensor.shape if size > 1]
    fits = not long or (len(long) == 1 and long[0] in weight.shape)
    return fits and not name.endswith("alpha")  # the scale of an adapter
