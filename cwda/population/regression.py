"""Mixed models: how each effect changes with depth, width and kernel, and what is the network's.

One model per condition, on the layers that it judges. The response is

    y = asinh(effect / margin),

which is 0 for no effect, the effect in margins where that is small, and the logarithm of twice
that where it is large, so that a step of b multiplies a large effect by exp(b). It takes effects
of 0 and below. Fixed are depth (0 the first layer, 1 the last), log2 of the number of filters, and
the kernel; family and network have random intercepts, and each network a random slope along depth:
without it the intervals of depth would take the layers of a network for independent.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cwda.answers import Answer, column
from cwda.arguments import require_between
from cwda.conditions.reference import kernel_kind
from cwda.errors import CwdaError, cause_of
from cwda.formatting import many, percent
from cwda.population.tables import Surveyed, judged_layers, require_survey

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MixedModels", "ModelTerm", "mixed_models"]

NAN = math.nan

#: The fixed terms: what they are called, and the column of the design that they belong to.
TERMS: Mapping[str, str] = {
    "depth": "from the first layer to the last",
    "width": "each doubling of the filters",
    "kernel 1x1": "a kernel of one position, compared with 3x3",
    "kernel other": "any other kernel, compared with 3x3",
}

#: A model with fewer says nothing on variances between networks.
_FEWEST_NETWORKS = 5

#: Nor does one of an effect that is the same in more than this share of the layers.
_MOST_ALIKE = 0.8


class CannotModel(CwdaError):  # noqa: N818 (it says what is the case)
    """A condition has no mixed model; the message says why, for the table."""


@dataclass(frozen=True, kw_only=True)
class ModelTerm:
    """One fixed term in the mixed model of one condition: a row of `MixedModels`."""

    condition: str = column("Name of the condition.")
    term: str = column("What the effect depends on.")
    meaning: str = column("The step that `estimate` is for.")
    families: int = column("Number of families of networks.")
    networks: int = column("Number of networks.")
    layers: int = column("Number of layers that the condition judges.")
    estimate: float = column(
        "Change of asinh(effect / margin) with that step, by restricted maximum likelihood.",
        default=NAN,
    )
    low: float = column("Lower limit of its Wald interval.", default=NAN)
    high: float = column("Upper limit of the same interval.", default=NAN)
    pvalue: float = column("P-value of Wald's test that the term is 0.", default=NAN)
    family_sd: float = column("Standard deviation between families.", default=NAN)
    network_sd: float = column("Standard deviation between networks of a family.", default=NAN)
    slope_sd: float = column(
        "Standard deviation of the slopes along depth between networks.", default=NAN
    )
    layer_sd: float = column("Standard deviation between layers of a network.", default=NAN)
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

    By `statsmodels.regression.mixed_linear_model.MixedLM`, on the scale asinh(effect / margin).
    A condition whose model does not converge, or has too few networks, has rows with the reason.

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
    for repeated-measures data, JASA 83.
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
    design = _design(rows)
    bare = ModelTerm(
        condition=condition,
        term="",
        meaning="",
        families=design["family"].nunique(),
        networks=design["network"].nunique(),
        layers=len(design),
    )
    kept = [term for term in TERMS if design[term].nunique() > 1]
    try:
        fit = _fitted(design, kept)
    except Exception as error:  # whatever an optimiser of another library stumbles over
        fit, reason = None, cause_of(error)
    for term, meaning in TERMS.items():
        own = replace(bare, term=term, meaning=meaning)
        if fit is None:
            yield replace(own, reason=reason)
        elif term not in kept:
            yield replace(own, reason="all layers are alike in this")
        else:
            yield replace(own, **_numbers(fit, term, level))


def _design(rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    kinds = [kernel_kind(each) for each in rows["kernel"]]
    return pd.DataFrame(
        {
            "y": np.arcsinh(rows["effect"].to_numpy() / rows["margin"].to_numpy()),
            "depth": rows["depth"].to_numpy(dtype=float),
            "width": np.log2(rows["n_filters"].to_numpy(dtype=float)),
            "kernel 1x1": [float(kind == "1x1") for kind in kinds],
            "kernel other": [float(kind not in ("1x1", "3x3")) for kind in kinds],
            "family": rows["family"].astype(str).to_numpy(),
            "network": rows["hash"].astype(str).to_numpy(),
        }
    )


def _fitted(design: pd.DataFrame, terms: list[str]) -> Any:
    """The model of statsmodels, fitted.

    Raises
    ------
    CannotModel
        If there are too few networks, hardly any effect differs, or it does not converge.
    """
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    if (same := (design["y"] == design["y"].median()).mean()) > _MOST_ALIKE:
        raise CannotModel(f"the effect is the same in {percent(same)} of the layers")
    networks = design["network"].nunique()
    if networks < _FEWEST_NETWORKS:
        raise CannotModel(f"{_FEWEST_NETWORKS} networks are needed, not {networks}")
    design = design.sort_values("family", kind="stable")
    fixed = design[terms].to_numpy()
    fixed = np.column_stack([np.ones(len(design)), fixed])
    names = ["network", "slope"]
    matrices: tuple[list[Any], list[Any]] = ([], [])
    columns: tuple[list[Any], list[Any]] = ([], [])
    for _, part in design.groupby("family", sort=False):
        own, number = np.unique(np.array(part["network"], dtype=object), return_inverse=True)
        which = np.eye(len(own))[number]
        for kind, matrix in enumerate((which, which * (part[["depth"]].to_numpy() - 0.5))):
            matrices[kind].append(matrix)
            columns[kind].append(list(own))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = MixedLM(
            design["y"].to_numpy(),
            fixed,
            np.array(design["family"], dtype=object),
            exog_re=np.ones((len(design), 1)),
            exog_vc=VCSpec(names, list(columns), list(matrices)),
        )
        fit = model.fit(reml=True, method=["lbfgs", "powell"])
    if not fit.converged:
        told = [str(each.message) for each in caught if each.category is ConvergenceWarning]
        raise CannotModel(f"the fit did not converge{': ' + told[0] if told else ''}")
    fit.terms = terms
    return fit


def _numbers(fit: Any, term: str, level: float) -> dict[str, Any]:
    from scipy import special

    place = 1 + fit.terms.index(term)
    estimate, error = float(fit.fe_params[place]), float(fit.bse_fe[place])
    radius = float(special.ndtri((1 + level) / 2)) * error
    network, slope = (math.sqrt(max(float(each), 0.0)) for each in fit.vcomp)
    return {
        "estimate": estimate,
        "low": estimate - radius,
        "high": estimate + radius,
        "pvalue": 2 * float(special.ndtr(-abs(estimate / error))),
        "family_sd": math.sqrt(max(float(np.ravel(fit.cov_re)[0]), 0.0)),
        "network_sd": network,
        "slope_sd": slope,
        "layer_sd": math.sqrt(fit.scale),
    }
