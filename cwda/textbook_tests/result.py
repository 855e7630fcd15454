"""`TextbookResult`: the answer of `cwda.textbook`, and how many layers pass."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from cwda.answers import Answer, column, common, table_of
from cwda.textbook_tests.tests import TESTS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TextbookCount", "TextbookResult", "TextbookRow", "count_passes"]

#: The tests by name.
_TESTS = {test.name: test for test in TESTS}


@dataclass(frozen=True)
class TextbookRow:
    """One textbook test in one layer."""

    network: str = common("network")
    layer: str = common("layer")
    test: str = column("Name of the test.")
    statistic: float = column(
        "Test statistic; of several tests in the layer, that of the smallest p-value. NaN for "
        "TOST, whose library gives none."
    )
    pvalue: float = column(
        "p-value of the layer. Of `n_tests` tests it is the smallest that Holm's method gives: "
        "`n_tests` times their smallest p-value, at most 1."
    )
    pvalue_holm: float = column("p-value adjusted over the layers of the network by Holm's method.")
    pvalue_bh: float = column("The same by the method of Benjamini and Hochberg.")
    passes: bool | None = column(
        "Whether p-value > 1 - level; for TOST, whether p-value <= 1 - level. NA where there is "
        "no p-value."
    )
    n_tests: int = column("Number of tests in the layer: positions, filters, channels or pairs.")
    share_passing: float = column(
        "Share of these tests with a p-value above 1 - level, each for itself; NaN for one test."
    )
    n: int = column("Number of observations in each sample; 0 where nothing was tested.")
    sample: str = column("What one sample is, and what its observations are.")
    function: str = column("Library, function and method that computed it.")
    n_filters: int = common("n_filters")
    dim: int = common("dim")
    reason: str = column(
        "Why there is no p-value, or what was left out or warned of; empty otherwise."
    )


@dataclass(frozen=True)
class TextbookCount:
    """How many layers of a network pass one test: a row of `TextbookResult.summary`."""

    network: str = common("network")
    test: str = column("Name of the test.")
    passes: int = column("Number of layers that pass.")
    layers: int = column("Number of layers tested.")
    statement: str = column('As papers say it, such as "9 of 19 layers pass at .05".')
    passes_holm: int = column("Layers that pass by the p-value adjusted by Holm's method.")
    passes_bh: int = column("Layers that pass by that of Benjamini and Hochberg.")
    not_applicable: int = column("Layers to which the test does not apply.")
    share_passing: float = column("Median of `share_passing` over the layers.")
    function: str = column("Library, function and method.")
    misleads: str = column("Why the result misleads about the weights of a network.")


@dataclass(frozen=True, eq=False, repr=False)
class TextbookResult(Answer[TextbookRow]):
    """Textbook tests in the layers of networks, one row per layer and test.

    A test passes at 1 - `level`.

    Examples
    --------
    >>> import cwda
    >>> res = cwda.textbook(cwda.load("resnet20-cifar10").select("layer3.2.*"))
    >>> res.summary().set_index("test").loc["layer normality", "statement"]
    '0 of 2 layers pass at .05'
    """

    row: ClassVar[type] = TextbookRow
    unprinted: ClassVar[tuple[str, ...]] = ("function", "misleads")

    def title(self) -> str:
        """What was tested."""
        names = ", ".join(network.name for network in self.networks)
        return f"textbook tests of {names} at {_level(1 - self.level)}"

    def summary(self) -> pd.DataFrame:
        """How many layers pass each test, and why that misleads; per network and test."""
        return table_of(tuple(count_passes(self)), TextbookCount)


def count_passes(result: TextbookResult) -> list[TextbookCount]:
    """The counts of each network and test, in the order of the tests."""
    groups: dict[tuple[str, str], list[TextbookRow]] = {}
    for row in result.rows:
        groups.setdefault((row.network, row.test), []).append(row)
    return [_count(rows, 1 - result.level) for rows in groups.values()]


def _count(rows: Sequence[TextbookRow], alpha: float) -> TextbookCount:
    test = _TESTS[rows[0].test]
    tested = [row for row in rows if row.passes is not None]
    passes = sum(bool(row.passes) for row in tested)
    shares = [row.share_passing for row in tested if not math.isnan(row.share_passing)]
    layers = f"{len(tested)} layer{'' if len(tested) == 1 else 's'}"
    return TextbookCount(
        network=rows[0].network,
        test=test.name,
        passes=passes,
        layers=len(tested),
        statement=f"{passes} of {layers} pass at {_level(alpha)}" if tested else "not applicable",
        passes_holm=sum(bool(test.passes(row.pvalue_holm, alpha)) for row in tested),
        passes_bh=sum(bool(test.passes(row.pvalue_bh, alpha)) for row in tested),
        not_applicable=len(rows) - len(tested),
        share_passing=statistics.median(shares) if shares else math.nan,
        function=test.function,
        misleads=test.misleads,
    )


def _level(alpha: float) -> str:
    return f"{alpha:.4g}".removeprefix("0")
