"""Pairs of criteria: how alike they rank and select, and how far their accuracies differ."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cwda.experiment.cells import Cell, Grid
from cwda.experiment.subject import Scores
from cwda.loading import load
from cwda.numerics.ranking.ranks import spearman
from cwda.pruning.plan import Plan, overlap
from cwda.scoring.catalogue import NORM_BASED
from cwda.theory import predict

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PAIR_COLUMNS", "RUNG", "compare_pairs"]

#: The model of theory whose prediction is given: CWDA with filters of unequal scale.
RUNG = "scale"

PAIR_COLUMNS = (
    *("network", "strategy", "ratio", "criterion_a", "criterion_b", "overlap"),
    *("spearman", "spearman_predicted", "difference_pruned", "difference_finetuned"),
)

Pair = tuple[str, str]


def compare_pairs(
    grid: Grid,
    table: pd.DataFrame,
    plans: Mapping[Cell, Plan | str],
    scores: Sequence[Mapping[str, Scores]],
    model: nn.Module,
    layers: frozenset[str],
) -> pd.DataFrame:
    """A row per strategy, ratio and pair of criteria; means over the seeds.

    Spearman coefficients are medians over the layers that are pruned; differences are absolute,
    in percentage points, between runs of one seed.
    """
    import pandas as pd

    pairs = list(itertools.combinations(grid.criteria, 2))
    measured, predicted = _measured(pairs, scores), _predicted(grid.criteria, model, layers)
    accuracy = table.set_index(["strategy", "ratio", "criterion", "stage", "seed"])["accuracy"]
    rows = []
    for strategy, ratio, (a, b) in itertools.product(grid.strategies, grid.ratios, pairs):
        row: dict[str, Any] = {
            "network": table["network"].iloc[0],
            "strategy": strategy,
            "ratio": ratio,
            "criterion_a": a,
            "criterion_b": b,
            "overlap": _overlap(plans, strategy, ratio, (a, b), grid.seeds),
            "spearman": measured[a, b],
            "spearman_predicted": predicted.get((a, b), float("nan")),
        }
        for stage in ("pruned", "finetuned"):
            sides = [
                accuracy.reindex(
                    [(strategy, ratio, each, stage, seed) for seed in range(grid.seeds)]
                ).to_numpy(dtype=float)
                for each in (a, b)
            ]
            row[f"difference_{stage}"] = pd.Series(abs(sides[0] - sides[1])).mean()
        rows.append(row)
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))


def _overlap(
    plans: Mapping[Cell, Plan | str], strategy: str, ratio: float, pair: Pair, seeds: int
) -> float:
    found = []
    for seed in range(seeds):
        first, second = (plans[Cell(strategy, each, ratio, seed, "pruned")] for each in pair)
        if isinstance(first, Plan) and isinstance(second, Plan):
            found.append(overlap(first, second))
    return sum(found) / len(found) if found else float("nan")


def _measured(pairs: Sequence[Pair], scores: Sequence[Mapping[str, Scores]]) -> dict[Pair, float]:
    """Median over the layers of the Spearman coefficient, mean over the seeds."""
    found = {}
    for a, b in pairs:
        medians = []
        for by_criterion in scores:
            first, second = (by_criterion[each]["scores"] for each in (a, b))
            rhos = [
                spearman(torch.tensor([first[layer], second[layer]], dtype=torch.float64))[0, 1]
                for layer in first
                if layer in second
            ]
            if rhos:
                medians.append(torch.stack(rhos).nanquantile(0.5))
        found[a, b] = float(torch.stack(medians).mean()) if medians else float("nan")
    return found


def _predicted(
    criteria: Sequence[str], model: nn.Module, layers: frozenset[str]
) -> dict[Pair, float]:
    """Median over the layers of what theory predicts, for the criteria it covers."""
    covered = [each for each in criteria if each in NORM_BASED]
    if len(covered) < 2:
        return {}
    table = predict(load(model), covered, rungs=RUNG).table
    table = table[table["layer"].isin(layers)]
    medians = table.groupby(["criterion_a", "criterion_b"])["spearman"].median()
    found = {(str(a), str(b)): float(value) for (a, b), value in medians.items()}
    return found | {(b, a): value for (a, b), value in found.items()}
