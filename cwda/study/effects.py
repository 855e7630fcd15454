"""What each factor changes: differences from the base beside the spread of the seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

from cwda.numerics.combination import benjamini_hochberg

if TYPE_CHECKING:
    import pandas as pd

    from cwda.study.run import StudyResult

__all__ = ["EFFECT_COLUMNS", "factor_effects", "finished"]

EFFECT_COLUMNS = (
    "factor", "level", "condition", "runs", "accuracy", "effect", "base_effect", "difference",
    "low", "high", "seed_sd", "pvalue", "pvalue_bh", "change", "holds", "fails", "inconclusive",
)  # fmt: skip


def factor_effects(result: StudyResult, level: float = 0.05) -> pd.DataFrame:
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
        Of `run_study`; runs that are not done are left out.
    level : float
        Level of the intervals, and of the false discovery rate at which ``change`` calls a
        difference "larger" or "smaller"; otherwise it is "none shown", or "one seed"
        where no spread is known.

    Returns
    -------
    DataFrame
        Columns `EFFECT_COLUMNS`, one row a factor level and condition, the base first;
        ``holds``, ``fails`` and ``inconclusive`` are shares of the tested layers.
    """
    import pandas as pd

    rows = finished(result)
    last = rows[rows["epoch"] == rows["last"]]
    early = rows[(rows["factor"] == "base") & (rows["epoch"] < rows["last"])]
    early = early.assign(factor="epoch", level=early["epoch"].astype(str))
    rows = pd.concat([last, early])
    rows = rows.sort_values("factor", key=lambda names: names != "base", kind="stable")
    spread = {
        condition: _pooled_sd(group) for condition, group in last.groupby("condition", sort=False)
    }
    groups = dict(iter(rows.groupby(["factor", "level", "condition"], sort=False)))
    table = pd.DataFrame(
        [_compare(key, group, groups.get(("base", "base", key[2])), *spread[key[2]], level)
         for key, group in groups.items()],
        columns=list(EFFECT_COLUMNS),
    )  # fmt: skip
    return _judge(table, level)


def finished(result: StudyResult) -> pd.DataFrame:
    """Rows of the summary of runs that are done, with shares in place of numbers of layers.

    Columns ``last``, the last epoch, and ``kept`` are added.
    """
    done = result.runs[result.runs["status"] == "done"]
    key = ["factor", "level", "seed"]
    facts = done[[*key, "epochs", "kept"]].rename(columns={"epochs": "last"})
    rows = result.summary.merge(facts, on=key)
    tested = rows[["holds", "fails", "inconclusive"]].sum(axis=1)
    for verdict in ("holds", "fails", "inconclusive"):
        rows[verdict] = rows[verdict] / tested
    return rows


def _pooled_sd(rows: pd.DataFrame) -> tuple[float, int]:
    """Standard deviation of the response within levels, and its degrees of freedom."""
    squares, freedom = 0.0, 0
    for _, group in rows.groupby(["factor", "level"]):
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
) -> dict[str, object]:
    effect = rows["median_effect"].mean()
    reference = math.nan if base is None else base["median_effect"].mean()
    difference, half, pvalue = math.nan, math.nan, math.nan
    if key[0] != "base" and base is not None:
        difference = effect - reference
        error = sd * math.sqrt(1 / len(rows) + 1 / len(base))
        if freedom and error > 0:
            half = float(stdtrit(freedom, 1 - level / 2)) * error
            pvalue = 2 * float(stdtr(freedom, -abs(difference) / error))
    return {
        **dict(zip(("factor", "level", "condition"), key, strict=True)),
        "runs": len(rows),
        "accuracy": rows["accuracy"].mean(),
        "effect": effect,
        "base_effect": reference,
        "difference": difference,
        "low": difference - half,
        "high": difference + half,
        "seed_sd": sd,
        "pvalue": pvalue,
        **{name: rows[name].mean() for name in ("holds", "fails", "inconclusive")},
    }


def _judge(table: pd.DataFrame, level: float) -> pd.DataFrame:
    adjusted = benjamini_hochberg(table["pvalue"].to_numpy())
    sign = np.where(table["difference"] > 0, "larger", "smaller")
    change = np.where(adjusted <= level, sign, "none shown")
    change = np.where(np.isnan(adjusted), "one seed", change)
    table["pvalue_bh"] = adjusted
    table["change"] = np.where(table["factor"] == "base", "", change)
    return table
