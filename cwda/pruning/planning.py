"""From a model and scores to a plan that can be applied: ties, minima and budgets respected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cwda.arguments import choose, require_count
from cwda.choices import Measure, Strategy
from cwda.coupling.couple import as_coupling
from cwda.coupling.coupling import Coupling
from cwda.coupling.sharing import shared
from cwda.errors import SelectionError
from cwda.loading.sources import model_of
from cwda.models.batches import Data
from cwda.progress import showing
from cwda.pruning.finite import require_finite
from cwda.pruning.plan import Plan
from cwda.pruning.ranking import COMBINE, Ranking
from cwda.pruning.selection import (
    CriterionScores,
    check_request,
    criterion_scores,
    finite_rows,
)
from cwda.pruning.stability import share_changed, warn_of_change
from cwda.scoring.registry import Criterion, resolve
from cwda.scoring.statistics.collected import Collected
from cwda.tracing.cost import Example
from cwda.typing import Device

__all__ = ["make_plan"]

Scores = Mapping[str, Tensor | npt.NDArray[Any]]


def make_plan(
    model: nn.Module | str | Path,
    criterion: str | Criterion | Scores,
    ratio: float,
    example: Example | Coupling,
    *,
    strategy: Strategy = "layerwise",
    measure: Measure = "filters",
    normalise: str | None = None,
    combine: str = "mean",
    minimum: int = 1,
    label: str = "scores",
    data: Data | Collected | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> Plan:
    """Plan which filters of a model to prune, tied filters together.

    Parameters
    ----------
    model : nn.Module, str or Path
        What to prune: a module, which stays as it is, or a name or file that
        `cwda.load_model` reads.
    criterion : str, Criterion or dict of str to array
        A name in `cwda.criteria()`, a criterion, or scores of the filters of each layer by the
        layer's path: what has the lowest score goes first. Layers left out are not pruned.
    ratio : float
        Share to prune, between 0 and 1.
    example : Tensor, sequence of int, or Coupling
        An input of the model or its shape, or what `couple(model, example)` gave.
    strategy : {"layerwise", "global"}
        Layer-wise every layer loses the same share, and a layer with tied filters at most
        that; global is one ranking of all.
    measure : {"filters", "parameters", "flops"}
        What `ratio` is a share of. Of filters the whole part is taken; of parameters and
        multiply-adds the network loses `ratio` or a little more, layer-wise by the least
        common share of filters that reaches it. Costs are counted anew for every candidate.
    normalise : {None, "mean", "zscore"}
        Scores as they are, divided by the mean of the layer's absolute scores, or minus the mean
        and divided by the standard deviation; before scores are combined and ranked.
    combine : {"mean", "sum", "max"}
        How the scores of tied filters become one.
    minimum : int
        Filters that every layer keeps, 0 or more. Layers spared by it are in `Plan.flagged`.
    label : str
        What the plan calls the criterion where scores are given.
    data, batch_size
        What a criterion that needs activations or gradients runs the model on.
    device : str or torch.device
        Where a criterion computes.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    Plan
        With the share achieved of filters, parameters and multiply-adds. It stays below the
        ratio where ties, minima and fixed filters leave no more to prune.

    Raises
    ------
    SelectionError
        If the request is impossible, or scores do not fit the layers.
    CriterionError, TracingError
        If the criterion is unknown, or the model cannot be traced.
    WeightsError
        If weights are NaN or infinite.

    Examples
    --------
    >>> from cwda.models import cifar_resnet, initialise
    >>> from cwda.pruning import make_plan
    >>> model = cifar_resnet(20)
    >>> initialise(model, seed=0)
    >>> plan = make_plan(model, "l2", 0.5, (1, 3, 32, 32), measure="flops")
    >>> round(plan.achieved, 3), len(plan.pruned["layer1.0.conv1"])
    (0.525, 5)
    """
    check_request(ratio, strategy, normalise)
    _check_options(measure, combine, minimum)
    model = model_of(model)
    require_finite(model)
    with showing(progress):
        coupling = as_coupling(model, example)
        scored = _scores(
            model, coupling, criterion, label, data=data, batch_size=batch_size, device=device
        )
    rows, unscaled = finite_rows(scored.rows, normalise)
    usable = _usable(coupling, rows)
    skipped = _skipped(coupling, usable, rows, {**scored.reasons, **unscaled})
    filters = {name: rows for name, rows in coupling.filters.items() if name not in skipped}
    if not filters:
        reason = next(iter(skipped.values()), "it has no convolutions")
        raise SelectionError(f"no filter of {coupling.network} can be pruned: {reason}")
    ranking = Ranking(rows, filters, coupling.n_channels, usable, combine)
    choice = ranking.choose(strategy, ratio, minimum, _share(coupling, measure))
    pruned = ranking.filters(choice.taken)
    taken = sum(map(len, pruned.values())) / sum(map(len, filters.values()))

    def select(again: Mapping[str, Tensor]) -> Mapping[str, tuple[int, ...]]:
        # As many filters, whatever the ratio is one of: costs would be counted anew.
        finite = finite_rows(again, normalise)[0]
        other = Ranking(finite, filters, coupling.n_channels, usable, combine)
        return other.filters(other.choose(strategy, taken, minimum).taken)

    changed = share_changed(scored.redraws, select, taken)
    warn_of_change(scored.criterion, changed, scored.images)
    return Plan(
        network=coupling.network,
        criterion=scored.criterion,
        strategy=strategy,
        normalise=normalise,
        ratio=float(ratio),
        n_filters={name: len(channels) for name, channels in filters.items()},
        pruned=pruned,
        skipped=skipped,
        measure=measure,
        combine=combine,
        minimum=int(minimum),
        flagged=choice.spared,
        before=coupling.cost,
        after=coupling.without(ranking.mark(choice.taken)),
        share_changed=changed,
    )


def _scores(
    model: nn.Module,
    coupling: Coupling,
    criterion: str | Criterion | Scores,
    label: str,
    *,
    data: Data | Collected | None,
    batch_size: int,
    device: Device,
) -> CriterionScores:
    """The scores by layer, and why a layer has none."""
    if isinstance(criterion, Mapping):
        return CriterionScores(label, _given(criterion, coupling), {})
    if not isinstance(criterion, str | Criterion):
        raise SelectionError(
            "a criterion is a name, or scores by layer such as {'conv1': [...]}, not an object of "
            f"type {type(criterion).__name__}"
        )
    (resolved,) = resolve(criterion)
    _, scored = criterion_scores(model, resolved, data=data, batch_size=batch_size, device=device)
    redraws = scored.redraws
    if redraws is not None:
        pairs = [(shared(model, first), shared(model, second)) for first, second in redraws.pairs]
        redraws = replace(redraws, pairs=pairs)
    return CriterionScores(
        scored.criterion, shared(model, scored.rows), shared(model, scored.reasons), redraws
    )


def _skipped(
    coupling: Coupling,
    usable: npt.NDArray[np.bool_],
    scored: Mapping[str, Any],
    reasons: Mapping[str, str],
) -> dict[str, str]:
    """The layers of which nothing can be pruned, with the reason."""
    skipped = {}
    for layer, channels in coupling.filters.items():
        if layer not in scored:
            skipped[layer] = reasons.get(layer, "no scores")
        elif not usable[channels].any():
            skipped[layer] = coupling.reason(layer) or "tied to a layer without scores"
    other = "the forward pass shows no convolution of this name"
    for layer in sorted({*scored, *reasons} - {*coupling.filters}):
        skipped[layer] = coupling.unfollowed.get(layer, other)
    return skipped


def _share(coupling: Coupling, measure: Measure) -> Callable[[npt.NDArray[np.bool_]], float] | None:
    if measure == "filters":
        return None
    return lambda marks: coupling.cost.saved(coupling.without(marks))[measure]


def _check_options(measure: str, combine: str, minimum: int) -> None:
    choose([measure], get_args(Measure), "measure", SelectionError)
    choose([combine], COMBINE, "way to combine", SelectionError)
    require_count(minimum, 0, "minimum, the number of filters that stay,", SelectionError)


def _given(scores: Scores, coupling: Coupling) -> dict[str, Tensor]:
    """Scores from outside, in float64."""
    filters = coupling.filters
    given = {}
    for name, values in scores.items():
        if name not in filters:
            raise SelectionError(f"{coupling.network} has no convolution {name!r} to score")
        if not isinstance(values, Tensor):
            values = torch.from_numpy(np.array(values, dtype=np.float64))
        row = values.detach().to("cpu", torch.float64)
        if row.shape != filters[name].shape:
            raise SelectionError(
                f"{name} has {len(filters[name])} filters, but scores of shape {tuple(row.shape)}"
            )
        given[name] = row
    return given


def _usable(coupling: Coupling, rows: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
    """The channels that can go: not fixed, and scored in every layer they have filters in."""
    usable = np.ones(coupling.n_channels, dtype=bool)
    usable[list(coupling.fixed)] = False
    for layer, channels in coupling.filters.items():
        if layer not in rows:
            usable[channels] = False
    return usable
