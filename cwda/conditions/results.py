"""Results of the conditions: one row per layer and condition, and the verdict on it."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, Protocol, Self, SupportsFloat, cast

from scipy import special

from cwda.answers import aside, column, columns_of, common
from cwda.choices import Scale, Verdict
from cwda.errors import CwdaError
from cwda.layers import ConvLayer

__all__ = ["ConditionResult", "Judged", "Measurement", "Verdict", "by_question", "decide", "worse"]


NAN = math.nan


class Judged(Protocol):
    """A verdict, with what it is held against."""

    @property
    def effect_low(self) -> float: ...
    @property
    def effect_high(self) -> float: ...
    @property
    def margin(self) -> float: ...
    @property
    def verdict(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What a condition finds in one layer, before margin and verdict.

    Attributes
    ----------
    effect, low, high : float
        Dimensionless effect size, 0 where the condition is met exactly, and its interval at the
        level of the `Workspace`.
    pvalue, statistic : float
        Test of the null hypothesis; NaN where there is none.
    log10_pvalue : float
        Its logarithm, where the p-value itself may be too small for float64; taken from
        `pvalue` by default.
    estimate : float
        Estimate of the quantity itself, in units of the weights; NaN where there is none.
    theta, theta_se : float
        What `averaging` of the condition averages over layers, with its standard error; by
        default the effect itself, with the error that its interval implies.
    further : str
        Verdict on a further question of the condition, whose margin is fixed; the layer gets
        the worse of the two.
    note : str
        What kind of departure it is if the condition fails, where it knows several.
    cause : str
        The numbers of that departure, where there are better ones than the effect.
    further_note, further_cause : str
        The same of the further question, told where it and not the interval decides.
    details : mapping of str to float
        Further numbers of this condition.

    Raises
    ------
    CwdaError
        If one of these is not a number, or the interval ends before it begins.

    Examples
    --------
    >>> from cwda.conditions import Measurement
    >>> Measurement(effect=0.1, low=0.05, high=0.2).high
    0.2
    """

    effect: float
    low: float
    high: float
    pvalue: float = NAN
    statistic: float = NAN
    log10_pvalue: float = NAN
    estimate: float = NAN
    theta: float = NAN
    theta_se: float = NAN
    further: Verdict = "holds"
    note: str = ""
    cause: str = ""
    further_note: str = ""
    further_cause: str = ""
    details: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = vars(self)
        for name in _NUMBERS:
            numbers[name] = _as_number(numbers[name], name)
        if math.isnan(self.log10_pvalue) and self.pvalue > 0:
            numbers["log10_pvalue"] = math.log10(self.pvalue)
        if not isinstance(self.details, Mapping):
            raise CwdaError(f"details are numbers by name, not {type(self.details).__name__}")
        taken = sorted(_columns() & self.details.keys())
        if taken:
            raise CwdaError(f"the table has a column {taken[0]!r} already; rename this detail")
        numbers["details"] = {
            str(name): _as_number(value, str(name)) for name, value in self.details.items()
        }
        if self.low > self.high:
            raise CwdaError(f"the interval from {self.low:g} to {self.high:g} is upside down")


@cache
def _columns() -> frozenset[str]:
    return frozenset(columns_of(ConditionResult))


_NUMBERS = tuple(each.name for each in fields(Measurement) if each.type == "float")


def _as_number(value: object, name: str) -> float:
    if type(value) in (float, int):  # nearly always; asking a protocol takes long
        return float(cast(float, value))
    if isinstance(value, SupportsFloat) and not isinstance(value, str):
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            pass
    raise CwdaError(f"{name} is one number, not an object of type {type(value).__name__}")


