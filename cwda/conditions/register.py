"""The register of conditions: those of the package in their order, then the users' own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from cwda.errors import CwdaError, UnknownName, nearest

if TYPE_CHECKING:
    from cwda.conditions.condition import Condition

__all__ = ["CONDITIONS", "Register"]


class Register(Mapping[str, "Condition"]):
    """The conditions by name, in the order of tables."""

    def __init__(self) -> None:
        self._members: dict[str, Condition] = {}

    def __getitem__(self, name: str) -> Condition:
        """The condition of a name.

        Raises
        ------
        CwdaError
            If there is none; the message names the nearest.
        """
        if name not in self._members:
            raise UnknownName(f"no condition {name!r} is defined{nearest(name, self._members)}")
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return "\n".join(["Conditions:", *(f"  {member!r}" for member in self.values())])

    def add(self, condition: Condition) -> None:
        """Add a condition; a function that is defined anew replaces its condition.

        Raises
        ------
        CwdaError
            If another function has that name already.
        """
        known = self._members.get(condition.name)
        # A cell of a notebook that runs again defines the same function anew.
        if known is not None and _origin(known) != _origin(condition):
            raise CwdaError(f"there is a condition {condition.name!r} already; choose another name")
        self._members[condition.name] = condition

    def arrange(self, first: Iterable[Condition]) -> None:
        """Put these conditions first, in this order."""
        self._members = {condition.name: condition for condition in first} | self._members

    def forget(self, name: str) -> None:
        """Take a condition out again.

        Raises
        ------
        CwdaError
            If there is none of that name.
        """
        del self._members[self[name].name]


def _origin(condition: Condition) -> tuple[str, str]:
    measure = condition.measure
    return measure.__module__, getattr(measure, "__qualname__", repr(measure))


CONDITIONS = Register()
