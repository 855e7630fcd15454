"""Reasons that rows give, each said once, with the first of the layers that it concerns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from cwda.formatting import many

__all__ = ["Told", "by_reason", "first_of"]

#: A number in a sentence, but not that of a name, such as float16 or layer3.2.
_NUMBER = re.compile(r"(?<![\w.-])(\d+(?:,\d{3})*(?:\.\d+)?)(?!\w|\.\w)")

#: Names shown of several.
_NAMED = 2


class Told(NamedTuple):
    """What a row says: which condition or test, of which layer, and why."""

    subject: str
    place: str
    reason: str


def by_reason(
    told: Iterable[Told], noun: str = "layer", *, whole: Collection[str] = (), every: str = ""
) -> list[str]:
    """One line per reason and set of places; reasons that differ in numbers only are one.

    Parameters
    ----------
    told : iterable of Told
        The rows; their subjects may be empty.
    noun : str
        What places are.
    whole, every : collection of str, str
        All the subjects there are, and what several of them are called together.

    Examples
    --------
    >>> few = Told("mean", "a", "1 filter; 8 are needed")
    >>> by_reason([few, Told("mean", "b", "7 filters; 8 are needed")])
    ['mean in 2 layers (a, b): 1 to 7 filters; 8 are needed']
    """
    kinds: dict[tuple[str, str], dict[str, str]] = {}
    for row in told:
        kinds.setdefault((_kind(row.reason), row.subject), {})[row.place] = row.reason
    together: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (kind, subject), found in kinds.items():
        together.setdefault((kind, tuple(found)), []).append(subject)
    lines = []
    for (kind, places), subjects in sorted(together.items(), key=lambda each: -len(each[0][1])):
        reasons = [kinds[kind, subject][place] for subject in subjects for place in places]
        several = len(subjects) > 1 and len(subjects) == len(whole)
        names = every if several else ", ".join(filter(None, subjects))
        where = f"{many(len(places), noun)} ({first_of(places)})"
        lines.append(f"{f'{names} in ' if names else ''}{where}: {_spanned(reasons)}")
    return lines


def first_of(names: Sequence[str], most: int = _NAMED) -> str:
    """The first names.

    Examples
    --------
    >>> first_of(["a", "b"]), first_of(["a", "b", "c"])
    ('a, b', 'a, b, ...')
    """
    return ", ".join([*names[:most], *["..."] * (len(names) > most)])


def _kind(reason: str) -> str:
    """The reason without its numbers, and without the plural behind one."""
    return re.sub(r"# (\w+?)s?\b", r"# \1", _NUMBER.sub("#", reason))


def _spanned(reasons: Sequence[str]) -> str:
    """Reasons of one kind as one, from the smallest number to the largest at each place."""
    rows = [_NUMBER.split(reason) for reason in reasons]
    widest = max(rows, key=lambda row: [*map(_value, row[1::2])])  # in the plural, if one is
    columns = [sorted({row[at] for row in rows}, key=_value) for at in range(1, len(widest), 2)]
    spans = [" to ".join(dict.fromkeys((column[0], column[-1]))) for column in columns]
    return "".join(part for pair in zip(widest[::2], [*spans, ""], strict=True) for part in pair)


def _value(number: str) -> float:
    return float(number.replace(",", ""))
