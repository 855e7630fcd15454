"""Measured dispersion: how far the scores of a layer's filters lie apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from cwda.errors import SourceError
from cwda.layers import ConvLayer, Network
from cwda.loading.sources import Source
from cwda.models.batches import Data
from cwda.numerics.spread import Spread, constant, spread
from cwda.scoring.gather import gather
from cwda.scoring.norms import NORM_BASED
from cwda.scoring.registry import resolve
from cwda.scoring.scores import score_network
from cwda.scoring.statistics.one_pass import Collected

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["dispersion", "measure_dispersion", "undefined_dispersion"]

Scores = Sequence[float]


def dispersion(
    source: Source | Scores | Mapping[str, Scores],
    criteria: Iterable[str] = NORM_BASED,
    device: torch.device | str = "auto",
    data: Data | Collected | None = None,
    batch_size: int = 128,
) -> pd.DataFrame:
    """Dispersion of importance scores: can they tell filters apart at all?

    Parameters
    ----------
    source : anything that `cwda.load` takes, list of scores, or mapping of names to such lists
        What to measure. An array N x k^2 x N' is a layer; one axis alone is a list of scores.
    criteria : iterable of str
        Names of `cwda.pruning.criteria()`; lists of scores have no use for them.
    device : torch.device or str
        Where to compute, in float64.
    data, batch_size
        What criteria that need activations or gradients run a Module on, as of
        `cwda.similarity`.

    Returns
    -------
    pandas.DataFrame
        A row per layer and criterion: ``network, layer, criterion, mean, sd, cv, robust_cv,
        q90_q10, gini, n_filters, dim, reason``; see `cwda.numerics.spread.Spread`. What is
        undefined is NaN, and `reason` says why.

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
    >>> dispersion(toy)[["layer", "mean", "cv", "q90_q10", "gini"]].round(3)
       layer   mean     cv  q90_q10   gini
    0  apart  0.528  0.772    6.850  0.485
    1  alike  0.920  0.009    1.015  0.005
    """
    import pandas as pd

    lists = _lists_of_scores(source)
    rows: list[dict[str, Any]] = []
    for name, values in lists.items():
        found = measure_dispersion(values[None], ["given"], [""])[0]
        rows.append({"network": "", "layer": name, **found, "n_filters": len(values), "dim": 0})
    if not lists:
        chosen = resolve(criteria)
        network, statistics = gather(cast(Source, source), chosen, device, data, batch_size)
        for each in score_network(network, chosen, device, statistics):
            layer = {"n_filters": each.layer.n_filters, "dim": each.layer.dim}
            start = {"network": network.name, "layer": each.layer.name}
            found_rows = measure_dispersion(each.values, each.criteria, each.reasons)
            rows += [{**start, **found, **layer} for found in found_rows]
    columns = ["network", "layer", "criterion", *Spread._fields, "n_filters", "dim", "reason"]
    return pd.DataFrame(rows, columns=columns)


def measure_dispersion(
    values: Tensor, criteria: Sequence[str], reasons: Sequence[str]
) -> list[dict[str, Any]]:
    """One record per criterion: its name, the fields of `Spread`, and why some are NaN.

    Parameters
    ----------
    values : Tensor
        Scores, criteria x filters.
    criteria, reasons : sequence of str
        Names of the rows, and why a row has no scores, empty where it has.
    """
    measured = {name: each.tolist() for name, each in spread(values)._asdict().items()}
    rows = []
    for i, (name, reason) in enumerate(zip(criteria, reasons, strict=True)):
        row = {field: column[i] for field, column in measured.items()}
        why = reason or undefined_dispersion(values[i], name)
        rows.append({"criterion": name, **row, "reason": why})
    return rows


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
        remarks.append("no quantile ratio, as the 10 % quantile is not positive")
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
            f"{name!r} is no list of finite scores; give a Network, a ConvLayer, an array "
            "N x k^2 x N', or one number for each filter"
        )
    return scores
