"""`Reproduction`: each statement of a paper, ours beside theirs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cwda.answers import Answer
from cwda.reproduction.finding import VERDICTS, Finding

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Reproduction"]


@dataclass(frozen=True, eq=False, repr=False)
class Reproduction(Answer[Finding]):
    """What a paper states and what was found here, one row per statement.

    Attributes
    ----------
    paper : str
        Name of the paper.
    schedule : str
        How much was run.
    """

    row: ClassVar[type] = Finding
    unprinted: ClassVar[tuple[str, ...]] = ("rule",)
    paper: str = ""
    schedule: str = ""

    def summary(self) -> pd.DataFrame:
        """The statements with both values, the rule and the verdict."""
        return self.table[["part", "claim", "theirs", "ours", "rule", "verdict"]]

    def counts(self) -> dict[str, int]:
        """How many statements have each verdict."""
        counted = Counter(row.verdict for row in self.rows)
        return {verdict: counted[verdict] for verdict in VERDICTS}

    def title(self) -> str:
        """The paper, and the number of statements by verdict."""
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts().items())
        return f"{self.paper}, {len(self)} statements: {counts}"
