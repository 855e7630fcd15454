"""What an exported program does with its weights: which convolve, in how many groups, which way.

The program is JSON; it is searched for operators and never run.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cwda.containers.tensors import NamedTensor, printable

__all__ = ["Use", "uses_of", "with_uses"]

#: Operators whose operands are not kernels, however many axes they have.
_OTHERS = frozenset(
    {"linear", "matmul", "bmm", "mm", "addmm", "einsum", "embedding", "add", "prelu"}
    | {"batch_norm", "layer_norm", "group_norm", "instance_norm", "native_layer_norm"}
)


@dataclass(frozen=True, slots=True)
class Use:
    """One operator that uses a weight.

    Attributes
    ----------
    weight : str
        Name of the weight in the state dict.
    module : str
        Path of the module that the operator came from; empty if the program does not say.
    hints : dict
        What the use tells of the weight, as fields of `NamedTensor`.
    """

    weight: str
    module: str
    hints: dict[str, Any]

    @property
    def transposed(self) -> bool | None:
        """Whether it is a transposed convolution; None where it is not a convolution."""
        return self.hints.get("transposed")


def uses_of(program: Any) -> list[Use]:
    """The uses of weights in the order of the program; none where it is damaged."""
    try:
        module = program["graph_module"]
        names = dict(_names(module["signature"]["input_specs"]))
        return [
            Use(names[name], _module_of(node), hints)
            for node in module["graph"]["nodes"]
            for name, hints in _operands(node)
            if name in names
        ]
    except (TypeError, LookupError, AttributeError):
        return []


def _names(specs: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The name in the program and the name in the state dict of each weight."""
    for spec in specs:
        for kind in ("parameter", "buffer", "tensor_constant"):
            if kind in spec:
                yield spec[kind]["arg"]["name"], printable(spec[kind][f"{kind}_name"])


def _module_of(node: dict[str, Any]) -> str:
    """The innermost of the modules that a node came from: ``key,path,class;...``."""
    stack = node.get("metadata", {}).get("nn_module_stack", "")
    parts = str(stack).rpartition(";")[2].split(",")
    return printable(parts[1].removeprefix("L['self'].")) if len(parts) > 2 else ""


def _operands(node: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The weight of a convolution and its use, or the operands of what is surely none."""
    operator = node["target"].removeprefix("torch.ops.aten.").partition(".")[0]
    arguments = {part["name"]: part["arg"] for part in node["inputs"]}
    if "ops.aten." in node["target"] and operator.startswith("conv"):
        weight = arguments.get("weight", {}).get("as_tensor", {}).get("name")
        groups = arguments.get("groups", {}).get("as_int", 1)
        transposed = arguments.get("transposed", {}).get("as_bool", "transpose" in operator)
        if isinstance(weight, str) and isinstance(groups, int) and groups > 0:
            yield weight, {"is_conv": True, "groups": groups, "transposed": bool(transposed)}
    elif operator in _OTHERS:
        for argument in arguments.values():
            if name := argument.get("as_tensor", {}).get("name"):
                yield name, {"is_conv": False, "origin": f"aten.{operator}"}


def with_uses(tensors: Sequence[NamedTensor], uses: Sequence[Use]) -> list[NamedTensor]:
    """The tensors with what their uses tell.

    A program uses one name for all that share their memory, so a use belongs to all of them;
    the module it came from tells whose own it is. A tensor that serves a convolution and a
    transposed one is there twice.
    """
    sharing: dict[Hashable, list[NamedTensor]] = {}
    for tensor in tensors:
        sharing.setdefault(_place(tensor), []).append(tensor)
    places = {tensor.name: _place(tensor) for tensor in tensors}
    used: dict[Hashable, list[Use]] = {}
    for use in uses:
        if use.weight in places:
            used.setdefault(places[use.weight], []).append(use)
    informed: dict[int, list[NamedTensor]] = {}
    for place, group in sharing.items():
        informed.update(_informed(group, used.get(place, [])))
    return [named for tensor in tensors for named in informed[id(tensor)]]


def _place(tensor: NamedTensor) -> Hashable:
    return id(tensor) if tensor.storage is None else tensor.storage


def _informed(group: list[NamedTensor], uses: list[Use]) -> dict[int, list[NamedTensor]]:
    """Each name of one tensor with its use; two where the only name has two kinds of uses."""
    convolutions = [use for use in uses if use.transposed is not None]
    kept = convolutions or uses[:1]
    if not kept:
        return {id(tensor): [tensor] for tensor in group}
    by_module = {f"{use.module}.weight": use for use in reversed(kept)}
    own = {id(t): by_module[t.name] for t in group if t.name in by_module}
    kinds = {use.transposed: use for use in reversed(kept)}
    missing = [
        use for kind, use in kinds.items() if kind not in {u.transposed for u in own.values()}
    ]
    for tensor in group:
        if id(tensor) not in own:
            own[id(tensor)] = missing.pop() if missing else kept[0]
    informed = {id(tensor): [replace(tensor, **own[id(tensor)].hints)] for tensor in group}
    informed[id(group[0])] += [replace(group[0], **use.hints) for use in missing]
    return informed
