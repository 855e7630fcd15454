"""One ranking over all layers: predicted losses and overlaps beside the measured selection."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from cwda.arguments import require_ratios
from cwda.comparison.global_result import GlobalPruning
from cwda.layers import Network
from cwda.loading.sources import Source, network_of
from cwda.numerics.ranking.lowest import lowest_count
from cwda.progress import steps
from cwda.pruning import Plan, overlap
from cwda.pruning.selection import check_request, plan_of_lowest
from cwda.scoring.catalogue import NORM_BASED
from cwda.scoring.dispersion import measure_dispersion
from cwda.scoring.registry import resolve
from cwda.scoring.scores import LayerScores, score_network
from cwda.theory.global_pruning import (
    DANGER,
    NORMALISATIONS,
    Shares,
    predict_overlap,
    predict_shares,
)
from cwda.theory.model import FittedLayer, fit_or_reason
from cwda.theory.moments import CRITERIA
from cwda.theory.prediction import choose_rungs
from cwda.theory.score_law import ScoreLaw, score_law
from cwda.theory.similarity import log_score_correlation

__all__ = ["global_pruning"]

_COLUMNS = (
    *("network", "layer", "criterion", "rung", "ratio"),
    *("mean", "sd", "mean_measured", "sd_measured"),
    *("share_predicted", "share_low", "share_high", "share_measured"),
    *("emptied", "emptied_predicted", "danger", "n_filters", "dim", "reason"),
)
_OVERLAP_COLUMNS = (
    *("network", "criterion_a", "criterion_b", "rung", "ratio"),
    *("overlap_predicted", "overlap_measured", "reason"),
)


class _Prediction(NamedTuple):
    """One criterion under one rung: the laws of the layers that have one, and their losses."""

    laws: Mapping[str, ScoreLaw]
    shares: Shares

    def of(self, layer: str, place: int) -> dict[str, Any]:
        """What the table says of one layer at the ratio of a place."""
        law, shares, column = self.laws[layer], self.shares, list(self.laws).index(layer)
        emptied = float(shares.emptied[place, column])
        return {
            "mean": law.mean,
            "sd": law.sd,
            "share_predicted": float(shares.share[place, column]),
            "share_low": float(shares.low[place, column]),
            "share_high": float(shares.high[place, column]),
            "emptied_predicted": emptied,
            "danger": emptied >= DANGER,
        }


class _Inputs(NamedTuple):
    """What predictions and rows are made of."""

    network: Network
    ratios: tuple[float, ...]
    rungs: tuple[str, ...]
    normalise: str | None
    measured: Mapping[tuple[str, str], Mapping[str, Any]]
    fits: Mapping[str, tuple[FittedLayer | None, str]]
    selections: Mapping[tuple[str, float], Plan]


def global_pruning(
    source: Source,
    criteria: Iterable[str] = NORM_BASED,
    ratios: float | Iterable[float] = (0.1, 0.3, 0.5, 0.7),
    normalise: str | None = None,
    rungs: Iterable[str] = ("block", "scale"),
    device: torch.device | str = "auto",
) -> GlobalPruning:
    """Predict what global pruning takes from each layer, and measure it.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to rank: a name, file, Module, layer or array N x k^2 x N'.
    criteria : iterable of str
        Names of `cwda.pruning.criteria()`; l1, l2, gm and fermat have a theory.
    ratios : float or iterable of float
        Shares of all filters that go, between 0 and 1.
    normalise : {None, "mean", "zscore"}
        Scale of the scores of a layer before the one ranking; see `cwda.pruning.select`.
    rungs : iterable of str
        Models to predict by: block is CWDA, scale adds filters of different scale.
    device : torch.device or str
        Where to compute, in float64.

    Returns
    -------
    GlobalPruning

    Raises
    ------
    CriterionError, SelectionError
        If a criterion is unknown (the message names the nearest), or a ratio or the
        normalisation impossible.
    CwdaError
        If a rung is unknown.

    References
    ----------
    Huang et al. (2021): l1 and l2 differ in global pruning.

    Examples
    --------
    A layer with small dim goes first under l1, one with a small norm under l2:

    >>> import torch
    >>> from cwda.layers import ConvLayer, Provenance
    >>> rng = torch.Generator().manual_seed(0)
    >>> narrow = ConvLayer("narrow", torch.randn(32, 16, 3, 3, generator=rng))
    >>> wide = ConvLayer("wide", 0.35 * torch.randn(32, 64, 3, 3, generator=rng))
    >>> net = Network("two layers", (narrow, wide), Provenance("", "array"))
    >>> found = global_pruning(net, ["l1", "l2"], [0.5], rungs=["block"])
    >>> found.table[["layer", "criterion", "share_predicted", "share_measured"]].round(2)
        layer criterion  share_predicted  share_measured
    0  narrow        l1              1.0             1.0
    1    wide        l1              0.0             0.0
    2  narrow        l2              0.0             0.0
    3    wide        l2              1.0             1.0
    >>> found.overlap[["overlap_predicted", "overlap_measured"]].round(2).values.tolist()
    [[0.0, 0.0]]
    """
    import pandas as pd

    ratios = require_ratios(ratios)
    check_request(ratios[0], "global", normalise)
    rungs = tuple(choose_rungs(rungs))
    network = network_of(source)
    chosen = resolve(criteria)
    names = [each.name for each in chosen]
    scored = list(score_network(network, chosen, device, {}))
    measured = {
        (each.layer.name, row["criterion"]): row
        for each in scored
        for row in measure_dispersion(each.values, each.criteria, each.reasons)
    }
    inputs = _Inputs(
        network,
        ratios,
        rungs,
        normalise,
        measured,
        {
            layer.name: fit_or_reason(layer, device=device)
            for layer in steps(network.layers, "fitting")
        },
        {
            (name, ratio): _selection(network, scored, place, ratio, normalise)
            for place, name in enumerate(names)
            for ratio in ratios
        },
    )
    keys = list(itertools.product(names, rungs))
    predicted = {key: _predict(inputs, *key) for key in steps(keys, "predicting")}
    rows = itertools.chain.from_iterable(_rows(inputs, *key, predicted[key]) for key in predicted)
    overlaps = itertools.chain.from_iterable(
        _overlaps(inputs, a, b, rung, predicted[a, rung], predicted[b, rung])
        for a, b in itertools.combinations(names, 2)
        for rung in rungs
    )
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return GlobalPruning(
        table.astype({"emptied": "boolean", "danger": "boolean"}),
        pd.DataFrame(overlaps, columns=list(_OVERLAP_COLUMNS)),
        network.name,
        normalise,
    )


def _selection(
    network: Network, scored: Sequence[LayerScores], place: int, ratio: float, normalise: str | None
) -> Plan:
    """What `cwda.pruning.select` takes globally, from scores that are there already."""
    rows = {each.layer.name: each.values[place] for each in scored if not each.reasons[place]}
    reasons = {each.layer.name: each.reasons[place] for each in scored if each.reasons[place]}
    name = scored[0].criteria[place] if scored else ""
    return plan_of_lowest(network, name, rows, reasons, ratio, "global", normalise)


def _without_theory(criterion: str, normalise: str | None) -> str:
    """Why no layer has a prediction; empty if some may."""
    if criterion not in CRITERIA:
        return f"no theory of {criterion}: its selection is measured only"
    if normalise not in NORMALISATIONS:
        return f"no theory of scores normalised by {normalise!r}"
    return ""


def _predict(inputs: _Inputs, criterion: str, rung: str) -> _Prediction | None:
    if _without_theory(criterion, inputs.normalise):
        return None
    laws: dict[str, ScoreLaw] = {}
    sizes: list[int] = []
    for name, (fitted, _) in inputs.fits.items():
        if fitted and name in _any(inputs, criterion).n_filters:
            laws[name] = score_law(fitted, criterion, rung)
            sizes.append(fitted.n_filters)
    if not laws:
        return None
    pruned = [lowest_count(sum(sizes), ratio) for ratio in inputs.ratios]
    shares = predict_shares(list(laws.values()), sizes, pruned, normalise=inputs.normalise)
    return _Prediction(laws, shares)


def _any(inputs: _Inputs, criterion: str) -> Plan:
    """A selection by the criterion: all rank the same layers."""
    return inputs.selections[criterion, inputs.ratios[0]]


def _rows(
    inputs: _Inputs, criterion: str, rung: str, predicted: _Prediction | None
) -> list[dict[str, Any]]:
    untold = _without_theory(criterion, inputs.normalise)
    rows = []
    for layer in inputs.network:
        measured = inputs.measured[layer.name, criterion]
        problem = inputs.fits[layer.name][1]
        for place, ratio in enumerate(inputs.ratios):
            selection = inputs.selections[criterion, ratio]
            row: dict[str, Any] = {
                "network": inputs.network.name,
                "layer": layer.name,
                "criterion": criterion,
                "rung": rung,
                "ratio": ratio,
                "mean_measured": measured["mean"],
                "sd_measured": measured["sd"],
                "n_filters": layer.n_filters,
                "dim": layer.dim,
            }
            reasons = [untold or (problem and f"no prediction: {problem}")]
            if layer.name in selection.pruned:
                row["share_measured"] = len(selection.pruned[layer.name]) / layer.n_filters
                row["emptied"] = layer.name in selection.emptied
            else:
                reasons.append(f"not ranked: {selection.skipped[layer.name]}")
            if predicted and layer.name in predicted.laws:
                row |= predicted.of(layer.name, place)
            rows.append({**row, "reason": "; ".join(filter(None, reasons))})
    return rows


def _overlaps(
    inputs: _Inputs,
    a: str,
    b: str,
    rung: str,
    first: _Prediction | None,
    second: _Prediction | None,
) -> list[dict[str, Any]]:
    reasons = dict.fromkeys(_without_theory(each, inputs.normalise) for each in (a, b))
    reason = "; ".join(filter(None, reasons))
    found: Sequence[float] = [float("nan")] * len(inputs.ratios)
    if first and second and list(first.laws) == list(second.laws):
        found = _predicted_overlap(inputs, a, b, rung, first, second)
    elif not reason:
        reason = (
            "predictions cover different layers"
            if first and second
            else "no layer has a prediction"
        )
    return [
        {
            "network": inputs.network.name,
            "criterion_a": a,
            "criterion_b": b,
            "rung": rung,
            "ratio": ratio,
            "overlap_predicted": value,
            "overlap_measured": overlap(inputs.selections[a, ratio], inputs.selections[b, ratio]),
            "reason": reason,
        }
        for ratio, value in zip(inputs.ratios, found, strict=True)
    ]


def _predicted_overlap(
    inputs: _Inputs, a: str, b: str, rung: str, first: _Prediction, second: _Prediction
) -> list[float]:
    fits = [fitted for name in first.laws if (fitted := inputs.fits[name][0])]
    at = CRITERIA.index(a), CRITERIA.index(b)
    rho = [float(log_score_correlation(fitted, rung)[at]) for fitted in fits]
    sizes = [fitted.n_filters for fitted in fits]
    jaccard: list[float] = predict_overlap(
        first.shares.share, second.shares.share, rho, sizes
    ).tolist()
    return jaccard
