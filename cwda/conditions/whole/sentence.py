"""One sentence on a network: does CWDA hold, what breaks it, what is open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cwda.conditions.register import CONDITIONS
from cwda.formatting import many, number, p_value, percent

__all__ = ["SIZE", "Extent", "Finding", "sentence"]

#: Of the test whether weights can be told from an untrained network's.
SIZE = 0.05

#: A condition that judges less than this share of the judged weights is said to.
_MOST = 0.9


class Finding(Protocol):
    """What the sentence says of one condition."""

    @property
    def condition(self) -> str: ...
    @property
    def weights(self) -> float: ...
    @property
    def effect(self) -> float: ...
    @property
    def margin(self) -> float: ...
    @property
    def verdict(self) -> str: ...
    @property
    def note(self) -> str: ...


@dataclass(frozen=True)
class Extent:
    """How many weights in how many layers."""

    weights: int
    layers: int


def sentence(
    network: str, findings: Sequence[Finding], judged: Extent, all_: Extent, untrained: float
) -> str:
    """What is found in a network, in plain words; the worst conditions come first.

    It says of how much: which weights no condition judges, which conditions judge far fewer
    weights than the others together, and which judge none.

    Parameters
    ----------
    network : str
        Its name.
    findings : sequence of Finding
        One for each condition.
    judged : Extent
        The layers that at least one condition judges.
    all_ : Extent
        All layers of the network.
    untrained : float
        P-value that the weights are those of an untrained network.
    """
    failing = sorted(_of(findings, "fails"), key=_excess, reverse=True)
    open_, holding = _of(findings, "inconclusive"), _of(findings, "holds")
    if not failing and not open_ and not holding:
        return f"{network}: no condition can be judged in any layer."
    over = _over(judged, all_)
    parts = []
    if failing:
        parts.append(f"CWDA fails for {network}, {over}: {_listed(failing)}")
    elif open_:
        parts.append(f"Whether CWDA holds for {network} is open, {over}")
    elif _complete(findings):
        parts.append(f"CWDA holds for {network}, within the margins, {over}")
    else:
        parts.append(f"What was tested of CWDA holds for {network}, within the margins, {over}")
    if open_:
        parts.append(f"inconclusive: {_listed(open_)}")
    if holding and (failing or open_):
        parts.append(f"within the margin: {', '.join(one.condition for one in holding)}")
    partly = [one for one in findings if 0 < one.weights * all_.weights < _MOST * judged.weights]
    if partly:
        shares = ", ".join(f"{one.condition} ({percent(one.weights)})" for one in partly)
        parts.append(f"judged over fewer weights: {shares}")
    if silent := _of(findings, "not applicable"):
        parts.append(f"not judged: {', '.join(one.condition for one in silent)}")
    return f"{'; '.join(parts)}.{_untrained(untrained)}"


def _over(judged: Extent, all_: Extent) -> str:
    if judged == all_:
        return f"over its {many(judged.weights, 'weight')} in {many(judged.layers, 'layer')}"
    weights = f"{judged.weights:,} of its {many(all_.weights, 'weight')}"
    return f"over {weights}, in {judged.layers:,} of {many(all_.layers, 'layer')}"


def _of(findings: Sequence[Finding], verdict: str) -> list[Finding]:
    return [one for one in findings if one.verdict == verdict]


def _excess(finding: Finding) -> float:
    return finding.effect / finding.margin


def _listed(findings: Sequence[Finding]) -> str:
    return ", ".join(_in_words(one) for one in findings)


def _in_words(finding: Finding) -> str:
    if finding.verdict == "fails" and finding.note and finding.effect <= finding.margin:
        return f"{finding.condition} ({finding.note})"  # it has a measure of its own
    size = f"{number(finding.effect)}, margin {number(finding.margin)}"
    return f"{finding.condition} ({f'{finding.note}; ' if finding.note else ''}{size})"


def _complete(findings: Sequence[Finding]) -> bool:
    told = {one.condition for one in findings if one.verdict != "not applicable"}
    return told >= set(CONDITIONS)


def _untrained(pvalue: float) -> str:
    if math.isnan(pvalue):
        return ""
    if pvalue > SIZE:
        return (
            " Its weights cannot be told from an untrained network's, independent and normal or "
            f"uniform (p = {p_value(pvalue)})."
        )
    shown = f"p = {p_value(pvalue)}" if pvalue >= 1e-300 else "p < 1e-300"
    return (
        " Its weights can be told from an untrained network's, independent and normal or uniform "
        f"({shown})."
    )
