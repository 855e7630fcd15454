"""Sentences on a network: does CWDA hold and by how much, what else, and what its weights are like.

The terminal, the report and notebooks begin with them; they are made nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cwda.conditions.register import CONDITIONS
from cwda.conditions.results import Judged, by_question
from cwda.conditions.whole.likeness import DIVIDE, Likeness, Parts
from cwda.formatting import listed, many, number, p_value, percent

__all__ = ["SIZE", "Extent", "Finding", "sentences"]

#: Of the test whether weights can be told from independent ones of one law.
SIZE = 0.05

#: From here on the same test is said to tell them apart barely: chance gives as much to one
#: network in a hundred.
_CLEAR = 0.01

#: A condition that judges less than this share of the judged weights is said to, and so is an
#: answer about less of all weights.
_MOST = 0.9

#: Conditions whose effects a sentence states.
_STATED = 3

#: Layers that look untrained in a trained network are told from this share of the weights on.
_PART = 0.1


class Finding(Judged, Protocol):
    """What the sentences say of one condition."""

    @property
    def condition(self) -> str: ...
    @property
    def weights(self) -> float: ...
    @property
    def effect(self) -> float: ...
    @property
    def note(self) -> str: ...
    @property
    def cause(self) -> str: ...


@dataclass(frozen=True)
class Extent:
    """How many weights in how many layers."""

    weights: int
    layers: int


def sentences(
    network: str,
    findings: Sequence[Finding],
    judged: Extent,
    all_: Extent,
    likeness: Likeness,
    layers: Parts,
    untrained: float,
    reason: str = "",
    broken: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """What is found in a network, in plain words: the answer, the rest, and the likeness.

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
    likeness : Likeness
        Whether the weights are like a trained or an untrained network's.
    layers : Parts
        What those of each layer are like.
    untrained : float
        P-value that the weights are independent, of one law in each layer.
    reason : str
        Why nothing can be judged, where that is so.
    broken : mapping of str to str, optional
        Layers with weights that are NaN or infinite, and how many those are.
    """
    told = [one for one in findings if one.verdict != "not applicable"]
    if not told:
        return (f"{network}: no condition can be judged in any layer{reason and f' ({reason})'}.",)
    rest = " ".join([*_broken(broken or {}), *_rest(findings, judged, all_)])
    alike = _likeness(likeness, layers, untrained)
    return tuple(filter(None, (_qualified(_answer(network, told), judged, all_), rest, alike)))


def _qualified(answer: str, judged: Extent, all_: Extent) -> str:
    """The answer, which begins with what it is about where that is not nearly all."""
    if judged.weights >= _MOST * all_.weights:
        return answer
    if not answer.startswith("CWDA"):
        answer = answer[0].lower() + answer[1:]
    share = percent(judged.weights / all_.weights)
    return f"In the layers that can be judged ({share} of the weights), {answer}"


def _answer(network: str, told: Sequence[Finding]) -> str:
    """Whether CWDA holds, and by how much."""
    if failing := sorted(_of(told, "fails"), key=_ratio, reverse=True):
        times = [one for one in failing if not by_question(one)]
        stated = [
            _question(one) if by_question(one) else _excess(one, one is times[0])
            for one in failing[:_STATED]
        ]
        return f"CWDA fails for {network}: {listed([*stated, *_others(failing)])}."
    if open_ := sorted(_of(told, "inconclusive"), key=_high_ratio, reverse=True):
        why = ", and ".join(_why_open(open_))
        return f"Whether CWDA holds for {network} is open: no condition fails, but {why}."
    nearest = max(told, key=_high_ratio)
    room = _numbers(nearest)
    if {one.condition for one in told} >= set(CONDITIONS):
        return f"CWDA holds for {network}: all {len(told)} conditions do, {room} by the least."
    if len(told) == 1:
        return f"{nearest.condition.capitalize()} holds for {network}: {_interval(nearest)}."
    return f"What was tested of CWDA holds for {network}: {_names(told)}; {room} by the least."


def _why_open(open_: Sequence[Finding]) -> Iterator[str]:
    """Intervals that are too wide, and further questions without an answer."""
    wide = [one for one in open_ if not by_question(one)]
    if wide:
        one = len(wide) == 1
        stated = [_numbers(each) for each in wide[:_STATED]]
        yield (
            f"the interval{'s' * (not one)} of {listed([*stated, *_others(wide)])} "
            f"reach{'es' * one} beyond the margin"
        )
    asked = [one for one in open_ if by_question(one)]
    if asked:
        stated = [_question(each) for each in asked]
        yield f"{listed(stated)} {'is' if len(asked) == 1 else 'are'} not settled"


def _question(finding: Finding) -> str:
    """A condition and the further question that decides it, with its numbers."""
    return f"{finding.condition} ({_noted(finding)})"


def _noted(finding: Finding) -> str:
    return ": ".join(filter(None, (finding.note, finding.cause)))


def _broken(layers: Mapping[str, str]) -> Iterator[str]:
    """The layers in which training went wrong, which hides all else."""
    if layers:
        first, reason = next(iter(layers.items()))
        more = f", and {many(len(layers) - 1, 'more layer')}" if len(layers) > 1 else ""
        yield f"Not judged: layer {first}, in which {reason}{more}."


def _others(findings: Sequence[Finding]) -> list[str]:
    """The conditions of which there is no room to state numbers."""
    rest = findings[_STATED:]
    return [f"{len(rest)} more ({_names(rest)})"] if rest else []


def _excess(finding: Finding, first: bool) -> str:
    note = f"; {_noted(finding)}" if finding.note else ""
    numbers = f"{number(finding.effect)} against {number(finding.margin)}{note}"
    times = (
        f"is {_ratio(finding):.3g} times its margin" if first else f"{_ratio(finding):.3g} times"
    )
    return f"{finding.condition} {times} ({numbers})"


def _numbers(finding: Finding) -> str:
    return f"{finding.condition} ({_interval(finding)})"


def _interval(finding: Finding) -> str:
    return (
        f"{number(finding.effect)}, interval {number(finding.effect_low)} to "
        f"{number(finding.effect_high)}, margin {number(finding.margin)}"
    )


def _rest(findings: Sequence[Finding], judged: Extent, all_: Extent) -> Iterator[str]:
    """The conditions that the answer does not name, and over how many weights all that is."""
    failing, open_, holding = (_of(findings, each) for each in ("fails", "inconclusive", "holds"))
    if failing and open_:
        why = [_question(one) if by_question(one) else _numbers(one) for one in open_]
        yield f"Open: {listed(why)}."
    if holding and (failing or open_):
        yield f"Within the margin: {_names(holding)}."
    parts = [f"Judged over {_over(judged, all_)}"]
    partly = [one for one in findings if 0 < one.weights * all_.weights < _MOST * judged.weights]
    if partly:
        shares = ", ".join(f"{one.condition} {percent(one.weights)}" for one in partly)
        parts.append(f"over fewer: {shares}")
    if silent := _of(findings, "not applicable"):
        parts.append(f"not judged: {_names(silent)}")
    yield f"{'; '.join(parts)}."


def _over(judged: Extent, all_: Extent) -> str:
    if judged == all_:
        whole = "all " if judged.weights > 1 else ""
        return f"{whole}{many(judged.weights, 'weight')} in {many(judged.layers, 'layer')}"
    weights = f"{judged.weights:,} of {many(all_.weights, 'weight')}"
    return f"{weights}, in {judged.layers:,} of {many(all_.layers, 'layer')}"


def _likeness(found: Likeness, layers: Parts, untrained: float) -> str:
    """Trained or untrained, in which layers not, and whether independent weights are ruled out."""
    told = "" if math.isnan(untrained) else _by_test(untrained)
    if found.like == "not applicable":
        return f"Its weights {told}." if told else ""
    size = f"{listed(found.conditions)} are at {number(found.structure)} of their margins"
    interval = f"root mean square, interval {number(found.low)} to {number(found.high)}"
    divide = number(DIVIDE)
    if found.like == "trained":
        return (
            f"Its weights are like a trained network's: {size} ({interval}; untrained networks "
            f"are below {divide}){_untrained_part(layers)}."
        )
    if told:
        told = f"; {'but' if untrained <= SIZE else 'and'} they {told}"
    told = _trained_part(layers) + told
    if found.like == "untrained":
        return (
            f"Its weights are like an untrained network's: {size} ({interval}; trained networks "
            f"are above {divide}){told}."
        )
    return (
        "Whether its weights are like a trained or an untrained network's is open: "
        f"{size} ({interval}; {divide} divides the two){told}."
    )


def _untrained_part(layers: Parts) -> str:
    if layers.layers < 2 or not layers.untrained_weights > _PART:
        return ""
    count, verb = layers.untrained_layers, "look" if layers.untrained_layers > 1 else "looks"
    told = f"{count} of {layers.layers} layers, with {percent(layers.untrained_weights)}"
    return f", but {told} of the weights, {verb} as before training"


def _trained_part(layers: Parts) -> str:
    if layers.layers < 2 or not layers.trained_layers:
        return ""
    count, verb = layers.trained_layers, "are" if layers.trained_layers > 1 else "is"
    told = f"{count} of {layers.layers} layers, with {percent(layers.trained_weights)}"
    return f", but {told} of the weights, {verb} like trained ones"


def _by_test(untrained: float) -> str:
    shown = f"p = {p_value(untrained)}" if untrained >= 1e-300 else "p < 1e-300"
    able = "cannot" if untrained > SIZE else "can barely" if untrained > _CLEAR else "can"
    return f"{able} be told from independent normal or uniform weights ({shown})"


def _of(findings: Sequence[Finding], verdict: str) -> list[Finding]:
    return [one for one in findings if one.verdict == verdict]


def _ratio(finding: Finding) -> float:
    return finding.effect / finding.margin


def _high_ratio(finding: Finding) -> float:
    return finding.effect_high / finding.margin


def _names(findings: Sequence[Finding]) -> str:
    return listed([one.condition for one in findings])
