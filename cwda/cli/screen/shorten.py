"""Names of layers in less room, still telling one layer from the other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from rich.cells import cell_len

__all__ = ["shortened"]

_SEPARATORS = "./_:-"

#: Parts of the room for the beginning of a name; its end mostly says more.
_BEGINNINGS = (0.0, 0.25, 0.5, 0.75)

#: As many characters are given up for a cut between two words.
_CHEAP = 6


def shortened(names: Sequence[str], room: int, cut: str) -> list[str] | None:
    """Each name in at most `room` columns, with `cut` where something is left out.

    All stay distinct, and no number is cut in two; None where that is impossible.

    Examples
    --------
    >>> shortened(["body.stage1.block0.conv1", "body.stage2.block10.conv1"], 15, "…")
    ['….block0.conv1', '….block10.conv1']
    """
    if max(map(cell_len, names), default=0) <= room:
        return list(names)
    for cheap, beginning in itertools.product((_CHEAP, 0), _BEGINNINGS):
        cut_names = [_one(name, room, cut, beginning, cheap) for name in names]
        distinct = len(set(cut_names)) == len(set(names))
        if distinct and max(map(cell_len, cut_names)) <= room:
            return cut_names
    return None


def _one(name: str, room: int, cut: str, beginning: float, cheap: int) -> str:
    if cell_len(name) <= room:
        return name
    left = max(room - cell_len(cut), 0)
    ends = [at for at in range(len(name) + 1) if cell_len(name[:at]) <= left * beginning]
    head = name[: _best(name, ends[::-1], cheap)]
    room = left - cell_len(head)
    starts = [at for at in range(len(name) + 1) if cell_len(name[at:]) <= room]
    return head + cut + name[_best(name, starts, cheap) :]


def _best(name: str, places: Sequence[int], cheap: int) -> int:
    """The first place to cut between words, if it costs little, else the first within a word."""
    allowed = [at for at in places if not _splits_number(name, at)]
    between = [at for at in allowed if _between_words(name, at)]
    if between and abs(between[0] - places[0]) <= cheap:
        return between[0]
    return allowed[0]


def _splits_number(name: str, at: int) -> bool:
    return 0 < at < len(name) and name[at - 1].isdigit() and name[at].isdigit()


def _between_words(name: str, at: int) -> bool:
    return at in (0, len(name)) or name[at] in _SEPARATORS or name[at - 1] in _SEPARATORS
