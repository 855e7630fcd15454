"""Measured importance scores of the filters of a layer or a network."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cwda.answers import Answer, column, common
from cwda.brief import brief
from cwda.errors import CriterionError, OutOfMemory, WeightsError
from cwda.layers import ConvLayer, Network
from cwda.loading.source import Source
from cwda.models.batches import Data
from cwda.numerics.device import Placement, resolve_device
from cwda.progress import showing, steps
from cwda.scoring.catalogue import NORM_BASED
from cwda.scoring.filters import Filters
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criteria, Criterion, resolve
from cwda.scoring.statistics.collected import Collected, LayerStatistics
from cwda.scoring.ties import resolution, tied
from cwda.sharing import shared
from cwda.typing import Device

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LayerScores", "ScoreRow", "ScoresResult", "score_layer", "score_network", "scores"]


@dataclass(frozen=True, eq=False)
class LayerScores:
    """The scores of one layer's filters under several criteria.

    Attributes
    ----------
    layer : ConvLayer
        The layer.
    criteria : tuple of str
        Names of the criteria, one per row.
    values : Tensor
        float64, criteria x filters; a row is NaN where its criterion gives no scores.
    reasons : tuple of str
        For each criterion why it gives no scores, empty where it does.
    """

    layer: ConvLayer
    criteria: tuple[str, ...]
    values: Tensor
    reasons: tuple[str, ...]

    __repr__ = brief


def score_layer(
    layer: ConvLayer,
    criteria: Sequence[Criterion],
    device: Device,
    statistics: LayerStatistics | None = None,
) -> LayerScores:
    """The scores of one layer, with a reason in place of those that do not exist."""
    if statistics is not None:
        return _score_layer(layer, criteria, device, statistics)
    return shared(
        (score_layer, layer, *criteria, device), lambda: _score_layer(layer, criteria, device, None)
    )


def _score_layer(
    layer: ConvLayer,
    criteria: Sequence[Criterion],
    device: Device,
    statistics: LayerStatistics | None,
) -> LayerScores:
    placement = Placement(device, f"layer {layer.name}", layer.n_weights)
    spaces: dict[torch.device, Filters] = {}

    def score(criterion: Criterion, device: torch.device) -> Tensor:
        if device not in spaces:
            spaces.clear()  # its memory is wanted
            spaces[device] = Filters.of(layer, device, statistics)
        filters = spaces[device]
        return tied(criterion(filters), resolution(criterion, filters, layer.weight.dtype))

    rows: list[Tensor | None] = []
    reasons = []
    for criterion in criteria:
        try:
            rows.append(placement.run(functools.partial(score, criterion)))
            reasons.append("")
        except (WeightsError, CriterionError, OutOfMemory) as error:
            rows.append(None)
            reasons.append(str(error))
    missing = torch.full((layer.n_filters,), torch.nan, dtype=torch.float64)
    home = placement.device if any(row is not None for row in rows) else missing.device
    values = torch.stack([(missing if row is None else row).to(home) for row in rows])
    return LayerScores(layer, tuple(each.name for each in criteria), values, tuple(reasons))


def score_network(
    network: Network,
    criteria: Sequence[Criterion],
    device: Device,
    statistics: Mapping[str, LayerStatistics],
) -> Iterator[LayerScores]:
    """The scores of one layer after the other; the device is checked at once."""
    resolve_device(device)
    return (
        score_layer(layer, criteria, device, statistics.get(layer.name))
        for layer in steps(network.layers, "scoring filters")
    )


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The score of one filter."""

    network: str = common("network")
    layer: str = common("layer")
    criterion: str = common("criterion")
    filter: int = column("index of the filter in its layer, counted from 0")
    score: float = column("importance score; the filters with the smallest scores go first")
    reason: str = column("why the layer has no scores by this criterion; empty if it has")


