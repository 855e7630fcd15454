"""The first page: the answer, a picture of it, what to do, and what both rest on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from cwda import figures
from cwda.conditions.register import CONDITIONS
from cwda.conditions.results import by_question
from cwda.conditions.whole.result import NetworkVerdict
from cwda.formatting import every, listed, many, number
from cwda.reporting.blocks import Block, Box, Items, Strong, Text, names
from cwda.reporting.chapter import Report, attempt
from cwda.reporting.chapters.advice import what_to_do
from cwda.reporting.chapters.several.networks import (
    NAMED,
    advised,
    contrasted,
    differences,
    first_page_table,
)
from cwda.reporting.pictures import picture
from cwda.reporting.subject import RATIO, Subject

__all__ = ["front_page"]

#: So many networks have their sentences on the first page.
MOST_SENTENCES = 3

#: Of all networks together the verdict is that of the worst, by this order.
_WORST = ("fails", "inconclusive", "holds", "not applicable")

_TITLES = {
    "fails": "CWDA fails",
    "inconclusive": "Whether CWDA holds is open",
    "holds": "CWDA holds within the margins",
    "not applicable": "CWDA cannot be judged",
}


def front_page(report: Report) -> list[Block]:
    """The answer before everything else; of a training run that on the last checkpoint."""
    page = _one if len(report.subjects) == 1 else _several
    return attempt(partial(page, report), "the first page")


def _one(report: Report) -> Iterator[Block]:
    subject = report.subjects[0]
    verdict = subject.whole.verdicts[0]
    of = f" in {subject.network.name}" if report.epochs else ""
    answer, *rest = verdict.sentences
    told: list[Text] = [Strong(answer), " ".join(rest)]
    yield Box(f"{_TITLES[verdict.verdict]}{of}", told[: len(verdict.sentences)], verdict.verdict)
    yield picture(
        figures.network_effects(subject.whole),
        f"Effect of each condition in {subject.network.name} with its {_level(subject)} interval, "
        "and the number of layers in which the condition holds, of those that it can judge.",
        f"{_counted(verdict, len(subject.whole))} Effects, margins and layers that hold of "
        f"{len(subject.whole)} conditions.",
    )
    yield from what_to_do(subject)
    yield from _rests_on(report)


def _several(report: Report) -> Iterator[Block]:
    verdicts = [subject.whole.verdicts[0] for subject in report.subjects]
    worst = min((one.verdict for one in verdicts), key=_WORST.index)
    yield Box(_together(verdicts), _sentences(verdicts), worst)
    yield from differences(report)
    yield from attempt(partial(contrasted, report), "what differs between the networks")
    yield from advised(report)
    yield from first_page_table(report)
    yield from _rests_on(report)


def _together(verdicts: Sequence[NetworkVerdict]) -> str:
    """How many networks have each verdict."""
    counts = {kind: sum(one.verdict == kind for one in verdicts) for kind in _WORST}
    found = {kind: count for kind, count in counts.items() if count}
    if len(found) == 1:
        return f"{_TITLES[next(iter(found))]} in {every(len(verdicts), 'network')}"
    words = {
        "fails": "CWDA fails in",
        "inconclusive": "is open in",
        "holds": "holds in",
        "not applicable": "cannot be judged in",
    }
    parts = [f"{words[kind]} {count}" for kind, count in found.items()]
    text = f"{', '.join(parts)} of {len(verdicts)} networks"
    return text if text.startswith("CWDA") else f"CWDA {text}"


def _sentences(verdicts: Sequence[NetworkVerdict]) -> list[Text]:
    if len(verdicts) <= MOST_SENTENCES:
        return [one.sentences[0] for one in verdicts]  # the others are in the summary
    told: list[Text] = [_failing(verdicts)]
    for kind in ("trained", "open", "untrained"):
        like = [one.network for one in verdicts if one.like == kind]
        if like and kind == "open":
            told.append(["Whether trained or untrained is open: ", *names(like, NAMED), "."])
        elif like:
            told.append(
                [f"Weights like those of {kind} networks: {len(like)} (", *names(like, NAMED), ")."]
            )
    return told


def _failing(verdicts: Sequence[NetworkVerdict]) -> str:
    """In how many networks each condition fails, the commonest first."""
    listed = [name for one in verdicts for name in one.conditions.split(", ") if name]
    counts = {name: listed.count(name) for name in dict.fromkeys(listed)}
    if not counts:
        return "No condition fails in any network."
    common = sorted(counts, key=lambda name: -counts[name])
    told = ", ".join(f"{name} in {counts[name]}" for name in common)
    return f"Conditions that fail, and in how many networks: {told}."


def _counted(verdict: NetworkVerdict, conditions: int) -> str:
    failing = [name for name in verdict.conditions.split(", ") if name]
    return f"{len(failing)} of {many(conditions, 'condition')} fail in the network as a whole."


def _level(subject: Subject) -> str:
    return f"{100 * subject.level:g} %"


def _unless(subjects: Sequence[Subject]) -> str:
    """The conditions in which a further question decided."""
    rows = (row for one in subjects for row in one.results)
    names = listed([*dict.fromkeys(row.condition for row in rows if by_question(row))])
    return f", unless a further question decides, as of {names} here" if names else ""


def _rests_on(report: Report) -> Iterator[Block]:
    """What was tested, by which rule, and what was not shown."""
    subjects = report.subjects
    layers = sum(len(one.network) for one in subjects)
    weights = sum(one.network.n_weights for one in subjects)
    of = f" of {len(subjects)} networks" if len(subjects) > 1 else ""
    margins = {row.condition: row.margin for one in subjects for row in one.results}
    told = {name: one.margin for name, one in CONDITIONS.items()}
    own = [f"{name} {number(margin)}" for name, margin in margins.items() if told[name] != margin]
    items: list[Text] = [
        f"{many(layers, 'convolution')}{of} with {many(weights, 'weight')}, by "
        f"{many(len(margins), 'condition')} that the assumption implies. A condition holds where "
        f"its whole {_level(subjects[0])} interval lies within the margin, fails where it lies "
        f"beyond, and is inconclusive otherwise{_unless(subjects)}. Verdicts are about size: with "
        "millions of weights every exact hypothesis is rejected. That all hold would not prove the "
        "assumption.",
    ]
    if own:
        items.append(f"Margins of your own: {', '.join(own)}.")
    if any(row.scale == "unit" for one in subjects for row in one.results):
        items.append("Scale unit: each filter is divided by its root mean square.")
    if any(one.has_weights for one in subjects):
        names = ", ".join(str(getattr(each, "name", each)) for each in subjects[0].criteria)
        data = "weights and images" if subjects[0].collected else "weights alone"
        items.append(
            f"The advice compares the criteria {names} at a ratio of {100 * RATIO:g} %, from "
            f"{data}. No accuracy was measured for it: likeness does not show that a ranking is "
            "right."
        )
    yield Items(items, "What this rests on")
