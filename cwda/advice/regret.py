"""What it costs to follow advice: the accuracy that an experiment left, best against advised."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cwda.advice.result import Advice
from cwda.answers import Answer, column, common
from cwda.arguments import require_type
from cwda.errors import CwdaError
from cwda.experiment.result import Accuracy, ExperimentResult
from cwda.scoring.catalogue import RANDOM

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Regret", "RegretRow", "regret"]

#: Seeds from which the standard error is that of a mean over seeds.
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class RegretRow:
    """The regret of one strategy at one stage."""

    network: str = common("network")
    strategy: str = column('how filters were ranked: "layerwise" or "global"')
    ratio: float = column("share of the filters that was pruned")
    stage: str = column('when the accuracy was measured: "pruned" or "finetuned"')
    advised: str = column("the criterion that was advised")
    accuracy: float = column("its accuracy in percent, mean over the seeds")
    best: str = column("the criterion with the highest mean accuracy, without the baseline")
    regret: float = column(
        "accuracy of the best less that of the advised, in percentage points; the best of several "
        "noisy means is high by luck, so that this is biased upwards"
    )
    regret_se: float = column("its standard error, taken as if the best had been named before")
    regret_tried: float = column(
        "accuracy of the best less that of the best stand-in of all clusters: the regret of trying "
        "one of each"
    )
    tried: int = column("number of these stand-ins that the experiment has")
    gain: float = column("accuracy of the advised less that of `random`, in percentage points")
    gain_se: float = column("standard error of the gain")
    typical: float = column(
        "regret of a criterion picked blindly: the mean over all criteria but `random`"
    )
    within: float = column(
        "root mean squared difference in accuracy of two criteria of one cluster"
    )
    between: float = column("the same of two criteria of different clusters")
    criteria: int = column("number of criteria, without `random`")
    seeds: int = column("number of seeds")
    error: str = column(
        "where the standard errors come from: `seeds`, or `images` with too few seeds: binomial, "
        "as if the test images were not the same for both, which is too large"
    )
    reason: str = column("why a number is missing; empty otherwise")


@dataclass(frozen=True, eq=False, repr=False)
class Regret(Answer[RegretRow]):
    """Regret of following an advice: one row per strategy and stage.

    Attributes
    ----------
    criterion : str
        The criterion that was advised.
    """

    row: ClassVar[type] = RegretRow
    criterion: str = ""

    def summary(self) -> pd.DataFrame:
        """The regret and the gain over random, with their standard errors."""
        names = ["strategy", "ratio", "stage", "best", "regret", "regret_se", "gain", "gain_se"]
        return self.table[[*names, "typical", "regret_tried"]]

    def title(self) -> str:
        """The network and the criterion."""
        return f"regret of pruning {self.networks[0].name} by {self.criterion}"


def regret(advice: Advice, experiment: ExperimentResult) -> Regret:
    """Compare the accuracy of the criterion advised with that of the others; see `Advice.regret`.

    Raises
    ------
    CwdaError
        If the experiment did not prune at this ratio, or not by the criterion advised.

    Examples
    --------
    See ``docs/advice.md``.
    """
    require_type(experiment, ExperimentResult, "an ExperimentResult of run_experiment")
    if not advice.criterion:
        raise CwdaError("the advice names no criterion, so that there is nothing to regret")
    here = [row for row in experiment.rows if math.isclose(row.ratio, advice.ratio)]
    if not any(row.criterion == advice.criterion for row in here):
        raise CwdaError(
            f"the experiment did not prune by {advice.criterion} at a ratio of {advice.ratio:g}"
        )
    rows = []
    for strategy, stage in dict.fromkeys((row.strategy, row.stage) for row in here):
        own = [row for row in here if (row.strategy, row.stage) == (strategy, stage)]
        rows.append(_row(advice, own))
    return Regret(tuple(rows), experiment.networks, level=math.nan, criterion=advice.criterion)


@dataclass(frozen=True)
class _Measured:
    """Accuracies and binomial errors, by criterion and seed."""

    accuracy: dict[str, np.ndarray]
    error: dict[str, float]
    seeds: int

    @classmethod
    def of(cls, rows: Sequence[Accuracy]) -> _Measured:
        """Criteria that have an accuracy with every seed."""
        seeds = sorted({row.seed for row in rows})
        accuracy, error = {}, {}
        for name in dict.fromkeys(row.criterion for row in rows):
            own = {row.seed: row for row in rows if row.criterion == name}
            values = np.array([own[s].accuracy if s in own else math.nan for s in seeds])
            if np.isfinite(values).all():
                accuracy[name] = values
                error[name] = math.sqrt(np.mean([own[s].accuracy_se ** 2 for s in seeds]))
        return cls(accuracy, error, len(seeds))

    def difference(self, a: str, b: str) -> tuple[float, float]:
        """Mean of a - b over the seeds, and its standard error."""
        if a == b:
            return 0.0, 0.0
        each = self.accuracy[a] - self.accuracy[b]
        if self.seeds >= FEWEST_SEEDS:
            return float(each.mean()), float(each.std(ddof=1) / math.sqrt(self.seeds))
        return float(each.mean()), math.hypot(self.error[a], self.error[b])


def _row(advice: Advice, rows: Sequence[Accuracy]) -> RegretRow:
    measured = _Measured.of(rows)
    first, advised = rows[0], advice.criterion
    criteria = [name for name in measured.accuracy if name != RANDOM]
    cells: dict[str, Any] = {}
    reasons = []
    stands = [row.stand_in for row in advice.clusters if row.stand_in in criteria and row.cluster]
    if advised in criteria:
        best = max(criteria, key=lambda name: float(measured.accuracy[name].mean()))
        lost, lost_se = measured.difference(best, advised)
        typical = np.mean([measured.difference(best, name)[0] for name in criteria])
        cells = {
            "accuracy": float(measured.accuracy[advised].mean()),
            "best": best,
            "regret": lost,
            "regret_se": lost_se,
            "regret_tried": min(measured.difference(best, name)[0] for name in stands),
            "typical": float(typical),
        }
        if RANDOM in measured.accuracy:
            gain, gain_se = measured.difference(advised, RANDOM)
            cells |= {"gain": gain, "gain_se": gain_se}
        else:
            reasons.append(f"the experiment has no criterion {RANDOM}")
    else:
        reasons.append(f"no accuracy of {advised} with every seed")
    within, between = _by_cluster(advice, measured, criteria)
    missing: dict[str, Any] = dict.fromkeys(
        ("accuracy", "regret", "regret_se", "regret_tried", "gain", "gain_se", "typical"), math.nan
    )
    return RegretRow(
        network=first.network,
        strategy=first.strategy,
        ratio=first.ratio,
        stage=first.stage,
        advised=advised,
        **(missing | {"best": ""} | cells),
        tried=len(stands),
        within=within,
        between=between,
        criteria=len(criteria),
        seeds=measured.seeds,
        error="seeds" if measured.seeds >= FEWEST_SEEDS else "images",
        reason="; ".join(reasons),
    )


def _by_cluster(
    advice: Advice, measured: _Measured, criteria: Sequence[str]
) -> tuple[float, float]:
    """How far accuracies differ within the clusters of the advice, and between them."""
    cluster = {name: row.cluster for row in advice.clusters if row.cluster for name in row.members}
    squares: dict[bool, list[float]] = {True: [], False: []}
    for a, b in itertools.combinations([name for name in criteria if name in cluster], 2):
        difference, _ = measured.difference(a, b)
        squares[cluster[a] == cluster[b]].append(difference**2)
    within, between = (
        math.sqrt(np.mean(squares[same])) if squares[same] else math.nan for same in (True, False)
    )
    return within, between
