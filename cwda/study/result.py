"""`StudyResult`: how networks stand with each condition along their training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from cwda.answers import Answer, column, rows_field, table_of
from cwda.formatting import many

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunState", "Standing", "StudyResult"]


@dataclass(frozen=True)
class Standing:
    """How one network stands with one condition after some epochs of its training."""

    factor: str = column('what is changed in its training; "base" for nothing')
    setting: str = column("to what it is changed")
    seed: int = column("seed of the training")
    epoch: int = column("epochs of training done; 0 is the untrained network")
    loss: float = column("mean training loss of the last epoch; NaN where training starts")
    accuracy: float = column("accuracy on the test images, in percent")
    network: str = column("name of the run")
    condition: str = column("the condition tested")
    holds: int = column("number of layers in which it holds")
    fails: int = column("number of layers in which it fails")
    inconclusive: int = column("number of layers in which it is inconclusive")
    not_applicable: int = column("number of layers in which it cannot be tested")
    weights_hold: float = column("share of the weights that lie in layers in which it holds")
    weights_fail: float = column("share of the weights that lie in layers in which it fails")
    weights_inconclusive: float = column("share of the weights in inconclusive layers")
    margin: float = column("largest effect that counts as negligible")
    median_effect: float = column("median effect over the layers tested")


@dataclass(frozen=True)
class RunState:
    """One planned run, and how far it is."""

    factor: str = column('what is changed; "base" for nothing')
    setting: str = column("to what it is changed")
    seed: int = column("seed of the training")
    identity: str = column("digest of the recipe")
    status: str = column('"done", "diverged", "cut off" or "not begun"')
    epochs: int = column("epochs done when it was last tested")
    loss: float = column("mean training loss of the last of them")
    accuracy: float = column("accuracy on the test images, in percent")
    kept: float = column(
        "median over the layers of the cosine between the weights and the initial ones; 1 where "
        "nothing has moved"
    )
    recipe: str = column("the recipe, as JSON")


@dataclass(frozen=True, eq=False, repr=False)
class StudyResult(Answer[Standing]):
    """What a study has measured so far.

    Attributes
    ----------
    rows : tuple of Standing
        One record per run, tested epoch and condition; `.table` has them.
    networks : tuple
        Empty: the recipes in `runs` say how each network is made.
    run_rows : tuple of RunState
        One record per planned run; `.runs` is their table.
    """

    row: ClassVar[type] = Standing
    run_rows: tuple[RunState, ...] = rows_field(RunState, "planned runs; `.runs` is their table")

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Tidy table of the planned runs, one line per row of `run_rows`."""
        return table_of(self.run_rows, RunState)

    def title(self) -> str:
        """How many runs are done."""
        done = sum(run.status == "done" for run in self.run_rows)
        return f"{done} of {many(len(self.run_rows), 'run')} done"

    def summary(self) -> pd.DataFrame:
        """Median effects at the last tested epoch, means over the seeds.

        One row per factor level: ``factor, setting, runs, accuracy``, and one column per condition.
        """
        table = self.table
        last = table[table["epoch"] == table.groupby("network")["epoch"].transform("max")]
        levels = last.groupby(["factor", "setting"], sort=False)
        means = last.pivot_table("median_effect", ["factor", "setting"], "condition", sort=False)
        facts = levels.agg(runs=("network", "nunique"), accuracy=("accuracy", "mean"))
        return facts.join(means).reset_index()
