"""The tree of layers that a Keras model's configuration describes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cwda.containers.tensors import printable

__all__ = ["Node", "model_of"]

_MAX_DEPTH = 64


@dataclass(eq=False)
class Node:
    """A layer or model in the configuration.

    Attributes
    ----------
    name : str
        Its own name, such as ``conv2d_2``.
    kind : str
        Name of its class.
    config : dict
    custom : bool
        Whether the class is the user's own, as far as the configuration says.
    """

    name: str
    kind: str
    config: dict[str, Any] = field(repr=False)
    custom: bool = False

    @cached_property
    def layers(self) -> list[Node]:
        """Layers of a functional or sequential model, in order; empty for other layers."""
        return _nodes(self.config.get("layers"))

    def attribute(self, key: str) -> Node | list[Node] | None:
        """The layer, or the layers, that the configuration keeps under an attribute's name."""
        for name in (key, key.strip("_"), f"_{key}"):
            if (node := model_of(self.config.get(name))) is not None:
                return node
            if nodes := _nodes(self.config.get(name)):
                return nodes
        return None

    @cached_property
    def wrapped(self) -> Node | None:
        """The layer inside a wrapper such as ``TimeDistributed``."""
        return model_of(self.config.get("layer"))

    @cached_property
    def inner(self) -> dict[str, Node]:
        """All layers inside, at any depth, by name; outer ones win."""
        nodes: dict[str, Node] = {}
        level: list[Any] = [self.config]
        for _ in range(_MAX_DEPTH):
            for node in (node for value in level for node in _direct(value)):
                nodes.setdefault(node.name, node)
            level = [part for value in level for part in _parts(value)]
            if not level:
                break
        return nodes


def model_of(value: Any) -> Node | None:
    """The layer that a serialised object describes; None if it is not one."""
    if not isinstance(value, dict):
        return None
    kind, config = value.get("class_name"), value.get("config")
    if isinstance(config, list):  # a sequential model before Keras 2.2.3
        config = {"layers": config}
    if not isinstance(kind, str) or not isinstance(config, dict):
        return None
    module = value.get("module", "keras")
    if isinstance(module, str) and ".ops." in module:
        return None  # an operation such as `x + y`, which Keras does not count as a layer
    name = config.get("name", value.get("name"))
    registered = str(value.get("registered_name") or "")
    custom = module is None or ">" in registered
    return Node(printable(name) if isinstance(name, str) else "", printable(kind), config, custom)


def _nodes(value: Any) -> list[Node]:
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, list):
        return []
    return [node for node in map(model_of, items) if node is not None]


def _direct(value: Any) -> Iterator[Node]:
    for part in _parts(value):
        node = model_of(part)
        if node is not None and node.name:
            yield node


def _parts(value: Any) -> list[Any]:
    values = value.values() if isinstance(value, dict) else value
    return [part for part in values if isinstance(part, dict | list)]
