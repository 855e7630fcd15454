"""Results of the conditions: one record a layer and condition, and the verdict on it."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

__all__ = ["COLUMNS", "ConditionResult", "Measurement", "Verdict", "decide"]

Verdict = Literal["holds", "fails", "inconclusive", "not applicable"]

NAN = math.nan


@dataclass(frozen=True)
class Measurement:
    """What a condition finds in one layer, before margin and verdict.

    Attributes
    ----------
    estimate : float
        Unbiased estimate of the squared quantity, in units of the weights.
    effect, low, high : float
        Dimensionless effect size and its interval at level 1 - 2 alpha.
    statistic, pvalue : float
        Test of the point null.
    details : mapping of str to float
        Further numbers of this condition.
    """

    estimate: float
    effect: float
    low: float
    high: float
    statistic: float
    pvalue: float
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ConditionResult:
    """One condition tested in one layer.

    Attributes
    ----------
    network, layer, condition : str
        What was tested.
    estimate : float
        Estimate of the quantity that the condition says is small, in units of the weights.
    effect, effect_low, effect_high : float
        Dimensionless effect size and its interval at level 1 - 2 alpha.
    margin : float
        Largest effect that counts as negligible.
    statistic, pvalue : float
        Test of "the effect is exactly 0"; see `null_hypothesis`.
    pvalue_holm, pvalue_bh : float
        Adjusted over the layers of the network (Holm; Benjamini and Hochberg).
    verdict : str
        "holds" (whole interval within the margin), "fails" (whole interval beyond it),
        "inconclusive", or "not applicable".
    n_filters, dim, n_weights : int
        N', N k^2 and their product.
    method : str
        Statistic and null distribution.
    reason : str
        Why the condition is not applicable; empty otherwise.
    null_hypothesis : str
        The point null in words.
    details : mapping of str to float
        Further numbers of this condition.
    """

    network: str
    layer: str
    condition: str
    estimate: float
    effect: float
    effect_low: float
    effect_high: float
    margin: float
    statistic: float
    pvalue: float
    pvalue_holm: float
    pvalue_bh: float
    verdict: Verdict
    n_filters: int
    dim: int
    n_weights: int
    method: str
    reason: str
    null_hypothesis: str = ""
    details: Mapping[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The documented columns as a dictionary."""
        return {name: getattr(self, name) for name in COLUMNS}

    def _repr_html_(self) -> str:
        cells = {**self.row(), **self.details}
        body = "".join(
            f"<tr><th>{html.escape(key)}</th><td>{html.escape(_plain(value))}</td></tr>"
            for key, value in cells.items()
        )
        return f"<table>{body}</table>"


#: Columns of every table of conditions, in order.
COLUMNS: tuple[str, ...] = tuple(
    f.name for f in fields(ConditionResult) if f.name not in ("null_hypothesis", "details")
)


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


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
