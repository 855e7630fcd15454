"""Which filters a criterion prunes: within each layer, or by one ranking of the network.

Ties between layers, such as those of a residual sum, are not looked at: this is for rankings and
overlaps. `make_plan` plans what can be applied to a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.arguments import choose, require_between, require_count
from cwda.choices import Normalisation, Strategy
from cwda.errors import SelectionError
from cwda.layers import Network
from cwda.loading.source import Source
from cwda.loading.sources import network_of
from cwda.models.batches import Data
from cwda.numerics.device import Placement
from cwda.numerics.ranking.ranks import ascending
from cwda.progress import showing
from cwda.pruning.plan import Plan
from cwda.pruning.ranking import Ranking
from cwda.pruning.stability import Redraws, share_changed, warn_of_change
from cwda.scoring.error_bars.replicates import Replicates, replicates
from cwda.scoring.filters import Filters
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criterion, resolve
from cwda.scoring.scores import LayerScores, score_network
from cwda.scoring.statistics.collected import Collected
from cwda.typing import Device

__all__ = [
    "NORMALISERS",
    "CriterionScores",
    "check_request",
    "criterion_scores",
    "finite_rows",
    "plan_of_lowest",
    "pruned_indices",
    "scores_by_criterion",
    "select",
]

#: Ways to make the scores of different layers comparable before one global ranking. None turns the
#: ranking of a layer round, as dividing by the mean of negative scores would.
NORMALISERS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda scores: scores / scores.abs().mean(),
    "zscore": lambda scores: (scores - scores.mean()) / scores.std(correction=0),
}


def select(
    source: Source,
    criterion: str | Criterion,
    ratio: float,
    *,
    strategy: Strategy = "layerwise",
    normalise: str | None = None,
    data: Data | Collected | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> Plan:
    """Select the filters with the lowest scores.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to prune: a name, file, Module, layer or array N x k^2 x N'; a criterion beyond the
        weights needs a name, file or Module that runs.
    criterion : str or Criterion
        A name in `cwda.criteria()`, or a criterion.
    ratio : float
        Share of filters to prune, between 0 and 1: the whole part of ratio N' in each
        layer, or of ratio times all filters.
    strategy : {"layerwise", "global"}
        One ranking per layer, or one of all filters. Equal scores are taken in the order of
        layers and indices.
    normalise : {None, "mean", "zscore"}
        For a global ranking: scores as they are, divided by the mean of the layer's absolute
        scores, or minus the mean and divided by the standard deviation.
    data, batch_size
        What a criterion that needs activations or gradients runs a Module on; see
        `cwda.similarity`.
    device : str or torch.device
        Where to compute, in float64; "auto" is CUDA where there is one.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    CriterionError
        If the criterion is unknown.
    SelectionError
        If the ratio, the strategy or the way to normalise is impossible.

    Examples
    --------
    >>> import numpy as np
    >>> from cwda.pruning import select
    >>> array = np.array([[[3.0, 0.0, 1.0], [4.0, 1.0, 0.5]]])
    >>> select(array, "l2", 0.4)
    Plan('array', l2, layerwise, 33.3% of 40.0% asked for)
    >>> select(array, "l2", 0.4).pruned
    {'array': (1,)}
    """
    check_request(ratio, strategy, normalise)
    if normalise is not None and strategy == "layerwise":
        raise SelectionError(
            "normalise changes nothing within a layer; leave it out or take strategy='global'"
        )
    (resolved,) = resolve(criterion)
    with showing(progress):
        network, scored = criterion_scores(
            source, resolved, data=data, batch_size=batch_size, device=device
        )
    plan = plan_of_lowest(network, scored, ratio, strategy, normalise)
    warn_of_change(plan.criterion, plan.share_changed, scored.images)
    return plan


class CriterionScores(NamedTuple):
    """The scores of a network by one criterion.

    Attributes
    ----------
    criterion : str
        Name of the criterion.
    rows : dict of str to Tensor
        The scores of each layer.
    reasons : dict of str to str
        Why a layer has none.
    redraws : Redraws or None
        The scores on halves of the images; None for a criterion that needs none.
    """

    criterion: str
    rows: Mapping[str, Tensor]
    reasons: Mapping[str, str]
    redraws: Redraws | None = None

    @property
    def images(self) -> int:
        """Number of images; 0 where none are needed."""
        return self.redraws.images if self.redraws else 0


def plan_of_lowest(
    network: Network,
    scored: CriterionScores,
    ratio: float,
    strategy: Strategy,
    normalise: str | None,
) -> Plan:
    """The selection from scores by layer."""
    rows, unscaled = finite_rows(scored.rows, normalise)
    all_reasons = {**scored.reasons, **unscaled}
    skipped = {
        layer.name: all_reasons[layer.name] for layer in network if layer.name in all_reasons
    }
    n_filters = {name: len(row) for name, row in rows.items()}
    pruned = _lowest(rows, ratio, strategy)

    def select(again: Mapping[str, Tensor]) -> Mapping[str, tuple[int, ...]]:
        return _lowest(finite_rows(again, normalise)[0], ratio, strategy)

    taken = sum(map(len, pruned.values())) / max(1, sum(n_filters.values()))
    changed = share_changed(scored.redraws, select, taken)
    return Plan(
        network.name,
        scored.criterion,
        strategy,
        normalise,
        ratio,
        n_filters,
        pruned,
        skipped,
        share_changed=changed,
    )


def _lowest(
    rows: Mapping[str, npt.NDArray[np.float64]], ratio: float, strategy: Strategy
) -> dict[str, tuple[int, ...]]:
    """The filters with the lowest scores, each a channel of its own."""
    if not rows:
        return {}
    usable = np.ones(sum(map(len, rows.values())), dtype=bool)
    ends = np.cumsum([len(row) for row in rows.values()])[:-1]
    channels = dict(zip(rows, np.split(np.arange(len(usable)), ends), strict=True))
    ranking = Ranking(rows, channels, len(usable), usable)
    return ranking.filters(ranking.choose(strategy, ratio, minimum=0).taken)


def criterion_scores(
    source: Source,
    criterion: Criterion,
    *,
    data: Data | Collected | None,
    batch_size: int,
    device: Device,
) -> tuple[Network, CriterionScores]:
    """The network, and the scores of its layers by one criterion."""
    network, collected = prepare(
        source, [criterion], data=data, batch_size=batch_size, device=device
    )
    scored = list(score_network(network, [criterion], device, collected.layers))
    (found,) = scores_by_criterion([criterion], scored, collected, device)
    return network, found


def scores_by_criterion(
    criteria: Sequence[Criterion],
    scored: Sequence[LayerScores],
    collected: Collected,
    device: Device,
) -> list[CriterionScores]:
    """What is known of each criterion, from the scores of the layers by all."""
    again = (
        {row.layer.name: replicates(row, criteria, collected, device) for row in scored}
        if any(criterion.needs_images for criterion in criteria)
        else {}
    )
    return [
        CriterionScores(
            criterion.name,
            {row.layer.name: row.values[at] for row in scored if not row.reasons[at]},
            {row.layer.name: row.reasons[at] for row in scored if row.reasons[at]},
            _redraws(again, at, criterion, collected.images) if criterion.needs_images else None,
        )
        for at, criterion in enumerate(criteria)
    ]


def _redraws(
    again: Mapping[str, Replicates | None], at: int, criterion: Criterion, images: int
) -> Redraws:
    """The halves of each layer as halves of the network."""
    known = {layer: one for layer, one in again.items() if one is not None}
    if not known:
        return Redraws([], 1.0, images)
    first = next(iter(known.values()))
    pairs = [
        tuple({name: one.halves[split, side, at] for name, one in known.items()} for side in (0, 1))
        for split in range(len(first.halves))
    ]
    return Redraws([(a, b) for a, b in pairs], first.factor_of(criterion), images)


def check_request(ratio: float, strategy: str, normalise: str | None) -> None:
    """Refuse what cannot be selected.

    Raises
    ------
    SelectionError
        If the ratio, the strategy or the way to normalise is impossible.
    """
    require_between(ratio, 0, 1, "a pruning ratio", SelectionError, inclusive=True)
    choose([strategy], get_args(Strategy), "strategy", SelectionError)
    if normalise is not None:
        choose([normalise], get_args(Normalisation), "way to normalise", SelectionError)


def finite_rows(
    scores: Mapping[str, Tensor], normalise: str | None
) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, str]]:
    """Scores made comparable, and why a layer has none."""
    rows, skipped = {}, {}
    for name, row in scores.items():
        if not bool(row.isfinite().all()):
            skipped[name] = "scores that are not finite"
            continue
        scaled = row if normalise is None else NORMALISERS[normalise](row)
        if bool(scaled.isfinite().all()):
            rows[name] = scaled.cpu().numpy()
        else:
            skipped[name] = f"scores that are all equal or 0 have no {normalise} to scale by"
    return rows, skipped


def pruned_indices(
    source: Source,
    layer: str | int,
    criterion: str | Criterion,
    *,
    top: int = 8,
    device: Device = "auto",
) -> list[int]:
    """The filters of one layer that are pruned first (paper, table 1).

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        The network.
    layer : str or int
        Name of the layer, or its position counted from 0 as in ``net[...]``: the first
        convolution is 0.
    criterion : str or Criterion
        A name in `cwda.criteria()`, or a criterion; one that needs the weights alone.
    top : int
        Number of filters.
    device : str or torch.device
        Where to compute, in float64.

    Raises
    ------
    CwdaError, CriterionError, WeightsError
        If the layer or the criterion is unknown, or the layer has no scores.

    Examples
    --------
    >>> import numpy as np
    >>> from cwda.pruning import pruned_indices
    >>> pruned_indices(np.array([[[3.0, 0.0, 1.0], [4.0, 1.0, 0.5]]]), 0, "l2", top=2)
    [1, 2]
    """
    require_count(top, 1, "top, the number of filters,", SelectionError)
    (score,) = resolve(criterion)
    chosen = network_of(source)[layer]

    def lowest(device: torch.device) -> list[int]:
        return ascending(score(Filters.of(chosen, device)))[:top].tolist()

    return Placement(device, f"layer {chosen.name}", chosen.n_weights).run(lowest)
