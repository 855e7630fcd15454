"""Which layer of the model a group of variables in a Keras file belongs to.

Two ways of writing exist. Keras 3, and Keras 2 from 2.12 on, walk the model's attributes: a
layer lies under the attribute that holds it, a layer in a list under its class's name with a
count (``layers/conv2d_1``), whatever its own name is. Older files, and ``.h5`` files until
today, keep the weights under the layers' own names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cwda.keras_files.configuration import Node
from cwda.keras_files.kinds import closed, kind_of_name, snake_case
from cwda.keras_files.ordering import CONVOLUTION

__all__ = ["Attributes", "Names", "Place", "natural"]

#: Attributes under which a functional or sequential model keeps its layers.
_LAYERS = ("layers", "_layer_checkpoint_dependencies")
#: Attributes of Keras' own attention and recurrent layers.
_INSIDE = re.compile(r"_?((query|key|value|output)_dense|cell|(forward|backward)_layer)")

Order = tuple[int, int, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, eq=False)
class Place:
    """A layer, or a list of layers, in the model.

    Attributes
    ----------
    names : tuple of str
        What a user would call it: own names of a model's layers, attributes inside others.
    order : tuple
        Sorts the places as the model has them.
    node : Node or None
        Its part of the configuration, where that is known.
    kind : str
        Class that Keras' counting of classes, or an automatic name, tells; else empty.
    certain : bool
        Whether `kind` comes from the configuration or the counting, not from a name.
    owner : str
        Class of the layer of Keras itself that it is a part of; empty for others.
    listed : bool
        Whether it is a list of layers.
    items : tuple of Node
        The layers in that list, as far as the configuration tells.
    words : str
        The last part of its path and its own name, which may say what it is.
    """

    names: tuple[str, ...] = ()
    order: tuple[Order, ...] = ()
    node: Node | None = None
    kind: str = ""
    certain: bool = True
    owner: str = ""
    listed: bool = False
    items: tuple[Node, ...] = ()
    words: str = ""


def natural(text: str) -> tuple[tuple[str, int], ...]:
    """Sort key that puts ``conv2d_2`` before ``conv2d_10``."""
    return tuple(
        (word, int(digits[:18]) if digits else 0)
        for word, digits in re.findall(r"(\D+|^)(\d*)", text)
    )


class Attributes:
    """Places in files whose paths follow the attributes of the model.

    Parameters
    ----------
    model : Node or None
        Its configuration.
    paths : iterable of tuple of str
        Path of every layer, without ``vars`` at the end.
    own : mapping
        The layer's own name by path, which later files of Keras 3 state.
    """

    def __init__(
        self,
        model: Node | None,
        paths: Iterable[tuple[str, ...]],
        own: Mapping[tuple[str, ...], str],
    ) -> None:
        self._own = own
        self._layers = set(paths)
        self._children: dict[tuple[str, ...], list[str]] = {}
        for path in {layer[:end] for layer in self._layers for end in range(1, len(layer) + 1)}:
            self._children.setdefault(path[:-1], []).append(path[-1])
        self._resolved: dict[tuple[str, ...], dict[str, tuple[int, Node]]] = {}
        root = Place(node=model, kind=model.kind if model else "")
        self._places: dict[tuple[str, ...], Place] = {(): root}

    def place(self, path: tuple[str, ...]) -> Place:
        """The layer under a path, which has no ``vars`` at its end."""
        if path not in self._places:
            parent = self.place(path[:-1])
            self._places[path] = (self._item if parent.listed else self._attribute)(parent, path)
        return self._places[path]

    def _attribute(self, parent: Place, path: tuple[str, ...]) -> Place:
        """What a layer or model keeps under an attribute."""
        part, node = path[-1], parent.node
        if part in _LAYERS:
            items = tuple(node.layers) if node is not None else ()
            order = (*parent.order, (0, 0, ()))
            return Place(parent.names, order, listed=True, items=items)
        names = (*parent.names, part)
        order = (*parent.order, (1, 0, natural(part)))
        configured = node.attribute(part) if node is not None else None
        if isinstance(configured, Node):
            return Place(names, order, configured, configured.kind, owner=parent.owner, words=part)
        if isinstance(configured, list) or path not in self._layers:
            items = tuple(configured) if isinstance(configured, list) else ()
            return Place(names, order, owner=_owner(parent, part), listed=True, items=items)
        own = self._own.get(path, "")
        kind = kind_of_name(own) or kind_of_name(part)
        owner = _owner(parent, part)
        return Place(names, order, None, kind, False, owner, words=f"{part}_{own}")

    def _item(self, parent: Place, path: tuple[str, ...]) -> Place:
        """A member of a list, which is called after its class."""
        part, own = path[-1], self._own.get(path, "")
        index, node = self._members(parent, path[:-1]).get(part, (0, None))
        if node is not None:
            names, order = (*parent.names, node.name), (*parent.order, (0, index, ()))
            return Place(names, order, node, node.kind, owner=parent.owner, words=node.name)
        names, order = (*parent.names, own or part), (*parent.order, (1, 0, natural(own or part)))
        if path not in self._layers:  # a list in the list
            return Place(names, order, owner=parent.owner, listed=True)
        kind = kind_of_name(part)
        certain, words = bool(kind), f"{part}_{own}"
        return Place(
            names, order, None, kind or kind_of_name(own), certain, parent.owner, words=words
        )

    def _members(self, parent: Place, path: tuple[str, ...]) -> dict[str, tuple[int, Node]]:
        """Place in the model's list, and configuration, of each member of a list."""
        if path not in self._resolved:
            present = self._children.get(path, [])
            own = {part: self._own.get((*path, part), "") for part in present}
            self._resolved[path] = _resolve(parent.items, present, own)
        return self._resolved[path]


