"""How many classes a state dict of a named architecture has."""

from __future__ import annotations

from collections.abc import Mapping

from cwda.containers.tensors import NamedTensor
from cwda.models.build import shapes_of

__all__ = ["classes_of"]


def classes_of(arch: str, state: Mapping[str, NamedTensor]) -> int | None:
    """The number of classes with which the architecture has the shapes of `state`.

    The network is built without values for two and for three classes: sizes that differ grow
    with the classes, by one or by a multiple (as boxes and anchors do). None if no size tells,
    or they disagree.
    """
    two, three = shapes_of(arch, 2), shapes_of(arch, 3)
    if two is None or three is None:
        return None
    numbers = set()
    for key, small in two.items():
        tensor = state.get(key)
        if tensor is None or small == three[key] or len(tensor.shape) != len(small):
            continue
        for size, at_two, at_three in zip(tensor.shape, small, three[key], strict=True):
            if at_two != at_three:
                classes, rest = divmod(size - at_two, at_three - at_two)
                numbers.add(-1 if rest else classes + 2)
    return numbers.pop() if len(numbers) == 1 and min(numbers) > 0 else None