@dataclass(frozen=True, kw_only=True)
class ConditionResult:
    """One condition tested in one layer: a row of the table of `cwda.check`."""

    network: str = common("network")
    layer: str = common("layer")
    condition: str = column("Name of the condition, such as `mean`.")
    scale: Scale = column(
        "`raw` for filters as they are, `unit` if each was divided by its root mean square; "
        "filters of norm 0 are then left out and not counted in `n_filters`.",
        default="raw",
    )
    estimate: float = column(
        "Estimate of the quantity that the condition says is small, in units of the weights; "
        "`estimate` of the condition says which.",
        default=NAN,
    )
    effect: float = column(
        "Dimensionless size of the departure; 0 where the condition is met exactly.", default=NAN
    )
    effect_low: float = column(
        "Lower limit of the effect's interval, at the level of the answer (.90 by default).",
        default=NAN,
    )
    effect_high: float = column("Upper limit of the effect's interval.", default=NAN)
    margin: float = column("Largest effect that counts as negligible.")
    statistic: float = column(
        "Statistic of the test of the null hypothesis, that the effect is exactly 0.", default=NAN
    )
    pvalue: float = column("P-value of that test.", default=NAN)
    pvalue_holm: float = column(
        "P-value adjusted over the layers of this network and condition by Holm's method, which "
        "bounds the chance of any false rejection.",
        default=NAN,
    )
    pvalue_bh: float = column(
        "The same by the method of Benjamini and Hochberg, which bounds the share of false "
        "rejections.",
        default=NAN,
    )
    log10_pvalue: float = column(
        "Base-10 logarithm of `pvalue`, also where that is too small for float64 and reads 0.",
        default=NAN,
    )
    theta: float = column(
        "What is averaged over the layers of a network: `averaging` of the condition says which, "
        "such as the squared effect without bias, which may be negative.",
        default=NAN,
    )
    theta_se: float = column("Standard error of `theta`.", default=NAN)
    verdict: Verdict = column(
        "`holds` if the whole interval lies within the margin, `fails` if it lies beyond, "
        "`inconclusive` if neither, `not applicable` if there is no effect. A further question "
        "of the condition can make it worse; `note` then says which.",
        default="not applicable",
    )
    note: str = column(
        "What kind of departure it is where the condition fails and knows several, or the further "
        "question that decides the verdict; else empty.",
        default="",
    )
    percentile: float = column(
        "Share of the comparable layers of a reference whose effect is smaller, networks counted "
        "alike; NaN without a reference.",
        default=NAN,
    )
    percentile_low: float = column(
        "Lower limit of that share, over families of networks; NaN without a reference.",
        default=math.nan,
    )
    comparable: str = column(
        "Which layers those are, such as `3x3, 33 to 64 filters, 41 networks of 12 families`; "
        "empty without a reference.",
        default="",
    )
    n_filters: int = common("n_filters")
    dim: int = common("dim")
    n_weights: int = common("n_weights")
    method: str = column("Statistic, null distribution and interval.")
    reason: str = column("Why the condition is not applicable; empty otherwise.", default="")
    cause: str = aside("The numbers behind `note`; empty where the effect says it.", default="")
    null_hypothesis: str = aside("The null hypothesis of the test, in words.", default="")
    details: Mapping[str, float] = aside(
        "Further numbers of the condition; columns of `CheckResult.condition`.",
        default_factory=dict,
    )

    @classmethod
    def not_applicable(cls, layer: ConvLayer, reason: str, **facts: Any) -> Self:
        """The row of a layer without an effect, which a measurement may complete."""
        return cls(
            layer=layer.name,
            reason=reason,
            n_filters=layer.n_filters,
            dim=layer.dim,
            n_weights=layer.n_weights,
            **facts,
        )

    def measured(self, measurement: Measurement, level: float) -> Self:
        """The same row with what was measured at this level, and the verdict on it."""
        if not math.isfinite(measurement.effect):
            return replace(self, reason="the effect is not defined for these weights")
        theta, error = measurement.theta, measurement.theta_se
        if math.isnan(theta):
            theta = measurement.effect
            error = (measurement.high - measurement.low) / (2 * special.ndtri((1 + level) / 2))
        by_interval = decide(measurement.low, measurement.high, self.margin)
        verdict = worse(by_interval, measurement.further)
        note = cause = ""
        if verdict != by_interval:
            asked = f"a further question of the condition {_ANSWERED[verdict]}"
            note, cause = measurement.further_note or asked, measurement.further_cause
        elif verdict == "fails":
            note, cause = measurement.note, measurement.cause
        return replace(
            self,
            estimate=measurement.estimate,
            effect=measurement.effect,
            effect_low=measurement.low,
            effect_high=measurement.high,
            statistic=measurement.statistic,
            pvalue=measurement.pvalue,
            pvalue_holm=measurement.pvalue,
            pvalue_bh=measurement.pvalue,
            log10_pvalue=measurement.log10_pvalue,
            theta=theta,
            theta_se=float(error),
            verdict=verdict,
            note=note,
            cause=cause,
            details=measurement.details,
        )

    def _repr_html_(self) -> str:
        cells = {**{name: getattr(self, name) for name in columns_of(type(self))}, **self.details}
        body = "".join(
            f"<tr><th>{html.escape(key)}</th><td>{html.escape(_plain(value))}</td></tr>"
            for key, value in cells.items()
        )
        return f"<table>{body}</table>"


_ANSWERED: dict[Verdict, str] = {"fails": "fails", "inconclusive": "is open"}


def by_question(row: Judged) -> bool:
    """Whether a further question, and not the interval, decides the verdict."""
    by_interval = decide(row.effect_low, row.effect_high, row.margin)
    return row.verdict in _ANSWERED and row.verdict != by_interval


def decide(low: float, high: float, margin: float) -> Verdict:
    """Equivalence verdict: where the whole interval lies relative to the margin.

    Examples
    --------
    >>> decide(0.0, 0.04, 0.1), decide(0.2, 0.3, 0.1), decide(0.05, 0.2, 0.1)
    ('holds', 'fails', 'inconclusive')
    """
    if high <= margin:
        return "holds"
    return "fails" if low > margin else "inconclusive"


def worse(*verdicts: Verdict) -> Verdict:
    """The verdict on several questions together: all must hold, and one that fails is enough.

    Examples
    --------
    >>> worse("holds", "inconclusive"), worse("inconclusive", "fails")
    ('inconclusive', 'fails')
    """
    return max(verdicts, key=("holds", "inconclusive", "fails", "not applicable").index)


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
