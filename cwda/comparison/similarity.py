"""`compare`: the rank correlations that theory predicts, compared with those that layers show.

A prediction is an interval [low, high] for the coefficient of n filters. On Fisher's scale,
A(r) = atanh(r), its middle and half-width give

    z = (A(measured) - (A(low) + A(high)) / 2) / sd,   sd = (A(high) - A(low)) / (2 q),

q = Phi^-1((1 + level) / 2), so that |z| <= q just when the interval holds the measured
coefficient. Coefficients of 1 count as half a step of Spearman's coefficient less.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
from scipy import special

from cwda.answers import Answer
from cwda.comparison.results import ComparedCorrelation, Comparison
from cwda.comparison.transition import is_transition
from cwda.errors import CwdaError
from cwda.numerics.combination import holm
from cwda.scoring.similarity import SimilarityResult, SimilarityRow
from cwda.theory.criteria import CRITERIA
from cwda.theory.prediction import PredictedCorrelation, PredictedSimilarity

__all__ = ["compare"]

Result = TypeVar("Result")
Row = TypeVar("Row", SimilarityRow, PredictedCorrelation)

#: A row of either side.
Either: TypeAlias = SimilarityRow | PredictedCorrelation
#: Network, layer, and the two criteria in alphabetical order.
Place: TypeAlias = tuple[str, str, str, str]
#: Method and rung.
Model: TypeAlias = tuple[str, str]

# Narrower on Fisher's scale than rounding can tell from nothing.
_NO_WIDTH = 1e-9


def compare(
    measured: SimilarityResult | Iterable[SimilarityResult],
    predicted: PredictedSimilarity | Iterable[PredictedSimilarity],
) -> Comparison:
    """Compare predicted rank correlations with measured ones.

    Parameters
    ----------
    measured : SimilarityResult or several
        From `cwda.similarity`; one per network.
    predicted : PredictedSimilarity or several
        From `cwda.theory.predict` and `cwda.theory.simulate`, for the same networks. Networks
        are matched by name, and pairs of criteria whatever their order.

    Returns
    -------
    Comparison
        ``.table`` has one row per network, layer, pair of criteria, method and rung. What only
        one side knows keeps its rows, with the reason. A layer *departs* if its z is
        significant at 1 - level after Holm's adjustment over the layers of one network,
        method, rung and pair.

    Raises
    ------
    CwdaError
        If the two sides are about different networks or layers, or one side says a thing
        twice.

    References
    ----------
    Huang et al. (2021), section 3 and figure 4.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> sim = cwda.similarity(net, ["l1", "l2"])
    >>> comparison = compare(sim, cwda.theory.predict(net, rungs=["block", "scale"]))
    >>> summary = comparison.summary().query("criterion_a == 'l1' and criterion_b == 'l2'")
    >>> summary[["rung", "layers", "mae"]].round(3).to_dict("list")
    {'rung': ['block', 'scale'], 'layers': [19, 19], 'mae': [0.051, 0.015]}
    """
    similarities = _several(measured, SimilarityResult, "cwda.similarity")
    forecasts = _several(predicted, PredictedSimilarity, "cwda.theory.predict")
    levels = sorted({forecast.level for forecast in forecasts})
    if len(levels) > 1:
        raise CwdaError(f"predictions must have one level, not {levels}")
    left: dict[Place, SimilarityRow] = {}
    for similarity in similarities:
        _add(left, similarity.rows, "measured")
    right: dict[Model, dict[Place, PredictedCorrelation]] = {}
    for forecast in forecasts:
        for rung, predictions in itertools.groupby(forecast.rows, lambda row: row.rung):
            _add(right.setdefault((forecast.method, rung), {}), predictions, "predicted")
    _require_same_networks(left, right.values())
    transitions = {
        (result.networks[0].name, layer.name)
        for result in similarities
        for layer in result.networks[0].layers
        if is_transition(layer)
    }
    rows = [
        _row(about, left.get(place), by_place.get(place), model, levels[0], transitions)
        for place, about in _places(left, *right.values()).items()
        for model, by_place in right.items()
    ]
    networks = {result.networks[0].name: result.networks[0] for result in similarities}
    return Comparison(_tested(rows, levels[0]), tuple(networks.values()), level=levels[0])


def _several(given: Result | Iterable[Result], kind: type[Result], maker: str) -> list[Result]:
    results: Any = [given] if isinstance(given, kind) else given
    one = not isinstance(results, Iterable) or isinstance(results, str | np.ndarray | Answer)
    results = [results] if one else list(results)
    wrong = [type(result).__name__ for result in results if not isinstance(result, kind)]
    if wrong or not results:
        raise CwdaError(
            f"compare(measured, predicted) needs a {kind.__name__}, such as {maker}(...) "
            f"gives, not {wrong[0] if wrong else 'nothing'}"
        )
    return list(results)


def _place(row: Either | ComparedCorrelation) -> Place:
    first, second = sorted((row.criterion_a, row.criterion_b))
    return row.network, row.layer, first, second


def _add(by_place: dict[Place, Row], rows: Iterable[Row], side: str) -> None:
    """Put rows at their places, each of which holds one."""
    for row in rows:
        network, layer, first, second = place = _place(row)
        if place in by_place:
            raise CwdaError(
                f"{first}-{second} in layer {layer!r} of {network!r} is {side} twice; "
                "give each network and prediction once"
            )
        by_place[place] = row


def _require_same_networks(
    left: Mapping[Place, SimilarityRow], right: Iterable[Mapping[Place, PredictedCorrelation]]
) -> None:
    predicted = {place[:2]: row for by_place in right for place, row in by_place.items()}
    one, other = ({network for network, *_ in side} for side in (left, predicted))
    if one != other:
        raise CwdaError(
            f"measured is {_names(one)}, but predicted {_names(other)}; compare the same networks"
        )
    for (network, layer, *_), row in left.items():
        twin = predicted.get((network, layer)) or row
        for size, other_size, what in (
            (row.n_filters, twin.n_filters, "filters"),
            (row.dim, twin.dim, "weights per filter"),
        ):
            if size != other_size:
                raise CwdaError(
                    f"layer {layer!r} of {network!r} has {size} {what} where measured, "
                    f"{other_size} where predicted: not the same network"
                )


def _names(networks: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(networks)) or "nothing"


def _places(*sides: Mapping[Place, Either]) -> dict[Place, Either]:
    """Every place and a row there; the layers of one network together, the only predicted last."""
    rows: dict[Place, Either] = {}
    for side in sides:
        for place, row in side.items():
            rows.setdefault(place, row)
    order = {network: i for i, network in enumerate(dict.fromkeys(place[0] for place in rows))}
    return dict(sorted(rows.items(), key=lambda item: order[item[0][0]]))


def _row(
    about: Either,
    measured: SimilarityRow | None,
    predicted: PredictedCorrelation | None,
    model: Model,
    level: float,
    transitions: Set[tuple[str, str]],
) -> ComparedCorrelation:
    """One row, still without what is adjusted over the layers."""
    spearman = measured.spearman if measured else math.nan
    low, high = (predicted.low, predicted.high) if predicted else (math.nan, math.nan)
    difference = (predicted.spearman if predicted else math.nan) - spearman
    z = _z(spearman, low, high, about.n_filters, level)
    method, rung = model
    return ComparedCorrelation(
        network=about.network,
        layer=about.layer,
        criterion_a=about.criterion_a,
        criterion_b=about.criterion_b,
        method=method,
        rung=rung,
        measured=spearman,
        measured_low=measured.spearman_low if measured else math.nan,
        measured_high=measured.spearman_high if measured else math.nan,
        predicted=predicted.spearman if predicted else math.nan,
        low=low,
        high=high,
        bound=predicted.bound if predicted else math.nan,
        difference=difference,
        inside=None if math.isnan(difference) else low <= spearman <= high,
        z=z,
        pvalue=2 * float(special.ndtr(-abs(z))),
        pvalue_holm=math.nan,
        departs=None,
        n_filters=about.n_filters,
        dim=about.dim,
        transition=(about.network, about.layer) in transitions,
        reason=_reason(about, measured, predicted, z),
    )


def _z(measured: float, low: float, high: float, n: int, level: float) -> float:
    """NaN where a coefficient is undefined or the interval too narrow."""
    bound = 1 - 6 / max(n**3 - n, 6)
    centre, bottom, top = np.arctanh(np.clip([measured, low, high], -bound, bound))
    sd = (top - bottom) / (2 * special.ndtri((1 + level) / 2))
    return math.nan if sd < _NO_WIDTH else float((centre - (bottom + top) / 2) / sd)


def _reason(
    about: Either,
    measured: SimilarityRow | None,
    predicted: PredictedCorrelation | None,
    z: float,
) -> str:
    """What is undefined in a row, and why; empty if nothing is."""
    reasons = []
    if measured is None:
        reasons.append("not measured")
    if predicted is None:
        foreign = not {about.criterion_a, about.criterion_b} <= set(CRITERIA)
        covered = f": theory covers {', '.join(CRITERIA)}" if foreign else ""
        reasons.append(f"not predicted{covered}")
    if measured and (math.isnan(measured.spearman) or math.isnan(measured.spearman_low)):
        reasons.append(f"measured: {measured.reason}")
    if predicted and math.isnan(predicted.spearman):
        reasons.append(f"predicted: {predicted.reason}")
    if not reasons and math.isnan(z):
        reasons.append(
            "no z-score: the prediction interval is narrower than a step of the coefficient"
        )
    return "; ".join(reasons)


def _tested(rows: Sequence[ComparedCorrelation], level: float) -> tuple[ComparedCorrelation, ...]:
    """The rows with p-values adjusted over the layers of a network, pair and model."""
    families: dict[tuple[str, ...], list[int]] = {}
    for i, row in enumerate(rows):
        network, _, first, second = _place(row)
        families.setdefault((network, first, second, row.method, row.rung), []).append(i)
    tested = list(rows)
    for places in families.values():
        adjusted = holm([rows[i].pvalue for i in places])
        for i, pvalue in zip(places, adjusted.tolist(), strict=True):
            departs = None if math.isnan(rows[i].z) else pvalue <= 1 - level
            tested[i] = replace(rows[i], pvalue_holm=pvalue, departs=departs)
    return tuple(tested)
