"""`invariances`: which changes of the weights, without any effect, change a criterion's ranking."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cwda.answers import Answer, column, common
from cwda.arguments import require_count
from cwda.errors import TracingError
from cwda.loading.in_memory import in_memory
from cwda.loading.sources import model_and_network_of
from cwda.models.batches import Batch, Data, as_batches
from cwda.numerics.ranking.ranks import spearman
from cwda.progress import showing, steps
from cwda.scoring.gauges import GAUGES, regauge
from cwda.scoring.registry import Criteria, Criterion, registered, resolve
from cwda.scoring.scores import LayerScores, score_network
from cwda.scoring.statistics.collect import collect
from cwda.tracing.copies import duplicate
from cwda.typing import Device

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["InvarianceResult", "InvarianceRow", "invariances"]

#: Scores that differ by less than this share of their range count as equal.
_EQUAL = 1e-9

#: A ranking is the same if no coefficient lies further below 1.
_SAME = 1e-6


@dataclass(frozen=True, kw_only=True)
class InvarianceRow:
    """One criterion under one transformation of the weights."""

    network: str = common("network")
    criterion: str = common("criterion")
    transformation: str = column(
        "What was done to the filters in front of BatchNorm: `filter scale`, each times a "
        "factor of its own; `layer scale`, all of a layer times one factor; `filter sign`, some "
        "times -1. BatchNorm makes up for it, so that the network computes the same."
    )
    layers: int = column("Number of layers compared.")
    spearman: float = column(
        "Spearman's rank correlation of a layer's scores before and after, mean over the layers.",
        default=math.nan,
    )
    lowest: float = column("The same in the layer where it is lowest.", default=math.nan)
    invariant: bool | None = column(
        "Whether the ranking is the same in all these layers; NA if there are none.", default=None
    )
    output_change: float = column(
        "Largest change of the network's output over its largest absolute value, float64; NaN "
        "where it was not run.",
        default=math.nan,
    )
    reason: str = column("Why nothing could be compared; empty otherwise.", default="")


@dataclass(frozen=True, eq=False, repr=False)
class InvarianceResult(Answer[InvarianceRow]):
    """What the rankings of criteria owe to the free scale of filters in front of BatchNorm."""

    row = InvarianceRow

    def summary(self) -> pd.DataFrame:
        """Criteria x transformations: mean Spearman coefficient before and after."""
        wide = self.table.pivot(index="criterion", columns="transformation", values="spearman")
        names = list(dict.fromkeys(self.table["criterion"]))
        table = wide.loc[names, list(GAUGES)].reset_index()
        return table.rename_axis(columns=None)

    def title(self) -> str:
        """The network."""
        return f"invariances of criteria in {self.networks[0].name}"


def invariances(
    model: nn.Module | str | Path,
    criteria: Criteria | None = None,
    *,
    data: Data | None = None,
    batch_size: int = 128,
    seed: int = 0,
    device: Device = "auto",
    progress: bool = True,
) -> InvarianceResult:
    """Rank the filters of a network, and those of the same network with other weights.

    Behind BatchNorm the scale and the sign of a filter are free: the running statistics and
    gamma make up for any factor. A criterion whose ranking changes then ranks by what the
    network does not compute with. The factors are standard lognormal, and every output is
    compared in float64.

    Parameters
    ----------
    model : nn.Module, str or Path
        A model that `torch.fx` can trace, or a name or file that `cwda.load_model` reads.
    criteria : str, Criterion or iterable of these, optional
        By default all for which the model and `data` suffice.
    data : Images, ImageData, tensors or iterable of batches, optional
        What criteria that need activations or gradients run the model on.
    batch_size : int
        Images per batch, where `data` is not in batches already.
    seed : int
        Of the factors.
    device : str or torch.device
        Where to compute the scores.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    InvarianceResult
        `.table` has one row per criterion and transformation.

    Raises
    ------
    CriterionError
        If a criterion is unknown.
    TracingError, DataError
        If the model cannot be traced or the data do not fit it.

    Examples
    --------
    >>> import cwda
    >>> res = cwda.scoring.invariances("resnet20-cifar10", ["l2", "bn_gamma"], progress=False)
    >>> res.table[["criterion", "transformation", "invariant"]].head(3)
      criterion transformation  invariant
    0        l2   filter scale      False
    1        l2    layer scale       True
    2        l2    filter sign       True
    """
    require_count(seed, 0, "seed")
    resolved = resolve(registered() if criteria is None else criteria)
    original, network = model_and_network_of(model)
    replica = duplicate(original).double().eval()
    batches = None if data is None else list(as_batches(data, batch_size))
    inputs = _inputs(replica, batches)
    rows = []
    with showing(progress):
        before = _scored(replica, resolved, batches, device)
        output = _output(replica, inputs)
        for gauge in steps(list(GAUGES), "changing weights"):
            other = duplicate(replica)
            changed = regauge(other, gauge, torch.Generator().manual_seed(seed))
            after = _scored(other, resolved, batches, device)
            change = _change(output, _output(other, inputs))
            pairs = [(before[name], after[name]) for name in changed if name in before]
            rows += list(_rows(network.name, gauge, resolved, pairs, change))
    order = {criterion.name: place for place, criterion in enumerate(resolved)}
    rows.sort(key=lambda row: order[row.criterion])
    if criteria is None:
        scored = {row.criterion for row in rows if row.layers}
        rows = [row for row in rows if row.criterion in scored]
    return InvarianceResult(tuple(rows), (network,), level=math.nan)


def _scored(
    model: nn.Module, criteria: Sequence[Criterion], batches: list[Batch] | None, device: Device
) -> dict[str, LayerScores]:
    needs = frozenset[str]().union(*(criterion.needs for criterion in criteria))
    statistics = collect(model, needs, data=batches, device=device, progress=False).layers
    scored = score_network(in_memory(model), criteria, device, statistics)
    return {layer.layer.name: layer for layer in scored}


def _rows(
    network: str,
    gauge: str,
    criteria: Sequence[Criterion],
    pairs: Sequence[tuple[LayerScores, LayerScores]],
    change: float,
) -> Iterator[InvarianceRow]:
    for at, criterion in enumerate(criteria):
        reasons = [one.reasons[at] for one, _ in pairs if one.reasons[at]]
        values = [_agreement(one.values[at], two.values[at]) for one, two in pairs]
        defined = [value for value in values if not math.isnan(value)]
        if not pairs:
            reasons = ["no convolution has a BatchNorm of its own that can make up for it"]
        yield InvarianceRow(
            network=network,
            criterion=criterion.name,
            transformation=gauge,
            layers=len(defined),
            spearman=sum(defined) / len(defined) if defined else math.nan,
            lowest=min(defined, default=math.nan),
            invariant=min(defined) >= 1 - _SAME if defined else None,
            output_change=change,
            reason="" if defined else next(iter(reasons), "all scores of each layer are equal"),
        )


def _agreement(before: Tensor, after: Tensor) -> float:
    """Spearman's coefficient; differences of rounding alone are ties."""
    both = torch.stack([before, after]).cpu()
    low, high = both.aminmax(dim=1, keepdim=True)
    both = ((both - low) / (high - low) / _EQUAL).round()
    return float(spearman(both)[0, 1])


def _inputs(model: nn.Module, batches: list[Batch] | None) -> list[Tensor]:
    """What to run the model on: images of the data, or normal values of two usual sizes."""
    if batches:
        return [batches[0][0][:2].double().cpu()]
    conv = next((each for each in model.modules() if isinstance(each, nn.Conv2d)), None)
    if conv is None:
        return []
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, conv.in_channels, side, side, generator=generator, dtype=torch.float64)
        for side in (32, 224)
    ]


@torch.no_grad()
def _output(model: nn.Module, inputs: list[Tensor]) -> Tensor | None:
    """The output for the first input that the model takes."""
    for images in inputs:
        try:
            output = model(images)
        except (RuntimeError, TypeError, ValueError, IndexError, TracingError):
            continue
        if isinstance(output, Tensor) and bool(output.isfinite().all()):
            return output
    return None


def _change(before: Tensor | None, after: Tensor | None) -> float:
    if before is None or after is None:
        return math.nan
    return float((after - before).abs().max() / before.abs().max().clamp(min=1e-300))
