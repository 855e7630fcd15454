"""Mixed models: how each effect changes with depth, width and kernel, and what is the network's.

One model per condition, on the layers that it judges. The response is

    y = asinh(effect / margin),

which is 0 for no effect, the effect in margins where that is small, and the logarithm of twice
that where it is large, so that a step of b multiplies a large effect by exp(b). It takes effects
of 0 and below. Fixed are depth (0 the first layer, 1 the last), log2 of the number of filters, and
the kernel, compared with the commonest; `cwda.population.mixed` has the random terms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cwda.answers import Answer, column
from cwda.arguments import require_between
from cwda.conditions.reference import kernel_kind
from cwda.errors import cause_of
from cwda.formatting import many, percent
from cwda.population.mixed import CannotModel, MixedFit, fit_mixed
from cwda.population.tables import (
    Over,
    Surveyed,
    judged_layers,
    named_families,
    over,
    require_survey,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MixedModels", "ModelTerm", "mixed_models"]

NAN = math.nan

#: The kinds of kernels that are told apart, and how they are called.
_KERNELS = {
    "1x1": "a kernel of one position",
    "3x3": "a kernel of 3x3",
    "other": "any other kernel",
}

#: A model with fewer says nothing on variances between networks.
_FEWEST_NETWORKS = 5

#: Nor does one of an effect that is the same in more than this share of the layers.
_MOST_ALIKE = 0.8

#: A term of which the others leave a smaller share of its variance cannot be told from them.
_ALIKE = 1e-8


@dataclass(frozen=True, kw_only=True)
class ModelTerm:
    """One fixed term in the mixed model of one condition: a row of `MixedModels`."""

    condition: str = column("Name of the condition.")
    term: str = column("What the effect depends on.")
    meaning: str = column("The step that `estimate` is for.")
    families: int = column("Number of families of networks that are known.")
    networks: int = column("Number of networks.")
    layers: int = column("Number of layers that the condition judges.")
    over: Over = column("What the interval is over: `families`, or `networks` of one family.")
    estimate: float = column(
        "Change of asinh(effect / margin) with that step, by restricted maximum likelihood.",
        default=NAN,
    )
    low: float = column(
        "Lower limit of its t interval, from leaving out each family in turn.", default=NAN
    )
    high: float = column("Upper limit of the same interval.", default=NAN)
    freedom: float = column(
        "Degrees of freedom of that interval: the effective number of families less one.",
        default=NAN,
    )
    pvalue: float = column("P-value of the same t test that the term is 0.", default=NAN)
    family_sd: float = column("Standard deviation between families.", default=NAN)
    network_sd: float = column("Standard deviation between networks of a family.", default=NAN)
    layer_sd: float = column("Standard deviation between layers of a network.", default=NAN)
    slope_sd: float = column(
        "Standard deviation of the slopes of this term between families, or networks of one.",
        default=NAN,
    )
    network_slope_sd: float = column(
        "The same between networks of a family; of depth only.", default=NAN
    )
    missing: str = column("Why a standard deviation is missing; empty otherwise.", default="")
    reason: str = column("Why there is no estimate; empty otherwise.", default="")


@dataclass(frozen=True, eq=False, repr=False)
class MixedModels(Answer[ModelTerm]):
    """What each effect depends on, one row per condition and term."""

    row: ClassVar[type] = ModelTerm

    def title(self) -> str:
        """How many conditions have a model."""
        names = dict.fromkeys(row.condition for row in self.rows)
        fitted = dict.fromkeys(row.condition for row in self.rows if not row.reason)
        return f"mixed models of {len(fitted)} of {many(len(names), 'condition')}"

    def summary(self) -> pd.DataFrame:
        """Estimates and intervals."""
        return self.table[["condition", "term", "estimate", "low", "high", "pvalue", "reason"]]


def mixed_models(survey: Surveyed, *, level: float = 0.95) -> MixedModels:
    """Regress each effect on depth, width and kernel, with families and networks as random.

    Estimates and variances are those of `statsmodels.regression.mixed_linear_model.MixedLM`, on
    the scale asinh(effect / margin), with random slopes of all terms between families. Intervals
    are over families: from leaving out each in turn, with t quantiles of their effective number
    less one. Of one family, or where none is known, they are over networks.
    A condition whose model cannot be fitted, or has too few networks, has rows with the reason, and
    so has a term that cannot be told from others. Where the fit of the variances does not converge,
    the estimates rest on the last ones, which the intervals allow, and the variances are missing.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    level : float
        Confidence of the intervals.

    Raises
    ------
    CwdaError
        If this is no survey, no network was analysed, or the level is impossible.

    References
    ----------
    Lindstrom and Bates (1988), Newton-Raphson and EM algorithms for linear mixed-effects models
    for repeated-measures data, JASA 83. MacKinnon, Nielsen and Webb (2023), Cluster-robust
    inference: a guide to empirical practice, Journal of Econometrics 232.
    """
    survey = require_survey(survey)
    level = require_between(level, 0, 1, "level")
    rows = judged_layers(survey)
    found = [
        term
        for condition, part in rows.groupby("condition", sort=False)
        for term in _terms(str(condition), part, level)
    ]
    return MixedModels(tuple(found), (), level=level)


def _terms(condition: str, rows: pd.DataFrame, level: float) -> Iterator[ModelTerm]:
    design, meanings = _design(rows)
    bare = ModelTerm(
        condition=condition,
        term="",
        meaning="",
        families=named_families(rows),
        networks=design["network"].nunique(),
        layers=len(design),
        over=over(rows),
    )
    reasons = _unidentified(design, list(meanings))
    kept = _full_rank(design, list(meanings))
    unit = "family" if bare.over == "families" else "network"
    nested = unit == "family" and bool((design.groupby("family")["network"].nunique() > 1).any())
    try:
        fit = _fitted(design, kept, unit, nested)
    except Exception as error:  # whatever an optimiser of another library stumbles over
        fit, failed = None, cause_of(error)
    for term, meaning in meanings.items():
        own = replace(bare, term=term, meaning=meaning)
        if fit is None:
            yield replace(own, reason=failed)
        elif term in reasons:
            yield replace(own, reason=reasons[term])
        else:
            yield _estimated(own, fit, kept.index(term), nested, level)


def _design(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Response, terms and groups; and what each term means."""
    import pandas as pd

    kinds = pd.Series([kernel_kind(each) for each in rows["kernel"]], dtype=object)
    kinds = kinds.where(kinds.isin(["1x1", "3x3"]), "other")
    counts = kinds.value_counts()
    commonest = max(_KERNELS, key=lambda kind: counts.get(kind, 0))
    meanings = {
        "depth": "from the first layer to the last",
        "width": "each doubling of the filters",
    }
    terms = {
        "depth": rows["depth"].to_numpy(dtype=float),
        "width": np.log2(rows["n_filters"].to_numpy(dtype=float)),
    }
    for kind, words in _KERNELS.items():
        if kind != commonest:
            terms[f"kernel {kind}"] = (kinds == kind).to_numpy(dtype=float)
            meanings[f"kernel {kind}"] = f"{words}, compared with {_base(commonest)}"
    groups = {"family": rows["family"].astype(str), "network": rows["hash"].astype(str)}
    response = np.arcsinh(rows["effect"].to_numpy() / rows["margin"].to_numpy())
    columns = {"y": response} | terms | {name: each.to_numpy() for name, each in groups.items()}
    return pd.DataFrame(columns), meanings


