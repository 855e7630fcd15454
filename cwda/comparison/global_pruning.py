"""One ranking over all layers: predicted losses and overlaps, and the measured selection."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cwda.arguments import require_between, require_ratios
from cwda.comparison.global_result import CriteriaOverlap, GlobalPruning, LayerShare
from cwda.layers import Network
from cwda.loading.source import Source
from cwda.models.batches import Data
from cwda.numerics.ranking.overlap import lowest_count
from cwda.progress import showing, steps
from cwda.pruning import Plan, overlap
from cwda.pruning.selection import check_request, plan_of_lowest, scores_by_criterion
from cwda.scoring.catalogue import NORM_BASED
from cwda.scoring.dispersion import measure_dispersion
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criteria, resolve
from cwda.scoring.scores import LayerScores, score_network
from cwda.scoring.statistics.collected import Collected
from cwda.theory.closed_form import log_score_correlation
from cwda.theory.criteria import CRITERIA
from cwda.theory.model import FittedLayer, fit_or_reason
from cwda.theory.rungs import BLOCK, FILTER_LADDER, SCALE, Rung, Rungs, choose_rungs, without_scores
from cwda.theory.score_law import ScoreLaw, score_law
from cwda.theory.shares import DANGER, NORMALISATIONS, Shares, predict_overlap, predict_shares
from cwda.typing import Device

__all__ = ["global_pruning"]


class _Prediction(NamedTuple):
    """One criterion under one rung: the layers that have a law, and their losses."""

    layers: Mapping[str, FittedLayer]
    laws: Sequence[ScoreLaw]
    shares: Shares

    def of(self, layer: str, place: int) -> dict[str, Any]:
        """What the table says of one layer at the ratio of a place."""
        column = list(self.layers).index(layer)
        law, shares = self.laws[column], self.shares
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
    level: float
    normalise: str | None
    measured: Mapping[tuple[str, str], Mapping[str, Any]]
    fits: Mapping[str, tuple[FittedLayer | None, str]]
    selections: Mapping[tuple[str, float], Plan]


def global_pruning(
    source: Source,
    criteria: Criteria = NORM_BASED,
    *,
    ratios: float | Iterable[float] = (0.1, 0.3, 0.5, 0.7),
    normalise: str | None = None,
    rungs: Rungs | None = (BLOCK, SCALE),
    level: float = 0.95,
    data: Data | Collected | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> GlobalPruning:
    """Predict what global pruning takes from each layer, and measure it.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to rank: a name, file, Module, layer or array N x k^2 x N'; criteria beyond the
        weights need a name, file or Module that runs.
    criteria : str, Criterion or iterable of these
        Names in `cwda.criteria()`, or criteria; l1, l2, gm and fermat have a theory.
    ratios : float or iterable of float
        Shares of all filters that go, between 0 and 1.
    normalise : {None, "mean", "zscore"}
        Scale of the scores of a layer before the one ranking; see `cwda.pruning.select`.
    rungs : str, Rung or several
        Models to predict by: block is CWDA, scale adds filters of different scale. None is all
        models of the filters: isotropic, diagonal, block, scale.
    level : float
        Confidence level of the intervals of the shares.
    data, batch_size
        What criteria that need activations or gradients run a Module on; see
        `cwda.similarity`.
    device : str or torch.device
        Where to compute, in float64.
    progress : bool
        Show a bar while it takes long.

    Returns
    -------
    GlobalPruning

    Raises
    ------
    CriterionError, SelectionError
        If a criterion is unknown (the message names the nearest), or a ratio or the
        normalisation impossible.
    CwdaError
        If a rung is unknown, or the level or the device impossible.

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
    >>> answer = global_pruning(net, ["l1", "l2"], ratios=0.5, rungs="block")
    >>> answer.table[["layer", "criterion", "share_predicted", "share_measured"]].round(2)
        layer criterion  share_predicted  share_measured
    0  narrow        l1              1.0             1.0
    1    wide        l1              0.0             0.0
    2  narrow        l2              0.0             0.0
    3    wide        l2              1.0             1.0
    >>> answer.overlap_table[["overlap_predicted", "overlap_measured"]].round(2).values.tolist()
    [[0.0, 0.0]]
    """
    ratios = require_ratios(ratios)
    check_request(ratios[0], "global", normalise)
    require_between(level, 0, 1, "level")
    ladder = choose_rungs(rungs, FILTER_LADDER)
    resolved = resolve(criteria)
    names = [criterion.name for criterion in resolved]
    with showing(progress):
        network, collected = prepare(
            source, resolved, data=data, batch_size=batch_size, device=device
        )
        scored = list(score_network(network, resolved, device, collected.layers))
        by_criterion = scores_by_criterion(resolved, scored, collected, device)
        fits = {
            layer.name: fit_or_reason(layer, device=device)
            for layer in steps(network.layers, "fitting")
        }
        inputs = _Inputs(
            network,
            ratios,
            level,
            normalise,
            _measured(scored),
            fits,
            {
                (one.criterion, ratio): plan_of_lowest(network, one, ratio, "global", normalise)
                for one in steps(by_criterion, "ranking")
                for ratio in ratios
            },
        )
        known = {rung: _as_known(inputs, rung) for rung in ladder}
        predicted = {
            (name, rung): _predict(inputs, name, known[rung])
            for name, rung in steps([*itertools.product(names, ladder)], "predicting")
        }
    rows = itertools.chain.from_iterable(
        _rows(inputs, name, rung, predicted[name, rung]) for name in names for rung in ladder
    )
    overlaps = itertools.chain.from_iterable(
        _overlaps(inputs, a, b, rung, predicted[a, rung], predicted[b, rung])
        for a, b in itertools.combinations(names, 2)
        for rung in ladder
    )
    return GlobalPruning(
        tuple(rows),
        (network,),
        level=level,
        overlaps=tuple(overlaps),
        normalise=normalise,
        images=collected.images,
    )


def _measured(scored: Iterable[LayerScores]) -> dict[tuple[str, str], dict[str, Any]]:
    """Dispersion of the scores, by layer and criterion."""
    return {
        (layer_scores.layer.name, row["criterion"]): row
        for layer_scores in scored
        for row in measure_dispersion(
            layer_scores.values, layer_scores.criteria, layer_scores.reasons
        )
    }


def _as_known(inputs: _Inputs, rung: Rung) -> dict[str, FittedLayer]:
    """The layers that can be fitted, as one rung knows them."""
    return {
        name: without_scores(rung(fitted)) for name, (fitted, _) in inputs.fits.items() if fitted
    }


def _without_theory(criterion: str, normalise: str | None) -> str:
    """Why no layer has a prediction; empty if some may."""
    if criterion not in CRITERIA:
        return f"no theory of {criterion}: its selection is measured only"
    if normalise not in NORMALISATIONS:
        return f"no theory of scores normalised by {normalise!r}"
    return ""


def _predict(
    inputs: _Inputs, criterion: str, layers: Mapping[str, FittedLayer]
) -> _Prediction | None:
    if _without_theory(criterion, inputs.normalise):
        return None
    ranked = inputs.selections[criterion, inputs.ratios[0]].n_filters  # the same at all ratios
    layers = {name: fitted for name, fitted in layers.items() if name in ranked}
    if not layers:
        return None
    laws = [score_law(fitted, criterion) for fitted in layers.values()]
    sizes = _sizes(layers)
    pruned = [lowest_count(sum(sizes), ratio) for ratio in inputs.ratios]
    shares = predict_shares(laws, sizes, pruned, normalise=inputs.normalise, level=inputs.level)
    return _Prediction(layers, laws, shares)


def _sizes(layers: Mapping[str, FittedLayer]) -> list[int]:
    return [fitted.n_filters for fitted in layers.values()]


def _rows(
    inputs: _Inputs, criterion: str, rung: Rung, predicted: _Prediction | None
) -> list[LayerShare]:
    without_theory = _without_theory(criterion, inputs.normalise)
    rows = []
    for layer in inputs.network:
        measured = inputs.measured[layer.name, criterion]
        problem = inputs.fits[layer.name][1]
        for place, ratio in enumerate(inputs.ratios):
            selection = inputs.selections[criterion, ratio]
            reasons = [without_theory or (problem and f"no prediction: {problem}")]
            cells: dict[str, Any] = {}
            if layer.name in selection.pruned:
                cells["share_measured"] = len(selection.pruned[layer.name]) / layer.n_filters
                cells["emptied"] = layer.name in selection.emptied
                changed = selection.share_changed
                cells["share_changed"] = math.nan if changed is None else changed
            else:
                reasons.append(f"not ranked: {selection.skipped[layer.name]}")
            if predicted and layer.name in predicted.layers:
                cells |= predicted.of(layer.name, place)
            rows.append(
                LayerShare(
                    inputs.network.name,
                    layer.name,
                    criterion,
                    rung.name,
                    ratio,
                    mean_measured=measured["mean"],
                    sd_measured=measured["sd"],
                    n_filters=layer.n_filters,
                    dim=layer.dim,
                    reason="; ".join(filter(None, reasons)),
                    **cells,
                )
            )
    return rows


def _overlaps(
    inputs: _Inputs,
    a: str,
    b: str,
    rung: Rung,
    first: _Prediction | None,
    second: _Prediction | None,
) -> list[CriteriaOverlap]:
    reasons = dict.fromkeys(_without_theory(name, inputs.normalise) for name in (a, b))
    reason = "; ".join(filter(None, reasons))
    predicted: Sequence[float] = [float("nan")] * len(inputs.ratios)
    if first and second and list(first.layers) == list(second.layers):
        at = CRITERIA.index(a), CRITERIA.index(b)
        rho = [float(log_score_correlation(fitted)[at]) for fitted in first.layers.values()]
        shares = first.shares.share, second.shares.share
        predicted = predict_overlap(*shares, rho, _sizes(first.layers)).tolist()
    elif not reason:
        reason = (
            "predictions cover different layers"
            if first and second
            else "no layer has a prediction"
        )
    return [
        CriteriaOverlap(
            inputs.network.name,
            a,
            b,
            rung.name,
            ratio,
            overlap_predicted=value,
            overlap_measured=overlap(inputs.selections[a, ratio], inputs.selections[b, ratio]),
            reason=reason,
        )
        for ratio, value in zip(inputs.ratios, predicted, strict=True)
    ]
