"""`Paper` and `Part`: what can be reproduced, and how each part of it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from cwda.reporting.blocks import Block
from cwda.reproduction.bench import Bench
from cwda.reproduction.finding import Finding

__all__ = ["Paper", "Part", "Section"]


def _nothing() -> Iterable[Block]:
    return ()


@dataclass(frozen=True, eq=False)
class Section:
    """What one part gave.

    Attributes
    ----------
    findings : sequence of Finding
        Its statements, ours beside theirs.
    blocks : callable
        Makes the text, tables and pictures of the chapter.
    """

    findings: Sequence[Finding]
    blocks: Callable[[], Iterable[Block]] = field(default=_nothing)


@dataclass(frozen=True)
class Part:
    """A table, figure or section of a paper.

    Attributes
    ----------
    name : str
        Such as "Figure 3".
    title : str
        Its name and subject, for the heading of its chapter.
    claim : str
        What it states, for the line that says why it could not be run.
    find : callable
        From a `Bench` to a `Section`.
    """

    name: str
    title: str
    claim: str
    find: Callable[[Bench], Section]


@dataclass(frozen=True)
class Paper:
    """A paper whose results can be computed anew.

    Attributes
    ----------
    name : str
        What the command line calls it.
    authors : str
        Authors and year, in short.
    citation : str
        Authors, year, title, place.
    url : str
        Its address.
    known : str
        What of it was at hand when the reproduction was written.
    parts : tuple of Part
        In its order.
    """

    name: str
    authors: str
    citation: str
    url: str
    known: str
    parts: tuple[Part, ...]
