"""`ExperimentResult`: the accuracy of each trial, and how alike the criteria are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import torch

from cwda.answers import Answer, column, common, rows_field, table_of
from cwda.arguments import as_path
from cwda.errors import CwdaError
from cwda.numerics.ranking.ranks import spearman

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ANSWER", "Accuracy", "CriteriaPair", "ExperimentResult"]

#: The answer in the folder of an experiment that is done.
ANSWER = "answer.json"


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of one network: as given, pruned, or pruned and fine-tuned."""

    network: str = common("network")
    strategy: str = column('how filters were ranked: "layerwise" or "global"; "none" if not pruned')
    criterion: str = column('the criterion that chose the filters; "none" if not pruned')
    ratio: float = column("share of the filters that was to be pruned")
    seed: int = column("seed of calibration images, random scores and fine-tuning")
    stage: str = column('when the accuracy was measured: "unpruned", "pruned" or "finetuned"')
    accuracy: float = column("accuracy on the test images, in percent")
    accuracy_se: float = column("its binomial standard error, in percentage points")
    images: int = column("number of test images")
    filters_pruned: int = column("number of filters pruned")
    filters: int = column("number of filters among which they were chosen")
    parameters: int = column("parameters of the network without the pruned filters")
    flops: int = column("multiply-adds for one image without the pruned filters")
    epochs: int = column("epochs of fine-tuning")
    loss: float = column("mean training loss of the last epoch of fine-tuning")
    seconds: float = column("time that the trial took")
    reason: str = column("why there is no accuracy, or why fine-tuning stopped early")


@dataclass(frozen=True)
class CriteriaPair:
    """How alike two criteria rank and select, and how far their accuracies differ."""

    network: str = common("network")
    strategy: str = column('how filters were ranked: "layerwise" or "global"')
    ratio: float = column("share of the filters that was pruned")
    criterion_a: str = common("criterion_a")
    criterion_b: str = common("criterion_b")
    overlap: float = column("Jaccard index of the filters that both prune, mean over the seeds")
    spearman: float = column(
        "Spearman's coefficient of the scores, median over the layers, mean over the seeds"
    )
    spearman_predicted: float = column(
        "median over the layers of the predicted coefficient; for norm-based criteria"
    )
    difference_pruned: float = column(
        "absolute difference of the accuracies after pruning, in percentage points, mean over "
        "the seeds"
    )
    difference_finetuned: float = column("the same after fine-tuning")


@dataclass(frozen=True, eq=False, repr=False)
class ExperimentResult(Answer[Accuracy]):
    """Accuracy after pruning and after fine-tuning, and the similarity of the criteria.

    Attributes
    ----------
    rows : tuple of Accuracy
        One record per trial; `.table` has them. The first is the network as it was given.
    pair_rows : tuple of CriteriaPair
        One record per strategy, ratio and pair of criteria; `.pairs` is their table.
    folder : Path or None
        Where plans and trials are kept.
    """

    row: ClassVar[type] = Accuracy
    pair_rows: tuple[CriteriaPair, ...] = rows_field(
        CriteriaPair, "pairs of criteria; `.pairs` is their table"
    )
    folder: Path | None = None

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """An answer that `save` wrote, or that of the folder of an experiment.

        Raises
        ------
        CwdaError
            If the file is missing, damaged, or holds an answer of another kind, or the experiment
            of the folder is not done.
        """
        path = as_path(path)
        if not path.is_dir():
            return super().load(path)
        if not (path / ANSWER).exists():
            raise CwdaError(f"{path}: no experiment was completed in this folder; run it again")
        return super().load(path / ANSWER)

    @property
    def baseline(self) -> float:
        """Accuracy of the network as it was given, in percent."""
        return next(row.accuracy for row in self.rows if row.stage == "unpruned")

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """Tidy table of the pairs of criteria, one line per row of `pair_rows`."""
        return table_of(self.pair_rows, CriteriaPair)

    def title(self) -> str:
        """The network, and its accuracy before pruning."""
        return f"{self.networks[0].name}, {self.baseline:.2f} % unpruned"

    def summary(self) -> pd.DataFrame:
        """One row per strategy, stage, ratio and criterion: mean accuracy and range over seeds.

        Columns: ``strategy, stage, ratio, criterion, accuracy, lowest, highest, seeds``.
        """
        rows = self.table[self.table["stage"] != "unpruned"]
        keys = ["strategy", "stage", "ratio", "criterion"]
        accuracies = rows.groupby(keys, sort=False)["accuracy"].agg(["mean", "min", "max", "count"])
        names = {"mean": "accuracy", "min": "lowest", "max": "highest", "count": "seeds"}
        return accuracies.rename(columns=names).reset_index()

    def agreement(self) -> pd.DataFrame:
        """Do criteria that are more alike leave closer accuracies?

        One row per strategy, ratio and stage, over the pairs of criteria: Spearman's rank
        correlation of the overlap of selections, of the measured and of the predicted rank
        correlation with the difference in accuracy. Negative is yes. Columns: ``strategy,
        ratio, stage, overlap, spearman, spearman_predicted, pairs, pairs_predicted``.
        """
        import pandas as pd

        rows = []
        likeness = ["overlap", "spearman", "spearman_predicted"]
        for (strategy, ratio), group in self.pairs.groupby(["strategy", "ratio"], sort=False):
            for stage in ("pruned", "finetuned"):
                defined = group.dropna(subset=[f"difference_{stage}"])
                if len(defined) < 3:
                    continue
                row = {"strategy": strategy, "ratio": ratio, "stage": stage}
                for name in likeness:
                    both = defined[[name, f"difference_{stage}"]].dropna()
                    values = torch.from_numpy(both.to_numpy(dtype=float).T.copy())
                    row[name] = float(spearman(values)[0, 1]) if len(both) > 2 else float("nan")
                row["pairs"] = len(defined)
                row["pairs_predicted"] = int(defined["spearman_predicted"].notna().sum())
                rows.append(row)
        columns = ["strategy", "ratio", "stage", *likeness, "pairs", "pairs_predicted"]
        return pd.DataFrame(rows, columns=columns)
