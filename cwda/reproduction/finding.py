"""`Finding`: one statement of a paper, what was found here, and whether both agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from cwda.answers import column
from cwda.formatting import number

__all__ = ["NOT_KNOWN", "VERDICTS", "Agreed", "Finding", "agreed", "span"]

#: What is said of a statement of the paper.
Agreed = Literal["agreed", "partly", "not agreed", "not run"]

VERDICTS: tuple[Agreed, ...] = get_args(Agreed)

#: In place of a value of the paper that is not at hand.
NOT_KNOWN = "not known here"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One statement of the paper and what was found here."""

    part: str = column("table, figure or section of the paper")
    claim: str = column("what the paper states, in our words")
    theirs: str = column(f'its value in the paper; "{NOT_KNOWN}" if that is so')
    ours: str = column("the value found here")
    rule: str = column("when both are said to agree")
    verdict: str = column(", ".join(f"`{verdict}`" for verdict in VERDICTS))
    networks: int = column("number of networks it rests on", default=0)
    layers: int = column("number of layers of these networks it rests on", default=0)
    images: int = column(
        "number of images per network it rests on: for calibration, or to test on; 0 if it is "
        "about weights alone",
        default=0,
    )
    reason: str = column("why it was not run; empty otherwise", default="")

    @property
    def basis(self) -> str:
        """Networks, layers and images in a few words."""
        counts = {"network": self.networks, "layer": self.layers, "image": self.images}
        return ", ".join(
            f"{count:,} {noun}{'s' * (count != 1)}" for noun, count in counts.items() if count
        )


def agreed(cases: Sequence[bool]) -> Agreed:
    """Agreed in all cases, in none, or partly.

    Examples
    --------
    >>> agreed([True, True]), agreed([True, False]), agreed([False]), agreed([])
    ('agreed', 'partly', 'not agreed', 'not run')
    """
    if not cases:
        return "not run"
    if all(cases):
        return "agreed"
    return "partly" if any(cases) else "not agreed"


def span(values: Sequence[float], shown: Callable[[float], str] = number) -> str:
    """The smallest and the largest of some values, or one if they look the same.

    Examples
    --------
    >>> span([0.5, 0.25, 0.75]), span([0.5])
    ('.250 to .750', '.500')
    """
    return " to ".join(dict.fromkeys([shown(min(values)), shown(max(values))]))
