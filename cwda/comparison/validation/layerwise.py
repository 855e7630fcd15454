"""One layer: the scores of both halves of the images, its oracle, and the rows of its table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cwda.comparison.validation.options import Options
from cwda.comparison.validation.oracle import (
    LEAST_RELIABILITY,
    Oracle,
    OracleCorrelation,
    correlation_with_oracle,
)
from cwda.comparison.validation.result import RELIABLE, VALID
from cwda.comparison.validation.selections import Array, selection_regret, selections
from cwda.layers import ConvLayer
from cwda.numerics.ranking.rank_intervals import FEWEST_FOR_INTERVAL
from cwda.numerics.spread import constant
from cwda.scoring.catalogue import RANDOM
from cwda.scoring.scores import score_layer
from cwda.scoring.statistics.collected import Collected, LayerStatistics
from cwda.scoring.statistics.removal import REMOVAL

__all__ = ["LayerScoring", "compared", "of_layer", "rows_of"]

_METHOD = (
    "oracle: loss without one filter (its channel zero behind BatchNorm), less that of the whole "
    "network; criterion and oracle on disjoint halves of the batches, both ways round; jackknife "
    "intervals over filters; null band of {draws} random rankings"
)


@dataclass(frozen=True, eq=False)
class LayerScoring:
    """What the halves of the images say of a layer.

    Attributes
    ----------
    scores : Tensor
        Criteria x halves x filters; NaN where there are none.
    reasons : tuple of str
        For each criterion why it has none; empty if it has.
    oracle : Oracle or None
        None with a reason.
    images : int
        Number of images.
    problem : str
        Why there is no oracle.
    """

    scores: Tensor
    reasons: tuple[str, ...]
    oracle: Oracle | None
    images: int
    problem: str = ""


def of_layer(
    layer: ConvLayer, sides: Sequence[Collected], options: Options
) -> tuple[ConvLayer, LayerScoring, tuple[Tensor, Tensor]]:
    """The scores of a layer and its oracle, and the selections of each half of the images."""
    images = sum(side.images for side in sides)
    statistics = [side.layers[layer.name] for side in sides]
    scored = [score_layer(layer, options.criteria, options.device, each) for each in statistics]
    scores = torch.stack([each.values.cpu() for each in scored], dim=1)
    reasons = tuple(map(max, *(each.reasons for each in scored)))
    generator = options.generator(layer.name)
    problem = _problem(layer, statistics)
    nothing = torch.zeros(0, layer.n_filters, dtype=torch.bool)
    if problem:
        return layer, LayerScoring(scores, reasons, None, images, problem), (nothing, nothing)
    increases = [each.present[REMOVAL.name].of_images for each in statistics]
    oracle = Oracle(increases[0], increases[1], options.draws, generator)
    ranked = [torch.cat([scores[:, side], oracle.halves[side : side + 1]]) for side in (0, 1)]
    sets = tuple(selections(each, options.ratio, generator) for each in ranked)
    return layer, LayerScoring(scores, reasons, oracle, images), (sets[0], sets[1])


def _problem(layer: ConvLayer, statistics: Sequence[LayerStatistics]) -> str:
    """Why a layer has no oracle, or none that ranks; empty if it has."""
    for each in statistics:
        if REMOVAL.name not in each.present:
            return each.why_not(REMOVAL.name)
        if not bool(each.present[REMOVAL.name].mean.isfinite().all()):
            return "the loss without a filter is not finite"
        if bool(constant(each.present[REMOVAL.name].mean[None])[0]):
            return "no filter changes the loss more than another"
    n = layer.n_filters
    return "" if n >= FEWEST_FOR_INTERVAL else f"{n} filters; {FEWEST_FOR_INTERVAL} are needed"


def rows_of(
    layer: ConvLayer, part: LayerScoring, increases: Array | None, options: Options
) -> Iterator[dict[str, Any]]:
    """The rows of one layer: the criteria, and random rankings."""
    common = {
        "layer": layer.name,
        "ratio": options.ratio,
        "n_filters": layer.n_filters,
        "dim": layer.dim,
        "images": part.images,
        "method": _METHOD.format(draws=options.draws),
    }
    names = [criterion.name for criterion in options.criteria]
    for place, name in enumerate([*names, RANDOM]):
        row: dict[str, Any] = {"criterion": name, "reason": ""}
        problem = part.problem or (part.reasons[place] if name != RANDOM else "")
        if problem or part.oracle is None:
            row |= {"verdict": "not applicable", "statement": problem, "reason": problem}
            yield common | row
            continue
        low, high = np.quantile(
            part.oracle.random, [(1 - options.level) / 2, (1 + options.level) / 2]
        ).tolist()
        row |= {
            "oracle_half_reliability": part.oracle.half_reliability,
            "random_low": low,
            "random_high": high,
        }
        row |= _regret(layer, place, len(names), increases, options)
        if name == RANDOM:
            row |= {
                "spearman": float(part.oracle.random.mean()),
                "spearman_low": low,
                "spearman_high": high,
                "verdict": "not better than random",
                "statement": "random rankings are the zero with which criteria are compared",
            }
        else:
            found = correlation_with_oracle(part.scores[place], part.oracle, options.level)
            row |= compared(found, part.oracle, name, options.level)
            if np.isnan(found.spearman):  # what is lowest among equals is the order of the file
                row |= dict.fromkeys(("increase", "regret", "regret_low", "regret_high"), np.nan)
        yield common | row


def _regret(
    layer: ConvLayer, place: int, criteria: int, increases: Array | None, options: Options
) -> dict[str, Any]:
    """What the selections of a criterion cost; nothing where there are none."""
    if increases is None:
        return {"reason": f"{options.ratio:g} of {layer.n_filters} filters is none: no regret"}
    random = increases[:, criteria + 1 :].mean(1)
    chosen = random if place == criteria else increases[:, place]
    found = selection_regret(
        chosen, increases[:, criteria], random, options.level, options.generator(layer.name)
    )
    return {
        "increase": found.increase,
        "increase_oracle": found.oracle,
        "increase_random": found.random,
        "regret": found.value,
        "regret_low": found.low,
        "regret_high": found.high,
    }


def compared(
    found: OracleCorrelation, oracle: Oracle, criterion: str, level: float
) -> dict[str, Any]:
    """The numbers of a criterion and what they say."""
    row: dict[str, Any] = {
        "spearman": found.spearman,
        "spearman_low": found.low,
        "spearman_high": found.high,
        "half_reliability": found.half_reliability,
        "disattenuated": found.disattenuated,
        "disattenuated_low": found.disattenuated_low,
        "disattenuated_high": found.disattenuated_high,
    }
    if np.isnan(found.spearman):
        reason = f"all scores of {criterion} are equal"
        return row | {"verdict": "not applicable", "statement": f"{reason}: no order",
                      "reason": reason}  # fmt: skip
    pvalue = oracle.pvalue(found.spearman)
    row |= {"pvalue": pvalue}
    if np.isnan(found.disattenuated):
        row["reason"] = f"a reliability below {LEAST_RELIABILITY:g} says too little to correct with"
    told = f"correlation {found.spearman:.2f} with the oracle"
    if oracle.half_reliability < RELIABLE:
        verdict, statement = (
            "oracle too noisy",
            "two halves of the images give oracles that correlate "
            f"{oracle.half_reliability:.2f} only; more images are needed",
        )
    elif pvalue > 1 - level:
        verdict, statement = (
            "not better than random",
            f"{told}, which {pvalue:.0%} of random rankings reach",
        )
    else:
        verdict = _of_interval(found.disattenuated_low, found.disattenuated_high)
        statement = told
        if not np.isnan(found.disattenuated):
            statement += f", {found.disattenuated:.2f} without noise of the images"
        if not np.isnan(found.disattenuated_low):
            statement += f" ({found.disattenuated_low:.2f} to {found.disattenuated_high:.2f})"
        if verdict == "inconclusive":
            statement += f": whether that is {VALID:g} or more is open"
    return row | {"verdict": verdict, "statement": statement}


def _of_interval(low: float, high: float) -> str:
    """The verdict on a coefficient that is better than random, from its interval."""
    if low >= VALID:
        return "valid"
    return "weak" if high < VALID else "inconclusive"
