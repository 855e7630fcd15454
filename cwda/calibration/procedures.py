"""The tests and intervals under study, each by its public function on a simulated layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from cwda.calibration.designs import NULL_DESIGNS, STRUCTURES, ByName, alternatives
from cwda.calibration.laws import SimulatedLaw, Size
from cwda.calibration.procedure import ALPHA, Domain, Draw, Outcomes, Procedure, Truth, generator
from cwda.conditions import (
    Condition,
    gaussianity,
    homogeneity,
    joint_normality,
    mean,
    normality,
)
from cwda.conditions.averaging import SIGNED_SQUARES
from cwda.errors import CwdaError
from cwda.layers import ConvLayer
from cwda.numerics.ranking.ranks import spearman
from cwda.scoring import similarity
from cwda.theory import BLOCK, ISOTROPIC, SCALE, predict, simulate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PROCEDURES"]

#: Filters drawn for the truth about Spearman's coefficient, in parts of this many numbers.
_TRUTH_FILTERS, _TRUTH_NUMBERS = 1 << 16, 1 << 22
#: Layers drawn by `simulate`; the least for level .95 is 39.
_PREDICTION_DRAWS = 99


def _interval(low: float, high: float, truth: float) -> dict[str, bool]:
    if math.isnan(truth) or math.isnan(low):
        return {}
    below, above = low > truth, high < truth
    return {"interval": not (below or above), "lower limit": below, "upper limit": above}


# --- the conditions -----------------------------------------------------------------------


def _condition(condition: Condition) -> Procedure:
    name, calibration = condition.name, condition.calibration
    assert calibration is not None

    def outcomes(draw: Draw, truth: float) -> Outcomes:
        row = draw.checked[name]
        if row.verdict == "not applicable":
            return {}
        return {
            "test": row.pvalue <= ALPHA,
            "holds": row.verdict == "holds",
            "fails": row.verdict == "fails",
            **_interval(row.effect_low, row.effect_high, truth),
        }

    def applies(size: Size) -> bool:
        weight = torch.empty(size.n_filters, size.channels, size.kernel_size)
        layer = ConvLayer("simulated", weight)
        return not (condition.inapplicable and condition.inapplicable(layer))

    return Procedure(
        name,
        (*NULL_DESIGNS, *STRUCTURES, *alternatives(name)),
        outcomes,
        lambda design, size, seed: Truth(design.truth(name, size)),
        lambda design, size: design.is_null(name, size),
        applies,
        Domain(excluded=_excluded(calibration.excluded)),
        Domain(
            fewest_channels=calibration.interval_fewest_channels,
            excluded=_excluded(calibration.interval_excluded),
        ),
        condition=name,
        margin=condition.margin,
        one_sided=condition.averaging is not SIGNED_SQUARES,
    )


def _excluded(departures: Iterable[str]) -> tuple[str, ...]:
    """All inference is over filters that are independent draws."""
    return tuple(dict.fromkeys((*departures, "dependent filters")))


def _filter_means() -> Procedure:
    """The t interval and the two one-sided tests of the mean over all weights of a filter."""

    def outcomes(draw: Draw, truth: float) -> Outcomes:
        numbers = draw.checked[mean.name].details
        covers = _interval(numbers["weight_mean_low"], numbers["weight_mean_high"], truth)
        return {"holds": numbers["weight_mean_tost"] <= ALPHA, **covers}

    return Procedure(
        "mean of filter means",
        (*NULL_DESIGNS, *alternatives(mean.name)[:3]),
        outcomes,
        lambda design, size, seed: Truth(design.weight_mean(size)),
        lambda design, size: design.weight_mean(size) == 0,
        lambda size: True,
        Domain(),
        Domain(),
        condition=mean.name,
        # In units of the SD, like the truth; the margin is in units of the RMS weight.
        margin=mean.margin / math.sqrt(1 - mean.margin**2),
    )


# --- normality ----------------------------------------------------------------------------

_NORMALITY_DESIGNS = ("iid", "cwda", "all but gaussianity", "t5", "gaussianity 0.05")


def _normality(name: str, test: Callable[[Draw], bool | None], **settings: object) -> Procedure:
    """A test of normality, of the first position or channel only: so trials are independent."""
    options: dict[str, object] = {
        "designs": _NORMALITY_DESIGNS,
        "null": lambda design, size: design.is_null(gaussianity.name, size),
        "applies": lambda size: True,
        "domain": Domain(),
        **settings,
    }

    def outcomes(draw: Draw, truth: float) -> Outcomes:
        rejected = test(draw)
        return {} if rejected is None else {"test": rejected}

    return Procedure(
        name=name,
        outcomes=outcomes,
        truth=lambda design, size, seed: Truth(math.nan),
        interval_domain=Domain(descriptive=True),
        **options,  # type: ignore[arg-type]
    )


def _at_first_position(column: str) -> Callable[[Draw], bool]:
    def test(draw: Draw) -> bool:
        table = draw.once("normality", lambda draw: normality(draw.layer, device=draw.device))
        return bool(table[f"{column}_pvalue"].iloc[0] <= ALPHA)

    return test


def _any_by_holm(draw: Draw) -> bool:
    return draw.checked[gaussianity.name].details["positions_rejected_holm"] > 0


def _unit_norm(draw: Draw) -> bool | None:
    try:
        samples = normality(draw.layer, unit_norm=True, device=draw.device)
    except CwdaError:  # not offered for this layer
        return None
    return bool(samples["anderson_darling_pvalue"].iloc[0] <= ALPHA)


def _first_channel(draw: Draw) -> bool:
    return bool(joint_normality(draw.layer, device=draw.device)["pvalue"].iloc[0] <= ALPHA)


def _normality_procedures() -> Iterator[Procedure]:
    yield _normality("Anderson-Darling", _at_first_position("anderson_darling"))
    yield _normality("Shapiro-Wilk", _at_first_position("shapiro_wilk"))
    descriptive = Domain(descriptive=True)
    yield _normality("Jarque-Bera", _at_first_position("jarque_bera"), domain=descriptive)
    yield _normality("K-squared", _at_first_position("k_squared"), domain=descriptive)
    yield _normality("any position by Holm", _any_by_holm, condition=gaussianity.name, at_most=True)
    yield _normality(
        "Anderson-Darling, unit norm",
        _unit_norm,
        designs=("iid", "cwda", *alternatives(homogeneity.name)[:3]),
        null=lambda design, size: True,
    )
    yield _normality(
        "Henze-Zirkler",
        _first_channel,
        applies=lambda size: 1 < size.kernel_size < size.n_filters,
        domain=Domain(fewest_filters=32),  # its log-normal law is one of large samples
    )


# --- rank correlation ---------------------------------------------------------------------


@lru_cache(maxsize=256)
def _spearman_truth(design: SimulatedLaw, size: Size, seed: int) -> Truth:
    """Spearman's coefficient of l1 and l2 in the population of filters, by simulation."""
    rng = generator(design, size, seed, 0)
    count = max(1, _TRUTH_NUMBERS // size.dim)
    scores = []
    for start in range(0, _TRUTH_FILTERS, count):
        part = Size(min(count, _TRUTH_FILTERS - start), size.channels, size.kernel_size)
        weight = design.draw(part, rng).weight.flatten(1)
        l2 = torch.linalg.vector_norm(weight, dim=1)
        scores.append(torch.stack([weight.abs().sum(dim=1), l2]))
    value = float(spearman(torch.cat(scores, dim=1))[0, 1])
    # Bonett and Wright's variance on Fisher's scale.
    error = (1 - value**2) * math.sqrt((1 + value**2 / 2) / (_TRUTH_FILTERS - 3))
    return Truth(value, error)


def _measured_similarity() -> Procedure:
    def outcomes(draw: Draw, truth: float) -> Outcomes:
        row = _of_pair(draw.once("measured", _measure), "l1-l2")
        return _interval(float(row["spearman_low"]), float(row["spearman_high"]), truth)

    return Procedure(
        "Spearman l1-l2, jackknife",
        ("iid", "cwda", "t5", *alternatives(homogeneity.name)[:3]),
        outcomes,
        _spearman_truth,
        lambda design, size: False,
        lambda size: True,
        Domain(),
        Domain(),
        level=1 - ALPHA,
    )


_CRITERIA = ("l1", "l2", "gm")
#: The rung of the ladder that each design obeys.
_RUNGS = {"iid": ISOTROPIC, "cwda": BLOCK, "homogeneity 0.125": SCALE}


def _predict(draw: Draw) -> pd.DataFrame:
    rung = _RUNGS[draw.design.name]
    return predict(draw.layer, _CRITERIA, rungs=rung, device=draw.device).table


def _simulate(draw: Draw) -> pd.DataFrame:
    return simulate(
        draw.layer,
        _CRITERIA,
        rungs=_RUNGS[draw.design.name],
        draws=_PREDICTION_DRAWS,
        device=draw.device,
        seed=draw.replicate,
    ).table


def _measure(draw: Draw) -> pd.DataFrame:
    return similarity(draw.layer, _CRITERIA, ratios=(), level=1 - ALPHA, device=draw.device).table


def _of_pair(table: pd.DataFrame, pair: str) -> pd.Series:
    return table[table["criterion_a"] + "-" + table["criterion_b"] == pair].iloc[0]


def _predicted_similarity(pair: str, *, simulated: bool) -> Procedure:
    """Does the interval predicted from a layer hold the coefficient measured on it?"""
    kind, find = ("simulated", _simulate) if simulated else ("closed form", _predict)

    def outcomes(draw: Draw, truth: float) -> Outcomes:
        row = _of_pair(draw.once(kind, find), pair)
        measured = _of_pair(draw.once("measured", _measure), pair)["spearman"]
        return _interval(float(row["low"]), float(row["high"]), float(measured))

    return Procedure(
        f"predicted {pair}, {kind}",
        tuple(_RUNGS),
        outcomes,
        lambda design, size, seed: Truth(math.nan),
        lambda design, size: False,
        # 99 layers of the largest size take seconds a replicate.
        lambda size: size.channels > 1 and size.n_filters * size.dim <= 1 << 16,
        Domain(),
        # The intervals leave out the uncertainty of the fit, which few filters make large; those
        # in closed form are of first order in 1/d, too.
        Domain(fewest_filters=32, descriptive=not simulated),
        level=0.95,
    )


def _procedures(conditions: Sequence[Condition]) -> Iterator[Procedure]:
    yield from map(_condition, conditions)
    yield _filter_means()
    yield from _normality_procedures()
    yield _measured_similarity()
    for pair in ("l1-l2", "l2-gm"):
        yield _predicted_similarity(pair, simulated=False)
        yield _predicted_similarity(pair, simulated=True)


#: Everything under study, by name.
PROCEDURES: Mapping[str, Procedure] = ByName(_procedures)
