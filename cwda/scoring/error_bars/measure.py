"""How reliable the scores are that criteria give on these images, and how many would do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cwda.arguments import require_between
from cwda.errors import SelectionError
from cwda.loading.source import Source
from cwda.models.batches import Data
from cwda.numerics.ranking.overlap import lowest_count
from cwda.numerics.spread import constant
from cwda.progress import showing
from cwda.scoring.catalogue import DATA_BASED
from cwda.scoring.error_bars.estimate import (
    Correlations,
    another_draw,
    crossed,
    images_for_share,
    images_needed,
    split_changes,
    stepped_up,
)
from cwda.scoring.error_bars.replicates import NO_HALVES, Replicates, replicates
from cwda.scoring.error_bars.result import ReliabilityResult, ReliabilityRow
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criteria, Criterion, resolve
from cwda.scoring.scores import LayerScores, score_network
from cwda.scoring.statistics.collected import Collected
from cwda.typing import Device

__all__ = ["MOST_CHANGED", "TARGET", "problem_of", "reliability"]

#: With a reliability of .9 two draws correlate by .9, and a correlation falls by a factor of .95.
TARGET = 0.9

#: The share of the pruned filters that may depend on the draw of the images.
MOST_CHANGED = 0.1

# Fewer filters can only agree wholly or not at all.
_FEWEST_FILTERS = 3


def reliability(
    source: Source,
    criteria: Criteria = DATA_BASED,
    *,
    ratio: float = 0.5,
    target: float = TARGET,
    most: float = MOST_CHANGED,
    level: float = 0.95,
    data: Data | Collected | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> ReliabilityResult:
    r"""Measure how far scores depend on the images that they were computed on.

    From one pass: the mean Spearman correlation $r$ of the scores of disjoint halves of the
    images, over several splits, stepped up to all images by Spearman and Brown's
    $R = f r / (1 + (f - 1) r)$, $f$ the number of images over that of a half (2). A criterion
    that more images do not make more repeatable, `snip`, keeps $r$, and no number of images is
    given for it.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to measure: a name, file or Module that runs.
    criteria : str, Criterion or iterable of these
        Names in `cwda.criteria()`, or criteria. Those that need no images have reliability 1.
    ratio : float
        Share of the filters of a layer that is pruned, between 0 and 1.
    target : float
        The reliability for which images are counted, between 0 and 1.
    most : float
        The share of the pruned filters that may change, for which images are counted too.
    level : float
        Confidence level of the intervals, which are over the filters.
    data : Images, ImageData, tensors, iterable of batches or Collected
        What criteria run a Module on, in two batches or more; see
        `cwda.models.batches.as_batches`. The result of `collect` saves the pass.
    batch_size : int
        Images per batch where `data` is not in batches already. Whole batches make the halves.
    device : str or torch.device
        Where to compute, in float64; "auto" is CUDA where there is one.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    ReliabilityResult
        Its ``.table`` has one row per layer and criterion; what is undefined is NaN, and
        `reason` says why. ``.warnings`` are lines for criteria that need more images.

    Raises
    ------
    CriterionError
        If a criterion is unknown.
    SelectionError
        If the ratio, the target, the share or the level does not lie between 0 and 1.
    TracingError, DataError
        If the model cannot be traced or the data do not fit it.

    References
    ----------
    Spearman (1910), Correlation calculated from faulty data, British Journal of Psychology 3;
    Brown (1910), in the same volume.

    Examples
    --------
    >>> import torch
    >>> from cwda.scoring import reliability
    >>> images = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> rel = reliability("resnet20-cifar10", ["apoz", "bn_gamma"], data=images, batch_size=8)
    >>> rel.table.loc[:1, ["layer", "criterion", "images", "reliability"]].round(1)
       layer criterion  images  reliability
    0  conv1      apoz      64          1.0
    1  conv1  bn_gamma       0          1.0
    """
    for value, what in (
        (ratio, "a pruning ratio"),
        (target, "the target of the reliability"),
        (most, "the largest share that may change"),
        (level, "the confidence level"),
    ):
        require_between(value, 0, 1, what, SelectionError)
    resolved = resolve(criteria)
    asked = _Asked(ratio, target, most, level)
    with showing(progress):
        network, collected = prepare(
            source, resolved, data=data, batch_size=batch_size, device=device
        )
        rows = tuple(
            row
            for scored in score_network(network, resolved, device, collected.layers)
            for row in _rows(network.name, scored, resolved, collected, asked, device)
        )
    return ReliabilityResult(
        rows,
        (network,),
        level=level,
        criteria=tuple(criterion.name for criterion in resolved),
        images=collected.images,
        target=target,
        most=most,
    )


class _Asked(NamedTuple):
    ratio: float
    target: float
    most: float
    level: float


def problem_of(scored: LayerScores, criterion: int) -> str:
    """Why a criterion ranks nothing in a layer; empty if it does."""
    scores, n = scored.values[criterion], scored.layer.n_filters
    if scored.reasons[criterion]:
        return scored.reasons[criterion]
    if n < _FEWEST_FILTERS:
        return f"{n} filter{'s' * (n > 1)}; {_FEWEST_FILTERS} are needed"
    if bool(constant(scores)):
        return f"all {n} scores of {scored.criteria[criterion]} are equal"
    return ""


def _rows(
    network: str,
    scored: LayerScores,
    criteria: Sequence[Criterion],
    collected: Collected,
    asked: _Asked,
    device: Device,
) -> Iterator[ReliabilityRow]:
    """One row for each criterion in one layer."""
    of_data = any(criterion.needs_images for criterion in criteria)
    again = replicates(scored, criteria, collected, device) if of_data else None
    correlations = None if again is None else crossed(again.halves)
    for at, criterion in enumerate(criteria):
        reason, cells = problem_of(scored, at), dict[str, Any]()
        if not reason and not criterion.needs_images:
            cells = _without_images(scored.layer.n_filters, asked.ratio)
        elif not reason and (again is None or correlations is None):
            reason = NO_HALVES
        elif not reason:
            assert again is not None
            assert correlations is not None
            cells, reason = _measured(again, correlations, at, criterion, collected.images, asked)
        yield ReliabilityRow(
            network=network,
            layer=scored.layer.name,
            criterion=criterion.name,
            images=collected.images if criterion.needs_images else 0,
            ratio=asked.ratio,
            n_filters=scored.layer.n_filters,
            reason=reason,
            **dict.fromkeys(_NUMBERS, math.nan) | cells,
        )


_NUMBERS = (
    "reliability",
    "low",
    "high",
    "share_changed",
    "images_needed",
    "images_for_share",
)


def _without_images(n: int, ratio: float) -> dict[str, float]:
    """What holds of scores that are the same on all images."""
    changed = 0.0 if lowest_count(n, ratio) > 0 else math.nan
    return dict(zip(_NUMBERS, (1.0, 1.0, 1.0, changed, 0.0, 0.0), strict=True))


def _measured(
    again: Replicates,
    correlations: Correlations,
    at: int,
    criterion: Criterion,
    images: int,
    asked: _Asked,
) -> tuple[dict[str, float], str]:
    """The numbers of one criterion that needs images, and what is missing of them."""
    n = again.halves.shape[-1]
    factor = again.factor_of(criterion)
    estimate = stepped_up(correlations, at, n, factor, asked.level)
    cells = dict(zip(_NUMBERS, estimate, strict=False))
    if math.isnan(estimate[0]):
        return cells, "all scores are equal on a half of the images"
    share = float(split_changes(again.halves, asked.ratio)[at])
    exact = lowest_count(n, asked.ratio) / n
    cells["share_changed"], latent = another_draw(share, exact, factor)
    if criterion.unsteady:
        unsteady = f"no number of images follows: {criterion.unsteady}"
        return cells | dict.fromkeys(("images_needed", "images_for_share"), math.nan), unsteady
    cells["images_needed"] = images_needed(estimate[0], images, asked.target)
    cells["images_for_share"] = images_for_share(latent, images, exact, asked.most)
    if estimate[0] <= 0:
        return cells, "the halves do not agree: no number of images follows"
    return cells, "" if exact else f"{asked.ratio:.0%} of {n} filters is none"
