"""What an ONNX model's tensors are for that feed no convolution's weight."""

from __future__ import annotations

from cwda.containers.tensors import printable
from cwda.layers import Skipped
from cwda.onnx_files.convolutions import CONVOLUTIONS, KNOWN_DOMAINS
from cwda.onnx_files.graph import Node, Scope, graphs, operators
from cwda.onnx_files.operators import LAYOUT

__all__ = ["others", "without_convolution"]

#: Operators that are followed to what uses their outcome, and how far.
_PASSING = LAYOUT | {"DequantizeLinear", "QuantizeLinear", "Expand", "Tile"}
_STEPS, _SHOWN = 32, 3


def others(scope: Scope, used: set[int]) -> list[Skipped]:
    """Stored tensors of three axes or more whose ids are not among the used ones."""
    every = list(graphs(scope))
    users: dict[str, list[tuple[Node, int]]] = {}
    for graph in every:
        for name, nodes in graph.consumers.items():
            users.setdefault(name, []).extend(nodes[: 2 * _SHOWN])
    return [
        Skipped(constant.name, constant.shape, constant.reason or _reason(name, users))
        for graph in reversed(every)
        for name, constant in graph.tensors.items()
        if len(constant.shape) >= 3 and id(constant) not in used
    ]


def _reason(name: str, users: dict[str, list[tuple[Node, int]]]) -> str:
    """Which operators use a tensor, in words."""
    ends: dict[str, None] = {}
    names, steps = [name], 0
    while names and steps < _STEPS:
        for node, place in users.get(names.pop(), [])[: 2 * _SHOWN]:
            steps += 1
            if node.operator in _PASSING and place == 0 and node.outputs:
                names.append(node.outputs[0])
            else:
                ends[_described(node, place)] = None
    if not ends:
        return "feeds no operator"
    shown = " and ".join(list(ends)[:_SHOWN])
    return f"feeds {shown}, not a convolution's weight"


def _described(node: Node, place: int) -> str:
    operator = printable(node.operator)[:80]
    if node.operator in CONVOLUTIONS:
        return f"input {place} of {operator}"
    return (
        operator if node.domain in KNOWN_DOMAINS else f"{operator} of {printable(node.domain)[:80]}"
    )


def without_convolution(scope: Scope) -> str:
    """One line for a model that convolves nowhere: what it has instead."""
    count = operators(scope)
    if not count:
        return (
            "an ONNX model without operators, so that nothing tells which tensors are "
            "convolutions; give the whole model"
        )
    shown = ", ".join(
        f"{number} {printable(name)[:80]}" for name, number in list(count.items())[:4]
    )
    rest = ", ..." if len(count) > 4 else ""
    return (
        f"an ONNX model without a convolution (its operators: {shown}{rest}); "
        "give a network with convolution layers"
    )
