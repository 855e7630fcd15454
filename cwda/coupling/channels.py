"""Numbers for channels, and tensors of such numbers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["Channels", "along", "compact", "constant", "spread", "varies"]


class Channels:
    """Numbers of channels, from 1; those tied to one another are united.

    Number 0 stands for a constant: what is of no channel.
    """

    def __init__(self) -> None:
        self._parent = [0]
        self._reasons: dict[int, str] = {}

    def fresh(self, count: int) -> Tensor:
        """Numbers of new channels."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return torch.arange(first, first + count)

    def find(self, number: int) -> int:
        """The number that stands for all channels tied to this one."""
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def tie(self, a: Tensor, b: Tensor) -> None:
        """Unite channels that meet element by element; constants tie nothing."""
        pairs = torch.unique(a.abs().flatten() * len(self._parent) + b.abs().flatten())
        for pair in pairs.tolist():
            first, second = map(self.find, divmod(pair, len(self._parent)))
            if first and second:
                self._parent[max(first, second)] = min(first, second)

    def fix(self, numbers: Tensor, reason: str) -> None:
        """Channels that must stay, and why; the first reason counts."""
        for number in torch.unique(numbers.abs()).tolist():
            if number:
                self._reasons.setdefault(number, reason)

    def united(self, numbers: Tensor) -> Tensor:
        """The same numbers with one for all channels that are tied; signs are kept."""
        distinct, places = torch.unique(numbers, return_inverse=True)
        signed = [
            (-1 if number < 0 else 1) * self.find(abs(number)) for number in distinct.tolist()
        ]
        return torch.tensor(signed)[places].reshape(numbers.shape)

    def reasons(self) -> Iterator[tuple[int, str]]:
        """The united channels that must stay, and why."""
        return ((self.find(number), reason) for number, reason in self._reasons.items())


def along(numbers: Tensor, axis: int) -> Tensor | None:
    """One number for each place of an axis; None if channels differ along the others.

    A channel of which a part is not zero is not zero.
    """
    if not -numbers.ndim <= axis < numbers.ndim or not numbers.numel():
        return None
    flat = numbers.movedim(axis, 0).flatten(1) if numbers.ndim > 1 else numbers[:, None]
    first = flat[:, :1]
    if bool((flat == first).all()):
        return flat[:, 0]
    return flat.amin(1) if bool((flat.abs() == first.abs()).all()) else None


def varies(numbers: Tensor, axis: int) -> bool:
    """Whether numbers differ along an axis."""
    if numbers.shape[axis] < 2 or numbers.stride(axis) == 0:
        return False
    return bool((numbers != numbers.narrow(axis, 0, 1)).any())


def constant(shape: torch.Size) -> Tensor:
    """Numbers of a value that is of no channel."""
    return torch.zeros((), dtype=torch.int64).expand(shape)


def spread(numbers: Tensor, value: Tensor, axis: int) -> Tensor:
    """Numbers of an axis, for every element of a value."""
    shape = [1] * value.ndim
    shape[axis] = -1
    return numbers.reshape(shape).expand(value.shape)


def compact(numbers: Tensor) -> Tensor:
    """The same numbers; in little memory where they depend on the channel alone."""
    if numbers.ndim < 3 or bool(
        (
            numbers
            != numbers.flatten(2)[:, :, :1].reshape(*numbers.shape[:2], *[1] * (numbers.ndim - 2))
        ).any()
    ):
        return numbers
    channels = along(numbers, 1)
    return numbers if channels is None else spread(channels, numbers, 1)