@dataclass(frozen=True, eq=False, repr=False)
class ScoresResult(Answer[ScoreRow]):
    """Importance scores: one row per layer, criterion and filter.

    Attributes
    ----------
    criteria : tuple of str
        The criteria.
    """

    criteria: tuple[str, ...] = field(kw_only=True)

    row = ScoreRow

    def wide(self, layer: str | int = 0) -> pd.DataFrame:
        """Filters x criteria of one layer, by its name or its position from 0.

        Raises
        ------
        CwdaError
            If there is no such layer.
        """
        rows = self.table[self.table["layer"] == self.networks[0][layer].name]
        wide = rows.pivot(index="filter", columns="criterion", values="score")
        return wide[list(self.criteria)]

    def summary(self) -> pd.DataFrame:
        """One row per criterion.

        Columns: ``criterion, layers, undefined`` (layers without scores), ``filters``, and
        ``lowest`` score with its ``layer`` and ``filter``.
        """
        import pandas as pd

        rows = []
        for name, group in self.table.groupby("criterion", sort=False):
            defined = group.dropna(subset=["score"])
            lowest = defined.loc[defined["score"].idxmin()] if len(defined) else None
            rows.append(
                {
                    "criterion": name,
                    "layers": defined["layer"].nunique(),
                    "undefined": group["layer"].nunique() - defined["layer"].nunique(),
                    "filters": len(defined),
                    "lowest": float("nan") if lowest is None else lowest["score"],
                    "layer": "" if lowest is None else lowest["layer"],
                    "filter": "" if lowest is None else lowest["filter"],
                }
            )
        return pd.DataFrame(rows)

    def title(self) -> str:
        """The network and the criteria."""
        return f"scores of {self.networks[0].name} by {', '.join(self.criteria)}"


def scores(
    source: Source,
    criteria: Criteria = NORM_BASED,
    *,
    data: Data | Collected | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> ScoresResult:
    """Importance scores of the filters; those with the smallest scores are pruned first.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to score: a name, file, Module, layer or array N x k^2 x N'; criteria beyond the
        weights need a name, file or Module that runs.
    criteria : str, Criterion or iterable of these
        Names in `cwda.criteria()`, or criteria.
    data : Images, ImageData, tensors, iterable of batches or Collected
        What criteria that need activations or gradients run a Module on; see
        `cwda.models.batches.as_batches`. The result of `collect` saves the pass.
    batch_size : int
        Images per batch where `data` is not in batches already.
    device : str or torch.device
        Where to compute, in float64; "auto" is CUDA where there is one.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    ScoresResult
        Its ``.table`` has one row per layer, criterion and filter; ``.wide(layer)`` has filters x
        criteria. Where a layer has no scores, such as one with weights that are not finite or
        without BatchNorm, the score is NaN and `reason` says why.

    Raises
    ------
    CriterionError
        If a criterion is unknown.
    TracingError, DataError
        If criteria need data, and the model cannot be traced or the data do not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from cwda.scoring import scores
    >>> array = np.array([[[3.0, 0.0, 1.0], [4.0, 1.0, 0.0]]])
    >>> scores(array, ["l1", "l2"]).wide()
    criterion   l1   l2
    filter
    0          7.0  5.0
    1          1.0  1.0
    2          1.0  1.0
    """
    resolved = resolve(criteria)
    with showing(progress):
        network, statistics = prepare(
            source, resolved, data=data, batch_size=batch_size, device=device
        )
        layers = list(score_network(network, resolved, device, statistics.layers))
    rows = tuple(row for layer in layers for row in _rows(network.name, layer))
    names = tuple(criterion.name for criterion in resolved)
    return ScoresResult(rows, (network,), level=float("nan"), criteria=names)


def _rows(network: str, scored: LayerScores) -> Iterator[ScoreRow]:
    for name, values, reason in zip(
        scored.criteria, scored.values.tolist(), scored.reasons, strict=True
    ):
        for index, score in enumerate(values):
            yield ScoreRow(network, scored.layer.name, name, index, score, reason)