def _resolve(
    items: Iterable[Node], present: list[str], own: Mapping[str, str]
) -> dict[str, tuple[int, Node]]:
    """Match the groups of a list with the layers of the configuration.

    Keras counts the members of each class. A member that was saved before, under another
    path, leaves a gap. Keras 2.12 and 2.13 count layers with weights twice, so where there
    are as many groups as layers of a class, their ranks are matched, not their numbers.
    """
    by_stem: dict[str, list[tuple[int, Node]]] = {}
    by_name: dict[str, tuple[int, Node]] = {}
    for index, node in enumerate(items):
        by_stem.setdefault(snake_case(node.kind), []).append((index, node))
        by_name.setdefault(node.name, (index, node))
    groups: dict[str, dict[int, str]] = {}
    for part in present:
        stem, number = _counted(part, by_stem)
        groups.setdefault(stem, {})[number] = part
    nodes: dict[str, tuple[int, Node]] = {}
    for stem, members in by_stem.items():
        parts = groups.get(stem, {})
        numbers = sorted(parts)
        if len(numbers) == len(members):
            nodes.update({parts[n]: m for n, m in zip(numbers, members, strict=True)})
        else:
            step = 2 if numbers and numbers[-1] >= len(members) else 1
            ranks = {n: n // step for n in numbers if n // step < len(members)}
            nodes.update({parts[n]: members[rank] for n, rank in ranks.items()})
    for part in present:  # a name that the file states is better evidence than any count
        if own[part] in by_name:
            nodes[part] = by_name[own[part]]
        elif own[part]:
            nodes.pop(part, None)
    return nodes


def _counted(part: str, stems: Mapping[str, object]) -> tuple[str, int]:
    """Class and count in a name such as ``conv2d_3``."""
    if part in stems:
        return part, 0
    stem, _, digits = part.rpartition("_")
    return (stem, int(digits)) if digits.isdecimal() and len(digits) < 10 else (part, 0)


def _owner(parent: Place, part: str) -> str:
    """Class of Keras' own layer that an attribute belongs to; empty if it may be any layer."""
    if parent.owner or not closed(parent.kind):
        return parent.owner
    from_keras = parent.node is not None and not parent.node.custom
    return parent.kind if from_keras or _INSIDE.fullmatch(part) else ""


class Names:
    """Places in files that keep weights under the layers' own names.

    Parameters
    ----------
    model : Node or None
        Its configuration.
    layers : iterable of str
        Names of the layers in order, which the file states.
    ranks : mapping
        Rank of the first variable of each path in the lists of the file.
    """

    def __init__(
        self,
        model: Node | None,
        layers: Iterable[str],
        ranks: Mapping[tuple[str, ...], int],
    ) -> None:
        self._model = model
        self._inside = ranks
        stated = list(layers) or ([node.name for node in model.layers] if model else [])
        self._ranks = {name: rank for rank, name in enumerate(stated)}

    def place(self, path: tuple[str, ...]) -> Place:
        """The layer under a path, which has no variable at its end."""
        top, rest = self._split(path, self._ranks)
        rest = _after_repetition(path[: len(path) - len(rest)], rest)
        node = self._find(self._model, top)
        names = [top] if top else []
        while rest:
            if _repeats(rest[0], names[-1], node):
                rest = rest[1:]
                continue
            part, rest = self._split(rest, node.inner if node is not None else {})
            names.append(part)
            closed_one = node is not None and closed(node.kind) and not node.custom
            node = self._find(node, part) or (node if closed_one else None)
        rank = self._ranks.get(top, len(self._ranks))
        inside = self._inside.get(path, len(self._inside))
        order = ((0, rank, ()), (0, inside, natural("/".join(path))))
        if node is not None:
            node = node.wrapped or node
            return Place(tuple(names), order, node, node.kind, words=names[-1])
        kind = next((k for k in map(kind_of_name, names[::-1]) if k), "")
        last = kind_of_name(names[-1]) if names else ""
        owner = kind if closed(kind) and not last else ""
        words = names[-1] if names else ""
        return Place(tuple(names), order, None, last, False, owner, words=words)

    @staticmethod
    def _split(path: tuple[str, ...], names: Mapping[str, object]) -> tuple[str, tuple[str, ...]]:
        """Name of a layer, in which older versions allow slashes, and what follows."""
        for end in range(len(path), 1, -1):
            if "/".join(path[:end]) in names:
                return "/".join(path[:end]), path[end:]
        return (path[0], path[1:]) if path else ("", ())

    @staticmethod
    def _find(node: Node | None, name: str) -> Node | None:
        return node.inner.get(name) if node is not None else None


def _after_repetition(top: tuple[str, ...], rest: tuple[str, ...]) -> tuple[str, ...]:
    """What follows the layer's name where that is repeated, maybe after the model's."""
    for start in range(len(rest) - len(top) + 1):
        if top and rest[start : start + len(top)] == top:
            return rest[start + len(top) :]
    return rest


def _repeats(part: str, before: str, node: Node | None) -> bool:
    """Whether a part only says again which layer it is.

    Keras numbers the scope of a layer that is used twice: ``conv2d_2/conv2d_2_1``.
    """
    kind = node.kind if node is not None else kind_of_name(before)
    numbered = CONVOLUTION.fullmatch(kind) and re.fullmatch(re.escape(before) + r"_\d+", part)
    return part == before or bool(numbered)
