"""Condition 8: independent filters; none is a copy of another."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from cwda.conditions.averaging import SHARES
from cwda.conditions.calibration import Calibration, Law, LayerSize
from cwda.conditions.condition import Figure, Formula, Words, condition
from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace, require_live
from cwda.errors import WeightsError
from cwda.filters.copies import SURE, THRESHOLD, Copies, copies
from cwda.layers import ConvLayer
from cwda.numerics.proportions import clopper_pearson_interval

__all__ = ["distinctness"]

#: Under CWDA a pair beyond the threshold must be rarer than this in a layer.
RAREST = 1e-3


def _inapplicable(layer: ConvLayer) -> str:
    return "one weight per filter: all are multiples of one another" if layer.dim == 1 else ""


def _truth(law: Law, size: LayerSize) -> float:
    return 0.0


def _draw(rng: np.random.Generator, size: LayerSize, effect: float) -> npt.NDArray[np.float64]:
    """Normal weights; of each two filters the second is a multiple of the first now and then."""
    filters = rng.standard_normal((size.n_filters, size.channels, size.kernel_size))
    first, second = filters[0 : size.n_filters // 2 * 2 : 2], filters[1::2]
    factor = rng.choice([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0], (len(first), 1, 1))
    second[:] = np.where(rng.random((len(first), 1, 1)) < effect, factor * first, second)
    return filters


@condition(
    margin=0.2,
    short="distinct",
    null="filters are independent: the largest |cosine| of two is one of chance",
    effect="share of the live filters that are copies of another, of either sign",
    method="largest |cosine| by the beta law at the effective dimension, over all pairs; "
    "Clopper-Pearson interval over n/2 pairs",
    inapplicable=_inapplicable,
    words=Words(
        title="Distinctness of the filters",
        claim="no copies among filters",
        asks="The assumption says that filters are drawn independently. Two that are multiples of "
        "one another, of either sign, are not.",
        estimator=f"Filters whose cosine exceeds {THRESHOLD:g} in absolute value are copies. For "
        "the same sign this must be so before and after the mean direction of all filters is "
        f"subtracted, unless the cosine exceeds {SURE:g}. The effect is the share of live filters "
        "with a copy. Copies come in pairs, so the interval is that of a proportion among half as "
        "many.",
        reading="At an effect of .2 a tenth of the filters could be left out without loss: each "
        "is a multiple of another. With fewer than 28 live filters the interval is wider than "
        "the margin, and the condition cannot hold. Where weights have so few dimensions that "
        "independent filters come as close, it is not applicable.",
    ),
    equation=Formula(
        typst="theta = 1/n \\#{i : max_(j != i) abs(f_i dot f_j) / (norm(f_i) norm(f_j)) > .9}",
        spoken="theta is the share of filters i for which the largest absolute cosine with "
        "another filter exceeds .9",
    ),
    figure=Figure(
        name="nearest_filters",
        kind="plots of the nearest filters",
        caption="Largest |cosine| of each live filter with another, in order, in the layers with "
        "the largest effects. Filters above the dashed line are copies; the dotted one is "
        "exceeded by some pair in 5 % of layers under CWDA.",
    ),
    estimate="Number of live filters that are copies.",
    details={
        "copies_same": "Number of filters with a copy of the same sign.",
        "copies_opposite": "Number of filters with a copy of the opposite sign.",
        "largest_cosine": "Largest |cosine| of two filters.",
        "cosine_dim": "Effective dimension of the directions: 1 over the mean squared cosine of "
        "filters that are no copies.",
        "live_filters": "Number of filters that are not near-dead: those that are compared.",
    },
    averaging=SHARES,
    calibration=Calibration(
        truth=_truth,
        draw=_draw,
        undisturbed={"heavy": False},
        excluded=("heavy", "two populations", "sparse"),
        interval_excluded=("sparse",),
    ),
)
def distinctness(work: Workspace) -> Measurement:
    """Test whether filters are copies of one another (independent draws).

    The effect is the share of live filters that have |cosine| > .9 with another; where all filters
    share a mean, the cosine without it counts for the same sign, unless the one with it exceeds
    .99: collapsed filters are copies, whatever they share. The p-value is that of the largest
    |cosine|, by the law of squared cosines Beta(1/2, (d_eff - 1) / 2) and the number of pairs; it
    claims no error under heavy tails, with populations of filters that are strong in different
    channels, or in pruned layers. There filters of few weights are multiples of one another by
    chance, and the interval claims nothing either.

    References
    ----------
    Huang et al. (2021), section 2.1; Clopper and Pearson (1934).

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.distinctness(net["layer3.0.conv1"]).effect
    0.0
    """
    found = _copies(work)
    n = len(found.nearest)
    chance = found.log_tail(THRESHOLD)
    if chance > math.log(RAREST):
        raise WeightsError(
            f"effective dimension {found.effective_dim:.1f}: among {n} independent filters some "
            f"may have a cosine beyond {THRESHOLD:g}"
        )
    copied = int((found.same | found.opposite).sum())
    low, high = _interval(copied, n, work.alpha)
    tail = found.log_tail(found.largest)
    return Measurement(
        effect=copied / n,
        low=low,
        high=high,
        statistic=found.largest,
        pvalue=math.exp(tail),
        log10_pvalue=tail / math.log(10),
        estimate=copied,
        note=_note(found),
        details={
            "copies_same": int(found.same.sum()),
            "copies_opposite": int(found.opposite.sum()),
            "largest_cosine": found.largest,
            "cosine_dim": found.effective_dim,
            "live_filters": n,
        },
    )


def _copies(work: Workspace) -> Copies:
    alive = require_live(np.sqrt(work.energy))
    _ = work.sums  # refuses filters whose products are only rounding beside one or two others
    gram, energy = work.kernels.mean, work.kernels.energy
    if not alive.all():
        kept = torch.from_numpy(np.flatnonzero(alive)).to(gram.device)
        gram, energy = gram[kept[:, None], kept], energy[kept]
    return copies(gram, energy)


def _interval(copied: int, n: int, alpha: float) -> tuple[float, float]:
    """Of the share of copies, by whole pairs of filters that are copies of each other.

    Clusters of copies make the number of filters that are copies scatter more than pairs do.
    """
    pairs = n // 2
    # The lower limit from the whole pairs below, the upper one from those above.
    below, above = copied // 2, min(-(-copied // 2), pairs)
    low, high = clopper_pearson_interval(
        np.array([below, above], dtype=float), np.array([pairs, pairs], dtype=float), 1 - 2 * alpha
    )
    return min(float(low[0]), copied / n), max(float(high[1]), copied / n)


def _note(found: Copies) -> str:
    same, opposite = bool(found.same.any()), bool(found.opposite.any())
    if same and opposite:
        return "filters are copies of others, of both signs"
    if same:
        return "filters are copies of others"
    return "filters are copies of others with the opposite sign" if opposite else ""
