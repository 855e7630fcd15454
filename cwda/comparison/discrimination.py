"""One layer: what is measured of its scores, what would come back, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.comparison.fresh_images import swaps_of_halves
from cwda.formatting import many, number
from cwda.numerics.ranking.overlap import lowest_count
from cwda.numerics.spread import constant
from cwda.scoring.dispersion import measure_dispersion
from cwda.scoring.error_bars.replicates import NO_HALVES, Replicates, replicates
from cwda.scoring.registry import Criterion
from cwda.scoring.scores import LayerScores
from cwda.scoring.statistics.collected import Collected
from cwda.theory.criteria import CRITERIA
from cwda.theory.live_fit import LiveFit, fit_live, widest_law
from cwda.theory.model import FittedLayer
from cwda.theory.rungs import BLOCK, FRESH, SCALE
from cwda.theory.score_law import DistanceSumLaw, ScoreLaw, score_law
from cwda.theory.swaps import (
    COIN,
    SWAP_DISCRIMINATES,
    SWAP_WEAK,
    apart_below,
    discrimination,
    own_scales,
    signal_interval,
    swap_probability,
    swaps_of_scores,
)
from cwda.typing import Device

__all__ = ["BASES", "Frame", "judge_layer"]

Array = npt.NDArray[np.float64]
Cells = dict[str, Any]

#: What a verdict may rest on, and the column of its probability.
BASES = {"fresh filters": "swap_filters", "fresh images": "swap_images"}

_MEANING = {
    "discriminates": f"up to {SWAP_DISCRIMINATES:.0%} discriminates",
    "weakly": f"up to {SWAP_WEAK:.0%} discriminates weakly",
    "cannot discriminate": f"above {SWAP_WEAK:.0%} cannot discriminate",
}


@dataclass(frozen=True)
class Frame:
    """What all layers are asked.

    Attributes
    ----------
    criteria : sequence of Criterion
        The criteria, in the order of the scores.
    ratio : float
        Share of the filters pruned.
    level : float
        Confidence of the intervals.
    device : str or torch.device
        Where the models are fitted.
    """

    criteria: Sequence[Criterion]
    ratio: float
    level: float
    device: Device


def judge_layer(scored: LayerScores, frame: Frame, statistics: Collected) -> Iterator[Cells]:
    """The cells of a layer's rows, one row per criterion.

    Parameters
    ----------
    scored : LayerScores
        Its scores.
    frame : Frame
        What is asked.
    statistics : Collected
        What a pass over images left; its parts tell what other images would change.
    """
    layer = scored.layer
    again: Replicates | None = None
    if any(criterion.needs_images for criterion in frame.criteria):
        again = replicates(scored, frame.criteria, statistics, frame.device)
    fit: LiveFit | None = None
    if not set(CRITERIA).isdisjoint(scored.criteria) and not all(scored.reasons):
        fit = fit_live(layer, device=frame.device)
    measured = measure_dispersion(scored.values, scored.criteria, scored.reasons)
    for i, row in enumerate(measured):
        row |= {"layer": layer.name, "n_filters": layer.n_filters, "dim": layer.dim}
        if scored.reasons[i]:
            row |= _no_verdict(scored.reasons[i])
        elif layer.n_filters < 2:
            row |= _no_verdict(row["reason"])
        elif bool(constant(scored.values[i])):
            statement = f"{row['reason']}: no order"
            row |= {"verdict": "cannot discriminate", "statement": statement}
        else:
            one = _One(frame.criteria[i], scored.values[i].cpu().numpy(), fit)
            if again is not None and one.criterion.needs_images:
                one.halves = again.halves[:, :, i].numpy()
                one.factor = again.factor_of(one.criterion)
            row |= _judged(row, one, frame)
        yield row


@dataclass
class _One:
    """A criterion in a layer, its scores, and what tells of fresh draws.

    Attributes
    ----------
    criterion : Criterion
        The criterion.
    scores : ndarray
        Scores that differ, (n,).
    fit : LiveFit or None
        The model of the live filters.
    halves : ndarray or None
        Scores by two halves of the images, splits x 2 x n.
    factor : float
        How many times as many images as a half there are; 1 if they are no use.
    """

    criterion: Criterion
    scores: Array
    fit: LiveFit | None
    halves: Array | None = None
    factor: float = 2.0


def _judged(row: Cells, one: _One, frame: Frame) -> Cells:
    """What is found of scores that differ."""
    n, name = len(one.scores), one.criterion.name
    pruned = lowest_count(n, frame.ratio)
    found: Cells = {"apart": row["near_zero"]}
    problem = _why_no_draw(one.criterion)
    if one.fit and name in CRITERIA:
        problem = f"no prediction: {one.fit.reason}"
        found |= _fresh_filters(name, one.scores, one.fit, pruned, frame.level)
        found["cv_ratio"] = row["cv"] / found.get("cv_predicted", math.nan)
    if one.halves is not None and not np.isfinite(one.halves).all():
        problem = "scores of a half of the images are not finite"
    elif one.halves is not None and 0 < pruned < n:
        swaps = swaps_of_halves(one.halves, pruned, one.factor, frame.level)
        names = ("swap_images", "swap_images_low", "swap_images_high")
        found |= dict(zip(names, swaps, strict=True))
    found["smallest"] = _smallest(row["near_zero"], found["apart"])
    if not 0 < pruned < n:
        problem = f"{frame.ratio:g} of {n} filters is none: no pair across the threshold"
    known = {basis: found[column] for basis, column in BASES.items() if column in found}
    if not known:
        return found | _no_verdict(problem, row["reason"])
    basis = max(known, key=lambda each: known[each])
    verdict = discrimination(known[basis])
    low, high = (found[f"{BASES[basis]}_{limit}"] for limit in ("low", "high"))
    statement = (
        f"at ratio {frame.ratio:g}, {known[basis]:.0%} of the pairs across the threshold would "
        f"swap with {basis} ({low:.0%} to {high:.0%}); {_MEANING[verdict]}"
    )
    words = _joined(statement, _words(row | found))
    return found | {"verdict": verdict, "basis": basis, "statement": words}


def _no_verdict(statement: str, remark: str | None = None) -> Cells:
    """No verdict and why, which joins the remark as the reason where one is given."""
    verdict = {"verdict": "not applicable", "statement": statement}
    return verdict if remark is None else verdict | {"reason": _joined(remark, statement)}


def _joined(*reasons: str) -> str:
    return "; ".join(filter(None, reasons))


def _why_no_draw(criterion: Criterion) -> str:
    """Why nothing is known of what a fresh draw would show."""
    if criterion.needs_images:
        return NO_HALVES
    if criterion.needs:
        return (
            f"{criterion.name} is one trained number for each filter: nothing is drawn that could "
            "be drawn afresh, and dispersion is measured only"
        )
    return f"no theory of {criterion.name}: dispersion is measured only"


def _fresh_filters(name: str, scores: Array, fit: LiveFit, pruned: int, level: float) -> Cells:
    """Dispersion and swaps over fresh filters, by the law of the live ones."""
    if fit.fitted is None:
        return _of_zeros(scores, fit, pruned)
    fresh = FRESH(fit.fitted)
    block, scale, law = (
        score_law(model, name) for model in (BLOCK(fit.fitted), SCALE(fit.fitted), fresh)
    )
    if isinstance(law, DistanceSumLaw) and isinstance(scale, DistanceSumLaw):
        dead = 1 - float(fit.live.mean())
        law, scale = replace(law, dead=dead), replace(scale, dead=dead)
    low, high = (law.with_signal(signal) for signal in signal_interval(fresh, level))
    # Medians are matched: what counts is the filters' distance, not the level of the layer.
    median = float(np.median(scores[fit.live]))
    latent = law.latent(scores * (float(law.quantile(np.array(0.5))) / median))
    widest = widest_law(fit.fitted, name)
    # Apart in their norms as well: GM hardly tells a small filter from a dead one.
    apart = int((apart_below(latent, widest) & ~fit.live).sum())
    own = own_scales(latent, widest)
    cells: Cells = {
        "cv_predicted": block.cv,
        "cv_scale": scale.cv,
        "q90_q10_predicted": block.q90_q10,
        "gini_predicted": block.gini,
        "noise_ratio": _noise_ratio(name, fresh),
        "signal_share": law.signal_share,
        "signal_share_low": low.signal_share,
        "signal_share_high": high.signal_share,
        "apart": apart,
        **_smallest_of(int(fit.live.sum()), scale, level),
    }
    if 0 < apart < len(scores):
        cells["swap_apart"] = swaps_of_scores(latent, apart, law, own).mean
    if 0 < pruned < len(scores):
        swaps = swaps_of_scores(latent, pruned, law, own)
        # More signal, fewer swaps: the limits change sides.
        at = [swaps_of_scores(latent, pruned, limit, own) for limit in (high, low)]
        # Besides, the scales of these filters are not known, only their law.
        z = float(special.ndtri((1 + level) / 2))
        reach = [
            math.hypot(each.mean - swaps.mean, z * max(each.scatter, swaps.scatter)) for each in at
        ]
        limits = [max(swaps.mean - reach[0], 0.0), min(swaps.mean + reach[1], COIN)]
        cells |= {
            "swap_filters": swaps.mean,
            "swap_filters_low": limits[0],
            "swap_filters_high": limits[1],
            "swap_normal": float(swap_probability(pruned / len(scores), law.signal_share)),
            "swap_nearest": swaps.nearest,
        }
    return cells


def _noise_ratio(name: str, fresh: FittedLayer) -> float:
    """Noise of a norm as the parts of the filters show it, over that of normal weights."""
    noise = fresh.measured_noise
    return noise.l1 / noise.normal_l1 if name == "l1" else noise.l2 / noise.normal_l2


def _of_zeros(scores: Array, fit: LiveFit, pruned: int) -> Cells:
    """Swaps where the live filters have no law, but all that is pruned is zero.

    Filters of zeros stay zero and tie with one another, whatever the others do. Filters that are
    equal and not zero would part in a fresh draw.
    """
    lowest, zeros = np.sort(scores), fit.zeros
    if not 0 < pruned <= zeros == (~fit.live).sum() or lowest[zeros - 1] > lowest[0]:
        return {}
    swap = (zeros - pruned) / (len(scores) - pruned) / 2
    cells = {f"swap_filters{limit}": swap for limit in ("", "_low", "_high")}
    return cells | {"apart": zeros, "swap_apart": 0.0}


def _smallest_of(n: int, law: ScoreLaw, level: float) -> Cells:
    """The smallest of n scores over their median: what the law expects, and its interval."""
    p = np.array([0.5, (1 - level) / 2, (1 + level) / 2])
    smallest = law.quantile(-np.expm1(np.log1p(-p) / n)) / law.quantile(np.array(0.5))
    names = ("lowest_predicted", "lowest_low", "lowest_high")
    return dict(zip(names, map(float, smallest), strict=True))


def _smallest(near_zero: int, apart: int) -> str:
    """What is said of the smallest score."""
    return "near zero" if near_zero else "apart" if apart else "ordinary"


def _words(row: Cells) -> str:
    """Of the smallest score, and of the filters apart."""
    lowest, expected = row["lowest"], row.get("lowest_predicted", math.nan)
    words = f"the smallest score is {number(lowest)} of the median"
    if math.isfinite(expected):
        words += f" ({number(expected)} expected)"
    if not row["apart"]:
        return words if math.isfinite(lowest) else ""
    swap = row.get("swap_apart", math.nan)
    chance = f", and {swap:.0%} would swap if exactly these were pruned" * math.isfinite(swap)
    few = many(row["apart"], "filter") + (" lies" if row["apart"] == 1 else " lie")
    return _joined(words, f"{few} apart below the others{chance}")
