"""`CheckResult`: a thin object round the table of conditions."""

from __future__ import annotations

import html
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cwda.arguments import choose
from cwda.conditions.results import COLUMNS, ConditionResult
from cwda.layers import Network

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CheckResult", "ConditionCount", "count_verdicts"]


@dataclass(frozen=True)
class ConditionCount:
    """How one network stands with one condition.

    Attributes
    ----------
    network, condition : str
        What is counted.
    holds, fails, inconclusive, not_applicable : int
        Numbers of layers.
    weights_hold, weights_fail, weights_inconclusive : float
        Shares of the network's convolution weights in those layers.
    margin, median_effect : float
        The margin, and the median effect over the layers tested.
    """

    network: str
    condition: str
    holds: int
    fails: int
    inconclusive: int
    not_applicable: int
    weights_hold: float
    weights_fail: float
    weights_inconclusive: float
    margin: float
    median_effect: float


@dataclass(frozen=True)
class CheckResult:
    """Results of conditions over the layers of networks.

    Attributes
    ----------
    results : tuple of ConditionResult
        One record a layer and condition.
    networks : tuple of Network
        The networks tested.
    alpha : float
        Intervals have level 1 - 2 alpha.

    Examples
    --------
    >>> import cwda
    >>> res = cwda.check(cwda.load("resnet20-cifar10"), ["epsilon", "mean"])
    >>> len(res.table), list(res.summary()["condition"])
    (38, ['mean', 'epsilon'])
    """

    results: tuple[ConditionResult, ...]
    networks: tuple[Network, ...]
    alpha: float

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[ConditionResult]:
        return iter(self.results)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Tidy table, one row a layer and condition, raw values."""
        import pandas as pd

        return pd.DataFrame([row.row() for row in self.results], columns=list(COLUMNS))

    def condition(self, name: str) -> pd.DataFrame:
        """Rows of one condition with its further numbers as columns.

        Raises
        ------
        CwdaError
            If the condition was not tested; the message names the nearest.
        """
        import pandas as pd

        choose([name], dict.fromkeys(row.condition for row in self.results), "condition")
        rows = [{**row.row(), **row.details} for row in self.results if row.condition == name]
        return pd.DataFrame(rows)

    def summary(self) -> pd.DataFrame:
        """How many layers hold, fail or are inconclusive, per network and condition."""
        import pandas as pd

        return pd.DataFrame([vars(count) for count in count_verdicts(self)])

    def _repr_html_(self) -> str:
        shown = self.summary().round(3)
        level = f"{100 * (1 - 2 * self.alpha):g} % intervals"
        names = ", ".join(html.escape(network.name) for network in self.networks)
        table: str = shown.to_html(index=False, border=0)
        return f"<p>CWDA conditions of {names} ({level})</p>{table}"

    def __repr__(self) -> str:
        lines = [f"CheckResult: {len(self.results)} rows, .table has them all"]
        for count in count_verdicts(self):
            lines.append(
                f"  {count.network} {count.condition:<12} holds {count.holds}, "
                f"fails {count.fails}, inconclusive {count.inconclusive}, "
                f"not applicable {count.not_applicable}"
            )
        return "\n".join(lines)


def count_verdicts(result: CheckResult) -> list[ConditionCount]:
    """Count the verdicts of each network and condition, in the order of the rows."""
    groups: dict[tuple[str, str], list[ConditionResult]] = {}
    for row in result.results:
        groups.setdefault((row.network, row.condition), []).append(row)
    return [_count(network, condition, rows) for (network, condition), rows in groups.items()]


def _count(network: str, condition: str, rows: list[ConditionResult]) -> ConditionCount:
    layers: dict[str, int] = {}
    weights: dict[str, int] = {}
    for row in rows:
        layers[row.verdict] = layers.get(row.verdict, 0) + 1
        weights[row.verdict] = weights.get(row.verdict, 0) + row.n_weights
    total = max(sum(weights.values()), 1)
    effects = [row.effect for row in rows if row.verdict != "not applicable"]
    return ConditionCount(
        network=network,
        condition=condition,
        holds=layers.get("holds", 0),
        fails=layers.get("fails", 0),
        inconclusive=layers.get("inconclusive", 0),
        not_applicable=layers.get("not applicable", 0),
        weights_hold=weights.get("holds", 0) / total,
        weights_fail=weights.get("fails", 0) / total,
        weights_inconclusive=weights.get("inconclusive", 0) / total,
        margin=rows[0].margin,
        median_effect=statistics.median(effects) if effects else float("nan"),
    )
