"""Pairs of criteria: how alike they rank and select, and how far their accuracies differ."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence

import torch

from cwda.experiment.result import Accuracy, CriteriaPair
from cwda.experiment.trials import Scores, Trial, Trials
from cwda.layers import Network
from cwda.numerics.ranking.ranks import spearman
from cwda.pruning.plan import Plan, overlap
from cwda.scoring.catalogue import NORM_BASED
from cwda.theory import SCALE, predict

__all__ = ["compare_pairs"]

Pair = tuple[str, str]
NAN = float("nan")


def compare_pairs(
    trials: Trials,
    rows: Sequence[Accuracy],
    plans: Mapping[Trial, Plan | str],
    scores: Sequence[Mapping[str, Scores]],
    network: Network,
    layers: frozenset[str],
) -> list[CriteriaPair]:
    """One row per strategy, ratio and pair of criteria; means over the seeds.

    Spearman coefficients are medians over the layers that are pruned; differences are absolute,
    in percentage points, between trials of one seed.
    """
    pairs = list(itertools.combinations(trials.criteria, 2))
    measured, predicted = _measured(pairs, scores), _predicted(trials.criteria, network, layers)
    accuracies = {
        Trial(row.strategy, row.criterion, row.ratio, row.seed, row.stage): row.accuracy
        for row in rows
    }

    def difference(strategy: str, ratio: float, pair: Pair, stage: str) -> float:
        differences = []
        for seed in trials.seeds:
            a, b = (Trial(strategy, name, ratio, seed, stage) for name in pair)
            differences.append(abs(accuracies.get(a, NAN) - accuracies.get(b, NAN)))
        return _mean(differences)

    return [
        CriteriaPair(
            network=network.name,
            strategy=strategy,
            ratio=ratio,
            criterion_a=pair[0],
            criterion_b=pair[1],
            overlap=_overlap(plans, strategy, ratio, pair, trials.seeds),
            spearman=measured[pair],
            spearman_predicted=predicted.get(pair, NAN),
            difference_pruned=difference(strategy, ratio, pair, "pruned"),
            difference_finetuned=difference(strategy, ratio, pair, "finetuned"),
        )
        for strategy, ratio, pair in itertools.product(trials.strategies, trials.ratios, pairs)
    ]


def _mean(values: Sequence[float]) -> float:
    """The mean of the values that are numbers; NaN if there are none."""
    defined = [value for value in values if value == value]
    return statistics.fmean(defined) if defined else NAN


def _overlap(
    plans: Mapping[Trial, Plan | str], strategy: str, ratio: float, pair: Pair, seeds: range
) -> float:
    overlaps = []
    for seed in seeds:
        first, second = (plans[Trial(strategy, name, ratio, seed, "pruned")] for name in pair)
        if isinstance(first, Plan) and isinstance(second, Plan):
            overlaps.append(overlap(first, second))
    return _mean(overlaps)


def _measured(pairs: Sequence[Pair], scores: Sequence[Mapping[str, Scores]]) -> dict[Pair, float]:
    """Median over the layers of the Spearman coefficient, mean over the seeds."""
    coefficients = {}
    for a, b in pairs:
        medians = []
        for by_criterion in scores:
            first, second = (by_criterion[name].scores for name in (a, b))
            rhos = [
                spearman(torch.tensor([first[layer], second[layer]], dtype=torch.float64))[0, 1]
                for layer in first
                if layer in second
            ]
            if rhos:
                medians.append(torch.stack(rhos).nanquantile(0.5))
        coefficients[a, b] = float(torch.stack(medians).mean()) if medians else NAN
    return coefficients


def _predicted(
    criteria: Sequence[str], network: Network, layers: frozenset[str]
) -> dict[Pair, float]:
    """Median over the layers of what theory predicts, for the criteria it covers."""
    covered = [name for name in criteria if name in NORM_BASED]
    if len(covered) < 2:
        return {}
    table = predict(network, covered, rungs=SCALE).table
    table = table[table["layer"].isin(layers)]
    medians = table.groupby(["criterion_a", "criterion_b"])["spearman"].median()
    predicted = {(str(a), str(b)): float(value) for (a, b), value in medians.items()}
    return predicted | {(b, a): value for (a, b), value in predicted.items()}
