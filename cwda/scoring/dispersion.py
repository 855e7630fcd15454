"""Measured dispersion: how far the scores of a layer's filters lie apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from cwda.answers import Answer, column
from cwda.errors import SourceError
from cwda.layers import ConvLayer, Network
from cwda.loading.source import Source
from cwda.models.batches import Data
from cwda.numerics.ranking.live import NEAR_DEAD, live_filters
from cwda.numerics.spread import constant, spread
from cwda.progress import showing
from cwda.scoring.catalogue import NORM_BASED
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criteria, resolve
from cwda.scoring.scores import score_network
from cwda.scoring.statistics.collected import Collected
from cwda.typing import Device

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DispersionResult",
    "DispersionRow",
    "dispersion",
    "measure_dispersion",
    "undefined_dispersion",
]

Scores = Sequence[float]


@dataclass(frozen=True)
class DispersionRow:
    """How far the scores of one layer lie apart under one criterion."""

    network: str = column("name of the network; empty for lists of scores")
    layer: str = column("name of the layer, or of the list of scores")
    criterion: str = column("name of the criterion; 'given' for lists of scores")
    mean: float = column("mean of the scores, in their units")
    sd: float = column("standard deviation of the scores, in their units")
    cv: float = column("coefficient of variation, sd / mean")
    robust_cv: float = column("interquartile range / (1.349 median): the CV of a narrow normal law")
    q90_q10: float = column("ratio of the 90 % quantile to the 10 % quantile")
    gini: float = column("Gini coefficient: 0 if all scores are equal, 1 if only one is not 0")
    lowest: float = column("smallest score over the median of those that are not near zero")
    near_zero: int = column(
        f"scores below {NEAR_DEAD:g} of the median of the others; 0 if some are negative"
    )
    n_filters: int = column("number of filters N', or of scores")
    dim: int = column("weights of each filter, d = N k^2; 0 for lists of scores")
    reason: str = column("why a number is missing or trivial; empty otherwise")


@dataclass(frozen=True, eq=False, repr=False)
class DispersionResult(Answer[DispersionRow]):
    """Dispersion of importance scores: one row per layer and criterion."""

    row = DispersionRow

    def summary(self) -> pd.DataFrame:
        """One row per criterion, over the layers in which the CV is defined.

        Columns: ``criterion, layers, undefined, median`` and ``minimum`` of the CV, and the
        layer of the minimum, ``lowest_layer``.
        """
        import pandas as pd

        rows = []
        for name, group in self.table.groupby("criterion", sort=False):
            cv = group.set_index("layer")["cv"].dropna()
            rows.append(
                {
                    "criterion": name,
                    "layers": len(cv),
                    "undefined": len(group) - len(cv),
                    "median": cv.median(),
                    "minimum": cv.min(),
                    "lowest_layer": cv.idxmin() if len(cv) else "",
                }
            )
        return pd.DataFrame(rows)

    def title(self) -> str:
        """What was measured."""
        names = ", ".join(network.name for network in self.networks) or "lists of scores"
        return f"coefficient of variation of the scores in {names}"


def dispersion(
    source: Source | Scores | Mapping[str, Scores],
    criteria: Criteria = NORM_BASED,
    *,
    data: Data | Collected | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> DispersionResult:
    """Dispersion of importance scores: can they tell filters apart at all?

    Parameters
    ----------
    source : anything that `cwda.load` takes, list of scores, or mapping of names to such lists
        What to measure. An array N x k^2 x N' is a layer; one axis alone is a list of scores.
    criteria : str, Criterion or iterable of these
        Names in `cwda.criteria()`, or criteria; not used for lists of scores.
    data, batch_size
        What criteria that need activations or gradients run a Module on; see
        `cwda.similarity`.
    device : str or torch.device
        Where to compute, in float64.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    DispersionResult
        Its ``.table`` has one row per layer and criterion; see `cwda.numerics.spread.Spread`.
        What is undefined is NaN, and `reason` says why.

    Raises
    ------
    CriterionError
        If a criterion is unknown.
    SourceError
        If the source is neither a network nor scores.

    References
    ----------
    Huang et al. (2021), introduction: the toy example below.

    Examples
    --------
    Scores of two layers. In the first the fourth filter is clearly the least important; in the
    second all scores are alike, and which filter goes is decided by their third digit.

    >>> toy = {"apart": [0.9, 0.8, 0.4, 0.01], "alike": [0.91, 0.92, 0.93, 0.92]}
    >>> dispersion(toy).table[["layer", "mean", "cv", "gini", "lowest", "near_zero"]].round(3)
       layer   mean     cv   gini  lowest  near_zero
    0  apart  0.528  0.772  0.485   0.012          1
    1  alike  0.920  0.009  0.005   0.989          0
    """
    lists = _lists_of_scores(source)
    if lists:
        rows = [
            DispersionRow(network="", layer=name, n_filters=len(values), dim=0, **record)
            for name, values in lists.items()
            for record in measure_dispersion(values[None], ["given"], [""])
        ]
        return DispersionResult(tuple(rows), (), level=math.nan)
    resolved = resolve(criteria)
    with showing(progress):
        network, statistics = prepare(
            cast(Source, source), resolved, data=data, batch_size=batch_size, device=device
        )
        layers = list(score_network(network, resolved, device, statistics.layers))
    rows = [
        DispersionRow(
            network=network.name,
            layer=scored.layer.name,
            n_filters=scored.layer.n_filters,
            dim=scored.layer.dim,
            **record,
        )
        for scored in layers
        for record in measure_dispersion(scored.values, scored.criteria, scored.reasons)
    ]
    return DispersionResult(tuple(rows), (network,), level=math.nan)


def measure_dispersion(
    values: Tensor, criteria: Sequence[str], reasons: Sequence[str]
) -> list[dict[str, Any]]:
    """One record per criterion: its name, how far its scores lie apart, and why some are NaN.

    Parameters
    ----------
    values : Tensor
        Scores, criteria x filters.
    criteria, reasons : sequence of str
        Names of the rows, and why a row has no scores, empty where it has.
    """
    measured = {name: numbers.tolist() for name, numbers in spread(values)._asdict().items()}
    records = []
    for i, (name, reason) in enumerate(zip(criteria, reasons, strict=True)):
        record = {field: numbers[i] for field, numbers in measured.items()}
        lowest, near_zero = _smallest(values[i])
        record |= {"lowest": lowest, "near_zero": near_zero}
        reason = reason or undefined_dispersion(values[i], name)
        records.append({"criterion": name, **record, "reason": reason})
    return records


def _smallest(scores: Tensor) -> tuple[float, int]:
    """The smallest score over the median of those not near zero, and how many are."""
    x = scores.cpu().numpy()
    if len(x) < 2 or not np.isfinite(x).all() or x.min() < 0 or not x.max() > 0:
        return math.nan, 0
    live = live_filters(x)
    return float(x.min() / np.median(x[live])), int((~live).sum())


def undefined_dispersion(scores: Tensor, criterion: str) -> str:
    """Why the dispersion of scores is undefined or trivial; empty if neither.

    Examples
    --------
    >>> undefined_dispersion(torch.ones(16), "l1"), undefined_dispersion(torch.ones(1), "l1")
    ('all 16 scores of l1 are equal', '1 filter; 2 are needed')
    """
    n = len(scores)
    if n < 2:
        return f"{n} filter{'s' * (n != 1)}; 2 are needed"
    if bool(constant(scores)):
        return f"all {n} scores of {criterion} are equal"
    remarks = []
    if float(scores.mean()) <= 0:
        remarks.append("no CV from a mean that is not positive")
    if float(scores.median()) <= 0:
        remarks.append("no robust CV from a median that is not positive")
    if float(scores.min()) < 0:
        remarks.append("no Gini coefficient of negative scores")
    if float(torch.quantile(scores.double(), 0.1)) <= 0:
        remarks.append("no quantile ratio from a 10 % quantile that is not positive")
    return "; ".join(remarks)


def _lists_of_scores(source: object) -> dict[str, Tensor]:
    """Named lists of scores; empty if the source is something else."""
    if isinstance(source, str | Path | nn.Module | Network | ConvLayer):
        return {}
    if isinstance(source, Mapping):
        if any(isinstance(v, Mapping) or getattr(v, "ndim", 1) != 1 for v in source.values()):
            return {}  # a state dict
        return {str(name): _scores(values, str(name)) for name, values in source.items()}
    if isinstance(source, Tensor | np.ndarray) and source.ndim != 1:
        return {}
    return {"scores": _scores(source, "scores")}


def _scores(values: object, name: str) -> Tensor:
    try:
        scores = torch.as_tensor(values, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        scores = torch.empty(0)
    if scores.ndim != 1 or not len(scores) or not math.isfinite(float(scores.sum())):
        raise SourceError(
            f"{name!r} is not a list of finite scores; give a Network, a ConvLayer, an array "
            "N x k^2 x N', or one number for each filter"
        )
    return scores