def _base(kind: str) -> str:
    return "those of neither 1x1 nor 3x3" if kind == "other" else kind


def _left(design: pd.DataFrame, term: str, others: Sequence[str]) -> float:
    """Share of a term's variance that the others leave; 0 if it has none."""
    values = design[[term, *others]].to_numpy(dtype=np.float64)
    values = values - values.mean(axis=0)
    own, rest = values[:, 0], values[:, 1:]
    whole = float(own @ own)
    if whole <= _ALIKE:
        return 0.0
    if rest.shape[1]:
        own = own - rest @ np.linalg.lstsq(rest, own, rcond=None)[0]
    return float(own @ own) / whole


def _unidentified(design: pd.DataFrame, terms: Sequence[str]) -> Mapping[str, str]:
    """Why a term has no estimate of its own, by its name."""
    reasons = {
        term: "all layers are alike in this" for term in terms if not _left(design, term, [])
    }
    varied = [term for term in terms if term not in reasons]
    mixed = [
        term
        for term in varied
        if _left(design, term, [each for each in varied if each != term]) <= _ALIKE
    ]
    for term in mixed:
        others = [each for each in mixed if each != term]
        reasons[term] = f"cannot be told apart from {' and '.join(others)} in these layers"
    return reasons


def _full_rank(design: pd.DataFrame, terms: Sequence[str]) -> list[str]:
    """The terms that say something that those before them do not."""
    kept: list[str] = []
    for term in terms:
        if _left(design, term, kept) > _ALIKE:
            kept.append(term)
    return kept


def _fitted(design: pd.DataFrame, terms: Sequence[str], unit: str, nested: bool) -> MixedFit:
    """The model of the terms.

    Raises
    ------
    CannotModel
        If there are too few networks, hardly any effect differs, no term is left, or no variances
        are found.
    """
    if (same := (design["y"] == design["y"].median()).mean()) > _MOST_ALIKE:
        raise CannotModel(f"the effect is the same in {percent(same)} of the layers")
    networks = design["network"].nunique()
    if networks < _FEWEST_NETWORKS:
        raise CannotModel(f"{_FEWEST_NETWORKS} networks are needed, not {networks}")
    if not terms:
        raise CannotModel("all layers are alike in depth, width and kernel")
    return fit_mixed(design, terms, unit, nested)


def _estimated(own: ModelTerm, fit: MixedFit, place: int, nested: bool, level: float) -> ModelTerm:
    """A term with its numbers; `place` is that among the terms fitted."""
    from scipy import special

    estimate, error, freedom = (
        float(each[1 + place]) for each in (fit.estimates, fit.errors, fit.freedom)
    )
    if math.isnan(error):
        one = "family" if own.over == "families" else "network"
        return replace(own, reason=f"one {one} alone tells this")
    radius = float(special.stdtrit(freedom, (1 + level) / 2)) * error
    numbers: dict[str, Any] = {
        "estimate": estimate,
        "low": estimate - radius,
        "high": estimate + radius,
        "freedom": freedom,
        "pvalue": 2 * float(special.stdtr(freedom, -abs(estimate / error))),
    }
    return replace(own, **numbers, **_spreads(own, fit, place, nested))


def _spreads(own: ModelTerm, fit: MixedFit, place: int, nested: bool) -> dict[str, Any]:
    """The standard deviations that are known, and why others are not."""
    if not fit.converged:
        return {"missing": "the fit of the variances did not converge"}
    numbers = {"layer_sd": fit.layer_sd, "slope_sd": float(fit.slope_sds[place])}
    if own.over == "networks":
        return numbers | {"network_sd": fit.unit_sd, "missing": "no two families are known"}
    if not nested:
        return numbers | {"missing": "no family has two networks, so that the two are one"}
    if own.term == "depth":
        numbers["network_slope_sd"] = fit.network_slope_sd
    return numbers | {"family_sd": fit.unit_sd, "network_sd": fit.network_sd}
