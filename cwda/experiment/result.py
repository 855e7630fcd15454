"""What an experiment found: a thin object round two tables."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cwda.numerics.ranking.ranks import spearman

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "ExperimentResult", "rows_table"]

COLUMNS = (
    *("network", "strategy", "criterion", "ratio", "seed", "stage", "accuracy", "accuracy_se"),
    *("images", "filters_pruned", "filters", "parameters", "flops", "epochs", "loss"),
    *("seconds", "reason"),
)

_NUMBERS = ("ratio", "accuracy", "accuracy_se", "loss", "seconds")


@dataclass(frozen=True, eq=False)
class ExperimentResult:
    """Accuracy after pruning and after fine-tuning, beside the similarity of criteria.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per cell: ``network, strategy, criterion, ratio, seed, stage, accuracy,
        accuracy_se, images, filters_pruned, filters, parameters, flops, epochs, loss,
        seconds, reason``. Accuracy is in percent; accuracy_se is the binomial standard
        error from the number of test images. The first row is the network as it was given.
    pairs : pandas.DataFrame
        A row per strategy, ratio and pair of criteria: ``overlap`` (Jaccard index of what is
        pruned), ``spearman`` and ``spearman_predicted`` (medians over the layers that are
        pruned; theory covers the norm-based criteria), ``difference_pruned`` and
        ``difference_finetuned`` (of accuracies, absolute, in percentage points), means over
        the seeds.
    network : str
        Name of the network.
    folder : Path or None
        Where plans and cells are kept.
    """

    table: pd.DataFrame
    pairs: pd.DataFrame
    network: str
    folder: Path | None = None

    @property
    def baseline(self) -> float:
        """Accuracy of the network as it was given, in percent."""
        rows = self.table[self.table["stage"] == "unpruned"]
        return float(rows["accuracy"].iloc[0])

    def summary(self) -> pd.DataFrame:
        """A row per strategy, stage, ratio and criterion: mean accuracy and range over seeds.

        Columns: ``strategy, stage, ratio, criterion, accuracy, lowest, highest, seeds``.
        """
        rows = self.table[self.table["stage"] != "unpruned"]
        keys = ["strategy", "stage", "ratio", "criterion"]
        found = rows.groupby(keys, sort=False)["accuracy"].agg(["mean", "min", "max", "count"])
        names = {"mean": "accuracy", "min": "lowest", "max": "highest", "count": "seeds"}
        return found.rename(columns=names).reset_index()

    def agreement(self) -> pd.DataFrame:
        """Do criteria that are more alike leave closer accuracies?

        A row per strategy, ratio and stage, over the pairs of criteria: Spearman's rank
        correlation of the overlap of selections, of the measured and of the predicted rank
        correlation with the difference in accuracy. Negative is yes. Columns: ``strategy,
        ratio, stage, overlap, spearman, spearman_predicted, pairs, pairs_predicted``.
        """
        import pandas as pd

        rows = []
        likeness = ["overlap", "spearman", "spearman_predicted"]
        for (strategy, ratio), group in self.pairs.groupby(["strategy", "ratio"], sort=False):
            for stage in ("pruned", "finetuned"):
                known = group.dropna(subset=[f"difference_{stage}"])
                if len(known) < 3:
                    continue
                row = {"strategy": strategy, "ratio": ratio, "stage": stage}
                for column in likeness:
                    both = known[[column, f"difference_{stage}"]].dropna()
                    values = torch.from_numpy(both.to_numpy(dtype=float).T.copy())
                    row[column] = float(spearman(values)[0, 1]) if len(both) > 2 else float("nan")
                row["pairs"] = len(known)
                row["pairs_predicted"] = int(known["spearman_predicted"].notna().sum())
                rows.append(row)
        columns = ["strategy", "ratio", "stage", *likeness, "pairs", "pairs_predicted"]
        return pd.DataFrame(rows, columns=columns)

    def __repr__(self) -> str:
        return (
            f"ExperimentResult: {self.network}, {self.baseline:.2f} % unpruned, "
            f"{len(self.table) - 1} cells\n{self.summary().round(2).to_string(index=False)}"
        )

    def _repr_html_(self) -> str:
        shown: str = self.summary().round(2).to_html(index=False, border=0)
        return f"<p>{html.escape(self.network)}: {self.baseline:.2f} % unpruned</p>{shown}"


def rows_table(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The table of a list of records."""
    import pandas as pd

    table = pd.DataFrame(records)[list(COLUMNS)]
    return table.astype(dict.fromkeys(_NUMBERS, "float64"))
