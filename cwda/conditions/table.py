"""`CheckResult`: the answer of `cwda.check`, and how its verdicts are counted."""

from __future__ import annotations

import html
import importlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cwda.answers import Answer, column, common, table_of
from cwda.arguments import choose
from cwda.choices import Scale
from cwda.conditions.results import ConditionResult
from cwda.errors import CwdaError
from cwda.numerics.combination import benjamini_hochberg, holm

if TYPE_CHECKING:
    import pandas as pd

    from cwda.conditions.whole.result import NetworkResult
    from cwda.typing import Named

__all__ = ["CheckResult", "ConditionCount", "adjusted", "count_verdicts"]


@dataclass(frozen=True)
class ConditionCount:
    """How one network stands with one condition: a row of `CheckResult.summary`."""

    network: str = common("network")
    condition: str = column("Name of the condition.")
    holds: int = column("Number of layers in which the condition holds.")
    fails: int = column("Number of layers in which it fails.")
    inconclusive: int = column("Number of layers with too few filters to tell.")
    not_applicable: int = column("Number of layers about which the condition says nothing.")
    weights_hold: float = column(
        "Share of the network's convolution weights that lie in layers where it holds."
    )
    weights_fail: float = column("The same for layers where it fails.")
    weights_inconclusive: float = column("The same for layers that cannot be decided.")
    margin: float = column("Largest effect that counts as negligible.")
    median_effect: float = column("Median effect over the layers tested.")


@dataclass(frozen=True, eq=False, repr=False)
class CheckResult(Answer[ConditionResult]):
    """Verdicts on the conditions in the layers of networks.

    Attributes
    ----------
    rows : tuple of ConditionResult
        One row per layer and condition.
    networks : tuple of Network
        The networks tested.
    level : float
        Confidence of the intervals; a verdict errs with a probability of about (1 - level) / 2 at
        most.
    scale : str
        "raw" for filters as they are, "unit" if each was divided by its root mean square.

    Examples
    --------
    >>> import cwda
    >>> res = cwda.check(cwda.load("resnet20-cifar10"), ["epsilon", "mean"])
    >>> len(res.table), list(res.summary()["condition"])
    (38, ['mean', 'epsilon'])
    """

    scale: Scale = field(default="raw", kw_only=True)

    row: ClassVar[type] = ConditionResult

    def title(self) -> str:
        """What was tested, and the level of the intervals."""
        names = ", ".join(network.name for network in self.networks)
        unit = " on unit directions" if self.scale == "unit" else ""
        return f"CWDA conditions of {names}{unit}, {100 * self.level:g} % intervals"

    def beside(self, other: CheckResult) -> pd.DataFrame:
        """Effects and verdicts of this answer next to those of another one.

        Parameters
        ----------
        other : CheckResult
            Of the same networks, such as ``cwda.check(net, scale="unit")``.

        Returns
        -------
        DataFrame
            One row per network, layer and condition that both have: effect and verdict of each
            answer, such as ``effect_raw`` and ``effect_unit``, and whether the verdicts `differ`
            where both answers judge.

        Raises
        ------
        CwdaError
            If both answers are of one scale: their columns could not be told apart.

        Examples
        --------
        >>> import cwda
        >>> net = cwda.load("resnet20-cifar10").select("layer3.*")
        >>> raw, unit = (cwda.check(net, ["mean"], scale=scale) for scale in ("raw", "unit"))
        >>> raw.beside(unit).columns[3:].tolist()
        ['effect_raw', 'effect_unit', 'verdict_raw', 'verdict_unit', 'differ']
        """
        if self.scale == other.scale:
            raise CwdaError(f"both answers are of the scale {self.scale!r}; give raw and unit")
        keys, shown = ["network", "layer", "condition"], ["effect", "verdict"]
        left, right = (each.table[keys + shown] for each in (self, other))
        both = left.merge(right, on=keys, suffixes=(f"_{self.scale}", f"_{other.scale}"))
        names = [f"{name}_{each.scale}" for name in shown for each in (self, other)]
        one, two = both[names[2]], both[names[3]]
        judged = (one != "not applicable") & (two != "not applicable")
        return both[keys + names].assign(differ=judged & (one != two))

    @cached_property
    def network(self) -> NetworkResult:
        """The networks as a whole: an effect and a verdict per condition, and a sentence."""
        from cwda.conditions.whole.result import network_result

        return network_result(self.rows, self.networks, self.level)

    def advice(self, network: str | None = None, **options: Any) -> Any:
        """What to prune a network of this answer by: `cwda.advise`, when it is asked for.

        Parameters
        ----------
        network : str, optional
            The name of one of several networks.
        **options
            Those of `cwda.advise`, such as ``ratio=0.3`` or ``criteria=["l1", "gm"]``.

        Returns
        -------
        Advice

        Raises
        ------
        CwdaError
            If there are several networks and none is named, a name is unknown, the weights are
            not there, as in an answer from a file, or an option is impossible.

        Examples
        --------
        >>> import cwda
        >>> cwda.check("resnet20-cifar10", ["mean"]).advice(criteria=["l1", "l2"]).criterion
        'l1'
        """
        networks = {each.name: each for each in self.networks}
        if network is None and len(networks) != 1:
            raise CwdaError(f"there are {len(networks)} networks; name one: {', '.join(networks)}")
        (chosen,) = networks if network is None else choose([network], networks, "network")
        # By its public name, when it is asked for: what answers stands above this room.
        return importlib.import_module("cwda").advise(networks[chosen], **options)

    def __repr__(self) -> str:
        return "\n".join([*self._sentences(), super().__repr__()])

    def _repr_html_(self) -> str:
        told = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self._sentences())
        return told + super()._repr_html_()

    def _sentences(self) -> list[str]:
        return [text for verdict in self.network.verdicts for text in verdict.sentences]

    def summary(self) -> pd.DataFrame:
        """How many layers hold, fail or are inconclusive, per network and condition."""
        return table_of(tuple(count_verdicts(self)), ConditionCount)

    def condition_rows(self, name: str | Named) -> list[ConditionResult]:
        """Rows of one condition.

        Raises
        ------
        CwdaError
            If the condition was not tested; the message names the nearest.
        """
        tested = dict.fromkeys(row.condition for row in self.rows)
        (tested_name,) = choose([name], tested, "condition")
        return [row for row in self.rows if row.condition == tested_name]

    def condition(self, name: str | Named) -> pd.DataFrame:
        """Table of one condition, with its further numbers as columns.

        Raises
        ------
        CwdaError
            If the condition was not tested; the message names the nearest.
        """
        import pandas as pd

        rows = self.condition_rows(name)
        details = pd.DataFrame([dict(row.details) for row in rows])
        return table_of(tuple(rows), ConditionResult).join(details)


def count_verdicts(result: CheckResult) -> list[ConditionCount]:
    """Count the verdicts of each network and condition, in the order of the rows."""
    groups: dict[tuple[str, str], list[ConditionResult]] = {}
    for row in result.rows:
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


def adjusted(rows: Sequence[ConditionResult]) -> list[ConditionResult]:
    """The rows of one network with p-values adjusted over its layers, for each condition."""
    result = list(rows)
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.condition, []).append(place)
    for indices in places.values():
        raw = np.array([rows[place].pvalue for place in indices])
        for place, by_holm, by_bh in zip(indices, holm(raw), benjamini_hochberg(raw), strict=True):
            result[place] = replace(rows[place], pvalue_holm=float(by_holm), pvalue_bh=float(by_bh))
    return result
