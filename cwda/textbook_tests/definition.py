"""What a textbook test is: its null hypothesis, its samples, and how a library computes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cwda.textbook_tests.weights import Weights
from cwda.typing import Array

__all__ = ["Tested", "TextbookTest"]


class Tested(NamedTuple):
    """What a library says of the samples of one layer.

    Attributes
    ----------
    statistics, pvalues : array
        One per test, of equal length.
    n : int
        Observations in each sample.
    left_out : str
        Which samples were left out, and why; empty if none.
    """

    statistics: Array
    pvalues: Array
    n: int
    left_out: str = ""


@dataclass(frozen=True)
class TextbookTest:
    """One test of a textbook.

    Attributes
    ----------
    name : str
        Its name in tables.
    null : str
        Its null hypothesis.
    function : str
        The library's function, such as ``pingouin.normality``, and its method.
    sample : str
        What is tested: what one sample is, and what its observations are.
    misleads : str
        Why its result misleads about the weights of a network.
    compute : callable
        From the `Weights` of a layer to `Tested`.
    equivalence : bool
        Whether a small p-value speaks for the assumption: the null hypothesis is a departure.
    """

    name: str
    null: str
    function: str
    sample: str
    misleads: str
    compute: Callable[[Weights], Tested]
    equivalence: bool = False

    def __repr__(self) -> str:
        return f"TextbookTest({self.name!r})"

    def passes(self, pvalue: float, alpha: float) -> bool | None:
        """Whether a layer with this p-value passes at `alpha`; None where there is none."""
        if pvalue != pvalue:
            return None
        return pvalue <= alpha if self.equivalence else pvalue > alpha
