"""What each factor changes: differences from the base, compared with the spread of the seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.special import stdtr, stdtrit

from cwda.answers import Answer, column
from cwda.arguments import require_between, require_type
from cwda.choices import JUDGED
from cwda.numerics.combination import benjamini_hochberg
from cwda.sharing import shared
from cwda.study.result import StudyResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FactorEffect", "FactorEffects", "factor_effects", "finished"]


@dataclass(frozen=True)
class FactorEffect:
    """One condition at one level of one factor, compared with the base."""

    factor: str = column('what is changed; "base" for nothing, "epoch" for less training')
    setting: str = column("to what it is changed")
    condition: str = column("the condition")
    runs: int = column("number of networks of this level")
    accuracy: float = column("mean accuracy of these networks, in percent")
    effect: float = column("mean over the networks of the median effect over the layers")
    base_effect: float = column("the same of the networks of the base")
    difference: float = column("effect - base_effect")
    low: float = column("lower limit of the t interval of the difference")
    high: float = column("upper limit of the same interval")
    seed_sd: float = column("standard deviation between seeds, pooled over the levels")
    pvalue: float = column("p-value of the t test that the difference is 0")
    pvalue_bh: float = column(
        "the same, adjusted over all levels and conditions for false discovery"
    )
    change: str = column(
        'what the adjusted p-value says: "larger", "smaller", "none shown", or "one seed" where no '
        "spread is known; empty for the base"
    )
    holds: float = column("share of the tested layers in which the condition holds")
    fails: float = column("share of the tested layers in which it fails")
    inconclusive: float = column("share of the tested layers in which it is inconclusive")


@dataclass(frozen=True, eq=False, repr=False)
class FactorEffects(Answer[FactorEffect]):
    """What each factor changes: one row per factor level and condition, the base first."""

    row: ClassVar[type] = FactorEffect

    def title(self) -> str:
        """How many levels were compared."""
        levels = {(row.factor, row.setting) for row in self.rows if row.factor != "base"}
        return f"{len(levels)} factor levels compared with the base"

    def summary(self) -> pd.DataFrame:
        """One row per factor level, and what changes in each condition."""
        columns = dict.fromkeys(self.table["condition"])
        changes = self.table.pivot_table(
            index=["factor", "setting"], columns="condition", values="change", aggfunc="first",
            sort=False,
        )  # fmt: skip
        return changes[list(columns)].reset_index().rename_axis(columns=None)


def factor_effects(result: StudyResult, *, level: float = 0.95) -> FactorEffects:
    """Compare the runs of each factor level with those of the base, condition by condition.

    The response of a run is its median effect over the layers at its last epoch. A level
    with m runs and the base with m_0 differ by ``difference``, with a t interval

        difference -+ t s sqrt(1/m + 1/m_0),   s^2 = sum (m_i - 1) s_i^2 / sum (m_i - 1),

    where s (``seed_sd``), the standard deviation between seeds, is pooled over all levels
    that have several: it is taken to be the same for all, and seeds to be independent.
    The untrained and the half trained base networks are levels of the factor "epoch".

    Parameters
    ----------
    result : StudyResult
        What `run_study` returns; runs that are not done are left out.
    level : float
        Confidence level of the intervals; 1 - level is the false discovery rate at which
        ``change`` calls a difference "larger" or "smaller".

    Returns
    -------
    FactorEffects
        `.table` has one row per factor level and condition, the base first.

    Raises
    ------
    CwdaError
        If the level is impossible, or something else is given than the answer of a study.
    """
    require_type(result, StudyResult, "the answer of run_study, a StudyResult,")
    require_between(level, 0, 1, "level")
    return shared((factor_effects, result, level), lambda: _effects(result, level))


def _effects(result: StudyResult, level: float) -> FactorEffects:
    import pandas as pd

    rows = finished(result)
    last = rows[rows["epoch"] == rows["last"]]
    early = rows[(rows["factor"] == "base") & (rows["epoch"] < rows["last"])]
    early = early.assign(factor="epoch", setting=early["epoch"].astype(str))
    rows = pd.concat([last, early])
    rows = rows.sort_values("factor", key=lambda names: names != "base", kind="stable")
    spread = {
        condition: _pooled_sd(group) for condition, group in last.groupby("condition", sort=False)
    }
    groups = dict(iter(rows.groupby(["factor", "setting", "condition"], sort=False)))
    compared = [
        _compare(key, group, groups.get(("base", "base", key[2])), *spread[key[2]], level)
        for key, group in groups.items()
    ]
    return FactorEffects(tuple(_judged(compared, level)), (), level=level)


def finished(result: StudyResult) -> pd.DataFrame:
    """Rows of the table of runs that are done, with shares in place of numbers of layers.

    Columns ``last``, the last epoch, and ``kept`` are added.
    """
    done = result.runs[result.runs["status"] == "done"]
    key = ["factor", "setting", "seed"]
    facts = done[[*key, "epochs", "kept"]].rename(columns={"epochs": "last"})
    rows = result.table.merge(facts, on=key)
    tested = rows[[*JUDGED]].sum(axis=1)
    for verdict in JUDGED:
        rows[verdict] = rows[verdict] / tested
    return rows


def _pooled_sd(rows: pd.DataFrame) -> tuple[float, int]:
    """Standard deviation of the response within levels, and its degrees of freedom."""
    squares, freedom = 0.0, 0
    for _, group in rows.groupby(["factor", "setting"]):
        responses = group["median_effect"].to_numpy()
        squares += float(((responses - responses.mean()) ** 2).sum())
        freedom += len(responses) - 1
    return (math.sqrt(squares / freedom) if freedom else math.nan), freedom


def _compare(
    key: tuple[str, str, str],
    rows: pd.DataFrame,
    base: pd.DataFrame | None,
    sd: float,
    freedom: int,
    level: float,
) -> FactorEffect:
    effect = rows["median_effect"].mean()
    reference = math.nan if base is None else base["median_effect"].mean()
    difference, half, pvalue = math.nan, math.nan, math.nan
    if key[0] != "base" and base is not None:
        difference = effect - reference
        error = sd * math.sqrt(1 / len(rows) + 1 / len(base))
        if freedom and error > 0:
            half = float(stdtrit(freedom, (1 + level) / 2)) * error
            pvalue = 2 * float(stdtr(freedom, -abs(difference) / error))
    numbers: dict[str, Any] = {
        "accuracy": rows["accuracy"].mean(),
        "effect": effect,
        "base_effect": reference,
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "seed_sd": sd,
        "pvalue": pvalue,
        "pvalue_bh": pvalue,
        **{name: rows[name].mean() for name in JUDGED},
    }
    numbers = {name: float(value) for name, value in numbers.items()}
    return FactorEffect(*key, runs=len(rows), change="", **numbers)


def _judged(rows: Sequence[FactorEffect], level: float) -> list[FactorEffect]:
    """The rows with adjusted p-values, and what these say."""
    adjusted = benjamini_hochberg(np.array([row.pvalue for row in rows]))
    judged = []
    for row, value in zip(rows, adjusted.tolist(), strict=True):
        change = "none shown"
        if row.factor == "base":
            change = ""
        elif math.isnan(value):
            change = "one seed"
        elif value <= 1 - level:
            change = "larger" if row.difference > 0 else "smaller"
        judged.append(replace(row, pvalue_bh=value, change=change))
    return judged
