"""Which filters a criterion prunes: within each layer, or by one ranking of the network.

Without regard to coupled layers, as a residual sum couples them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from cwda.errors import SelectionError, nearest
from cwda.layers import Source, as_network
from cwda.models.batches import Data
from cwda.numerics.device import resolve_device
from cwda.numerics.lowest import lowest_count
from cwda.numerics.ranks import ascending
from cwda.pruning.filters import Filters, find_layer
from cwda.pruning.gather import Measurable, gather
from cwda.pruning.registry import get_criterion, resolve
from cwda.pruning.scoring import score_network
from cwda.pruning.statistics import Collected

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Selection", "overlap", "pruned_indices", "select"]

Strategy = Literal["layerwise", "global"]

#: Ways to make the scores of different layers comparable before one global ranking.
NORMALISERS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda scores: scores / scores.mean(),
    "zscore": lambda scores: (scores - scores.mean()) / scores.std(correction=0),
}


@dataclass(frozen=True)
class Selection:
    """The filters that one criterion prunes from a network at one ratio.

    Attributes
    ----------
    network, criterion : str
        What was ranked, and by what.
    strategy : {"layerwise", "global"}
        One ranking a layer, or one for all.
    normalise : str or None
        How the scores of a layer were scaled before a global ranking.
    ratio : float
        The share of filters asked for.
    n_filters : dict of str to int
        Number of filters of each layer that was ranked.
    pruned : dict of str to tuple of int
        For each of these layers the indices of its pruned filters, the first pruned first.
    skipped : dict of str to str
        The layers that could not be ranked, with the reason; none of their filters is pruned
        or counted.
    """

    network: str
    criterion: str
    strategy: Strategy
    normalise: str | None
    ratio: float
    n_filters: Mapping[str, int]
    pruned: Mapping[str, tuple[int, ...]]
    skipped: Mapping[str, str]

    @property
    def achieved(self) -> float:
        """Share of the ranked filters that is pruned; layer-wise at most `ratio`."""
        total = sum(self.n_filters.values())
        return sum(map(len, self.pruned.values())) / total if total else 0.0

    @property
    def emptied(self) -> tuple[str, ...]:
        """The layers that lose all their filters, and with which the network is cut."""
        return tuple(
            name for name, pruned in self.pruned.items() if len(pruned) == self.n_filters[name]
        )

    @property
    def table(self) -> pd.DataFrame:
        """A row per layer: ``network, layer, n_filters, pruned, share, emptied, reason``."""
        import pandas as pd

        rows = [
            (self.network, name, n, len(self.pruned[name]), len(self.pruned[name]) / n, "")
            for name, n in self.n_filters.items()
        ]
        nan = float("nan")
        rows += [(self.network, name, 0, 0, nan, reason) for name, reason in self.skipped.items()]
        columns = ["network", "layer", "n_filters", "pruned", "share", "reason"]
        table = pd.DataFrame(rows, columns=columns)
        table.insert(5, "emptied", table["share"] == 1)
        return table

    def __repr__(self) -> str:
        scaled = f", scores by {self.normalise}" if self.normalise else ""
        emptied = f", emptied: {', '.join(self.emptied)}" if self.emptied else ""
        skipped = f", {len(self.skipped)} layers skipped" if self.skipped else ""
        return (
            f"Selection({self.network!r}, {self.criterion}, {self.strategy}{scaled}, "
            f"{self.achieved:.1%} of {self.ratio:.1%} asked for{emptied}{skipped})"
        )


def select(
    source: Measurable,
    criterion: str,
    ratio: float,
    strategy: Strategy = "layerwise",
    normalise: str | None = None,
    device: torch.device | str = "auto",
    data: Data | Collected | None = None,
    batch_size: int = 128,
) -> Selection:
    """Select the filters with the lowest scores.

    Parameters
    ----------
    source : Network, ConvLayer, array or Module
        What to prune; an array is N x k^2 x N'.
    criterion : str
        A name of `cwda.pruning.criteria()`.
    ratio : float
        Share of filters to prune, between 0 and 1: the whole part of ratio N' in each
        layer, or of ratio times all filters.
    strategy : {"layerwise", "global"}
        One ranking a layer, or one of all filters. Equal scores are taken in the order of
        layers and indices.
    normalise : {None, "mean", "zscore"}
        For a global ranking: scores as they are, divided by the layer's mean, or less the
        mean and divided by the standard deviation.
    device : torch.device or str
        Where to compute, in float64; "auto" is CUDA where there is one.
    data : Images, ImageData, tensors, iterable of batches or Collected
        What criteria that need activations or gradients run a Module on; see
        `cwda.models.batches.as_batches`. The result of `collect` saves the pass.
    batch_size : int
        Images a batch where `data` is not in batches already.

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
    Selection('array', l2, layerwise, 33.3% of 40.0% asked for)
    >>> select(array, "l2", 0.4).pruned
    {'array': (1,)}
    """
    _validate(ratio, strategy, normalise)
    found = resolve([criterion])
    network, statistics = gather(source, found, device, data, batch_size)
    rows: dict[str, Tensor] = {}
    skipped: dict[str, str] = {}
    for scored in score_network(network, found, device, statistics):
        name, reason = scored.layer.name, scored.reasons[0]
        if reason:
            skipped[name] = reason
            continue
        row = scored.values[0]
        if normalise is not None:
            row = NORMALISERS[normalise](row)
        if row.isfinite().all():
            rows[name] = row
        else:
            skipped[name] = f"scores that are all equal or 0 have no {normalise} to scale by"
    prune = _layerwise if strategy == "layerwise" else _globally
    n_filters = {name: len(row) for name, row in rows.items()}
    pruned = prune(rows, ratio) if rows else {}
    return Selection(
        network.name, criterion, strategy, normalise, ratio, n_filters, pruned, skipped
    )


def _validate(ratio: float, strategy: str, normalise: str | None) -> None:
    if not 0 <= ratio <= 1:
        raise SelectionError(f"a pruning ratio lies between 0 and 1, not {ratio}")
    if strategy not in ("layerwise", "global"):
        known = nearest(strategy, ("layerwise", "global"))
        raise SelectionError(f"no strategy {strategy!r}{known}")
    if normalise is None:
        return
    if normalise not in NORMALISERS:
        raise SelectionError(f"no way to normalise {normalise!r}{nearest(normalise, NORMALISERS)}")
    if strategy == "layerwise":
        raise SelectionError(
            "normalise changes nothing within a layer; leave it out or take strategy='global'"
        )


def _layerwise(rows: Mapping[str, Tensor], ratio: float) -> dict[str, tuple[int, ...]]:
    return {name: _lowest(row, lowest_count(len(row), ratio)) for name, row in rows.items()}


def _lowest(scores: Tensor, count: int) -> tuple[int, ...]:
    return tuple(ascending(scores)[:count].tolist())


def _globally(rows: Mapping[str, Tensor], ratio: float) -> dict[str, tuple[int, ...]]:
    """One ranking of all filters, handed out to the layers again."""
    owner = [(name, index) for name, row in rows.items() for index in range(len(row))]
    pruned: dict[str, list[int]] = {name: [] for name in rows}
    for place in _lowest(torch.cat(list(rows.values())), lowest_count(len(owner), ratio)):
        name, index = owner[place]
        pruned[name].append(index)
    return {name: tuple(indices) for name, indices in pruned.items()}


def overlap(a: Selection, b: Selection) -> float:
    """Jaccard index of the filters that two selections prune; NaN if both prune none.

    Raises
    ------
    SelectionError
        If they are selections from networks with different layers.

    Examples
    --------
    >>> import numpy as np
    >>> from cwda.pruning import overlap, select
    >>> array = np.random.default_rng(0).normal(size=(16, 9, 64))
    >>> round(overlap(select(array, "l1", 0.5), select(array, "l2", 0.5)), 3)
    0.778
    """
    first = {(name, index) for name, pruned in a.pruned.items() for index in pruned}
    second = {(name, index) for name, pruned in b.pruned.items() for index in pruned}
    if _sizes(a) != _sizes(b):
        raise SelectionError(
            f"selections from {a.network!r} and {b.network!r} have different layers"
        )
    together = len(first | second)
    return len(first & second) / together if together else float("nan")


def _sizes(selection: Selection) -> set[str]:
    return {*selection.n_filters, *selection.skipped}


def pruned_indices(
    source: Source,
    layer: str | int,
    criterion: str,
    top: int = 8,
    device: torch.device | str = "auto",
) -> list[int]:
    """The filters of one layer that are pruned first (paper, table 1).

    Parameters
    ----------
    source : Network, ConvLayer or array
        The network.
    layer : str or int
        Name of the layer, or its position counted from 0 as in ``net[...]``: the first
        convolution is 0.
    criterion : str
        A name of `cwda.pruning.criteria()`.
    top : int
        How many filters.
    device : torch.device or str
        Where to compute, in float64.

    Raises
    ------
    LayerError, CriterionError, WeightsError
        If the layer or the criterion is unknown, or the layer has no scores.

    Examples
    --------
    >>> import numpy as np
    >>> from cwda.pruning import pruned_indices
    >>> pruned_indices(np.array([[[3.0, 0.0, 1.0], [4.0, 1.0, 0.5]]]), 0, "l2", top=2)
    [1, 2]
    """
    if top < 1:
        raise SelectionError(f"top is the number of filters, 1 or more, not {top}")
    score = get_criterion(criterion)
    filters = Filters.of(find_layer(as_network(source), layer), resolve_device(device))
    return list(_lowest(score(filters), top))
