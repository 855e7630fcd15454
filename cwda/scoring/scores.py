"""Measured importance scores of the filters of a layer or a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cwda.brief import brief
from cwda.errors import CriterionError, WeightsError
from cwda.layers import ConvLayer, Network
from cwda.loading.sources import Source
from cwda.models.batches import Data
from cwda.numerics.device import resolve_device
from cwda.progress import steps
from cwda.scoring.filters import Filters
from cwda.scoring.gather import gather
from cwda.scoring.norms import NORM_BASED
from cwda.scoring.registry import Criterion, resolve
from cwda.scoring.statistics.one_pass import Collected, LayerStatistics

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LayerScores", "score_layer", "score_network", "scores"]


@dataclass(frozen=True, eq=False)
class LayerScores:
    """The scores of one layer's filters under several criteria.

    Attributes
    ----------
    layer : ConvLayer
        The layer.
    criteria : tuple of str
        Names of the criteria, one a row.
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
    device: torch.device,
    statistics: LayerStatistics | None = None,
) -> LayerScores:
    """The scores of one layer, with a reason in place of those that do not exist."""
    names = tuple(each.name for each in criteria)
    missing = torch.full((layer.n_filters,), torch.nan, dtype=torch.float64, device=device)
    try:
        filters = Filters.of(layer, device, statistics)
    except WeightsError as error:
        return LayerScores(layer, names, missing.expand(len(names), -1), (str(error),) * len(names))
    rows, reasons = [], []
    for each in criteria:
        try:
            rows.append(each(filters))
            reasons.append("")
        except CriterionError as error:
            rows.append(missing)
            reasons.append(str(error))
    return LayerScores(layer, names, torch.stack(rows), tuple(reasons))


def score_network(
    network: Network,
    criteria: Sequence[Criterion],
    device: torch.device | str,
    statistics: Mapping[str, LayerStatistics],
) -> Iterator[LayerScores]:
    """The scores of one layer after the other; the device is checked at once."""
    where = resolve_device(device)
    return (
        score_layer(each, criteria, where, statistics.get(each.name))
        for each in steps(network.layers, "scoring filters")
    )


def scores(
    source: Source,
    criteria: Iterable[str] = NORM_BASED,
    device: torch.device | str = "auto",
    data: Data | Collected | None = None,
    batch_size: int = 128,
) -> pd.DataFrame:
    """Importance scores of the filters; those with the smallest scores are pruned first.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to score: a name, file, Module, layer or array N x k^2 x N'; criteria beyond the
        weights need a name, file or Module that runs.
    criteria : iterable of str
        Names of `cwda.pruning.criteria()`.
    device : torch.device or str
        Where to compute, in float64; "auto" is CUDA where there is one.
    data : Images, ImageData, tensors, iterable of batches or Collected
        What criteria that need activations or gradients run a Module on; see
        `cwda.models.batches.as_batches`. The result of `collect` saves the pass.
    batch_size : int
        Images a batch where `data` is not in batches already.

    Returns
    -------
    pandas.DataFrame
        A row per layer, criterion and filter with the columns
        ``network, layer, criterion, filter, score, reason``. A layer without scores, as
        one with weights that are not finite or without BatchNorm, keeps its rows, with NaN and
        the reason.
        Of a layer or array: filters x criteria.

    Raises
    ------
    CriterionError
        If a criterion is unknown, or, for a layer or array, gives no scores.
    WeightsError
        If the weights of a layer or array given are not finite.
    TracingError, DataError
        If criteria need data, and the model cannot be traced or they do not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from cwda.scoring import scores
    >>> array = np.array([[[3.0, 0.0, 1.0], [4.0, 1.0, 0.0]]])
    >>> scores(array, ["l1", "l2"])
    criterion   l1   l2
    filter
    0          7.0  5.0
    1          1.0  1.0
    2          1.0  1.0
    """
    found = resolve(criteria)
    network, statistics = gather(source, found, device, data, batch_size)
    if isinstance(source, ConvLayer | np.ndarray | Tensor):
        filters = Filters.of(network.layers[0], resolve_device(device))
        return _wide({each.name: each(filters) for each in found})
    return _tidy(network.name, score_network(network, found, device, statistics))


def _tidy(network: str, scored: Iterable[LayerScores]) -> pd.DataFrame:
    import pandas as pd

    frames = [
        pd.DataFrame(
            {
                "network": network,
                "layer": each.layer.name,
                "criterion": name,
                "filter": range(each.layer.n_filters),
                "score": row.cpu().numpy(),
                "reason": reason,
            }
        )
        for each in scored
        for name, row, reason in zip(each.criteria, each.values, each.reasons, strict=True)
    ]
    columns = ["network", "layer", "criterion", "filter", "score", "reason"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _wide(rows: dict[str, Tensor]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame({name: row.cpu().numpy() for name, row in rows.items()})
    return frame.rename_axis(index="filter", columns="criterion")
