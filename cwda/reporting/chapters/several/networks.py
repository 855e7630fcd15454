"""Several networks side by side."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from cwda import figures
from cwda.advice.result import APART, NO_RANKING, SHORT, UNJUDGED, UNRANKED, Advice
from cwda.conditions.register import CONDITIONS
from cwda.conditions.results import ConditionResult
from cwda.conditions.whole.contrast_result import Contrast
from cwda.conditions.whole.result import NetworkResult
from cwda.formatting import number, percent
from cwda.reporting.blocks import (
    Block,
    Cell,
    Column,
    Items,
    Name,
    Paragraph,
    Picture,
    Strong,
    Table,
    Text,
    names,
)
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.pictures import picture
from cwda.reporting.subject import RATIO, Subject

__all__ = ["advised", "contrasted", "differences", "first_page_table", "side_by_side"]

#: Networks that a sentence names, at most.
NAMED = 5

#: Up to so many networks, the advice on each is told.
FEW = 3

#: The colours of the verdicts on conditions, for what is said of differences.
CONTRASTED = {
    "differs": "fails",
    "same": "holds",
    "unsettled": "inconclusive",
    "not applicable": "not applicable",
}


def differences(report: Report) -> Iterator[Block]:
    """The effects of all networks in one picture."""
    wholes = [subject.whole for subject in report.subjects]
    result = NetworkResult(
        tuple(row for whole in wholes for row in whole),
        tuple(network for whole in wholes for network in whole.networks),
        level=wholes[0].level,
        verdicts=tuple(verdict for whole in wholes for verdict in whole.verdicts),
    )
    yield picture(
        figures.overview(result),
        "Each network as a whole: the effect of each condition, and the verdict on it.",
        f"A grid of {len(wholes)} networks by {len(report.conditions)} conditions.",
    )


def contrasted(report: Report) -> list[Block]:
    """What differs between the networks beyond noise, where they are few."""
    found = report.contrasts
    if not found:
        return []
    told = found[0].sentences if len(found) == 1 else [one.sentences[0] for one in found]
    return [Items(list(told), "What differs beyond noise")]


def _changes(found: Contrast) -> Picture:
    a, b = (network.name for network in found.networks)
    differ = sum(row.verdict == "differs" for row in found)
    return picture(
        figures.contrast(found),
        [
            "What changes from ",
            Name(a),
            " to ",
            Name(b),
            ": an interval within the grey strip is the same, one without 0 differs; grey ticks "
            "are layers.",
        ],
        f"Intervals of the changes of {len(found)} conditions, of which {differ} differ.",
    )


def _contrast(found: Contrast) -> Table:
    a, b = (network.name for network in found.networks)
    columns = [Column("condition", "text"), Column("first"), Column("second")]
    columns += [Column("difference"), Column("interval"), Column("margin")]
    columns.append(Column("verdict", "text"))
    return Table(
        columns,
        [
            [
                row.condition,
                number(row.effect_a),
                number(row.effect_b),
                number(row.difference),
                f"{number(row.difference_low)} to {number(row.difference_high)}",
                number(row.margin),
                Cell(row.verdict, CONTRASTED[row.verdict]),
            ]
            for row in found
        ],
        [
            "Effects in ",
            Name(a),
            " (first) and ",
            Name(b),
            f" (second), and their difference. The intervals hold together with "
            f"{100 * found.level:g} %; the margin is the difference that counts as negligible.",
        ],
    )


def advised(report: Report) -> list[Block]:
    """The advice on each of few networks, in short; of many, which criterion in which networks.

    Nothing without weights.
    """
    weighty = [subject for subject in report.subjects if subject.has_weights]
    if len(weighty) <= FEW:
        told: list[Text] = [
            [Strong(subject.network.name), f": {_told(subject.advice)}"] for subject in weighty
        ]
        return [Items(told, "What to do")] if told else []
    chosen: dict[str, list[str]] = {}
    for subject in weighty:
        chosen.setdefault(subject.advice.criterion, []).append(subject.network.name)
    items = [_in_words(criterion, found) for criterion, found in chosen.items()]
    return [Items([*items, *_warnings(weighty)], "What to do")]


def _told(advice: Advice) -> str:
    """The advice in short, what the criterion stands for, and the layers without a ranking."""
    topics = (SHORT, "criterion", UNRANKED)
    return " ".join(each.text for each in advice.sentences if each.topic in topics)


def _warnings(subjects: Sequence[Subject]) -> Iterator[Text]:
    """In which networks filters are near-dead, and where criteria cannot tell filters apart."""
    kinds = (
        (_near_dead, "Prune the near-dead filters first in "),
        (_unranked, "In some layers a random choice should serve as well as any ranking, in "),
    )
    for count, start in kinds:
        found = [subject for subject in subjects if count(subject)]
        found.sort(key=count, reverse=True)
        if found:
            yield [
                start,
                *names([subject.network.name for subject in found], NAMED),
                "; the table below counts them.",
            ]


def _near_dead(subject: Subject) -> int:
    """Near-dead filters of a network."""
    return sum(row.near_dead for row in subject.advice)


def _unranked(subject: Subject) -> int:
    """Layers of a network without a ranking."""
    return sum(row.advice in (NO_RANKING, APART) for row in subject.advice)


def _in_words(criterion: str, networks: Sequence[str]) -> Text:
    where = ["in ", *names(networks, NAMED), "."]
    if not criterion:
        return ["No criterion can be advised ", *where]
    return [f"To prune {percent(RATIO)} of the filters, rank them by {criterion} ", *where]


def first_page_table(report: Report) -> Iterator[Block]:
    """Verdict, size and advice of each network."""
    columns = [Column("network", "name"), Column("CWDA", "text"), Column("layers")]
    columns += [Column("weights"), Column("like", "text"), Column("prune by", "text")]
    columns += [Column("scale", "text")]
    columns += [Column("near-dead"), Column("unranked")]
    yield Table(
        columns,
        [_line(subject) for subject in report.subjects],
        "Each network: verdict; convolutions; their weights, and whether these are like a trained "
        "or an untrained network's; the criterion advised, and the scale of scores for one ranking "
        "over all layers; near-dead filters; layers without a ranking, of those judged.",
    )


def _line(subject: Subject) -> list[str | Cell]:
    network, verdict = subject.network, subject.whole.verdicts[0]
    size = [str(len(network)), f"{network.n_weights:,}", verdict.like]
    return [network.name, Cell.of_verdict(verdict.verdict), *size, *_advised(subject)]


def _advised(subject: Subject) -> list[str]:
    """The criterion, the scale, and what needs care; dashes where it cannot be told."""
    if not subject.has_weights or not subject.advice.criterion:
        return ["–", "–", "–", "–"]
    advice = subject.advice
    judged = sum(row.advice != UNJUDGED for row in advice)
    dead, unranked = f"{_near_dead(subject):,}", f"{_unranked(subject)}/{judged}"
    scale = {None: "–", "none": "raw"}.get(advice.normalise, advice.normalise)
    return [advice.criterion, str(scale), dead, unranked]


def _blocks(report: Report) -> list[Block]:
    """For each network and condition, in how many layers it holds, and the median effect."""
    subjects = report.all_subjects
    conditions = list(dict.fromkeys(name for subject in subjects for name in subject.conditions))
    short = {name: CONDITIONS[name].short for name in conditions}
    spelt = ", ".join(f"{word} for {name}" for name, word in short.items() if word != name)
    return [
        Paragraph(
            "For each condition the number of layers in which it holds, of those in which it is "
            "applicable, and the median effect."
        ),
        Table(
            [Column("network", "name"), *(Column(short[name], "text") for name in conditions)],
            [
                [subject.network.name, *(_entry(subject.condition(name)) for name in conditions)]
                for subject in subjects
            ],
            f"Layers that hold, and median effect in brackets{spelt and f'; {spelt}'}.",
        ),
        *(block for found in report.contrasts for block in (_changes(found), _contrast(found))),
    ]


side_by_side = Chapter(
    "Networks side by side", _blocks, when=lambda report: len(report.all_subjects) > 1
)


def _entry(rows: Sequence[ConditionResult]) -> str:
    judged = [row for row in rows if row.verdict != "not applicable"]
    if not judged:
        return "–"
    holds = sum(row.verdict == "holds" for row in judged)
    return f"{holds}/{len(judged)} ({number(statistics.median(row.effect for row in judged))})"
