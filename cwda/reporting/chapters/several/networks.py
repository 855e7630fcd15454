"""Several networks side by side."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from cwda import figures
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
    """Which criterion to prune by in which networks; nothing without weights."""
    chosen: dict[str, list[str]] = {}
    for subject in report.subjects:
        if subject.has_weights:
            chosen.setdefault(subject.advice.criterion, []).append(subject.network.name)
    items = [_in_words(criterion, found) for criterion, found in chosen.items()]
    return [Items(items, "What to do")] if items else []


def _in_words(criterion: str, networks: Sequence[str]) -> Text:
    where = ["in ", *names(networks, NAMED), "."]
    if not criterion:
        return ["No criterion can be advised ", *where]
    return [f"To prune {percent(RATIO)} of the filters, rank them by {criterion} ", *where]


def first_page_table(report: Report) -> Iterator[Block]:
    """Verdict, size and advice of each network."""
    columns = [Column("network", "name"), Column("CWDA", "text"), Column("layers")]
    columns += [Column("weights"), Column("like", "text"), Column("prune by", "text")]
    columns += [Column("stands for", "text"), Column("global scores", "text")]
    yield Table(
        columns,
        [_line(subject) for subject in report.subjects],
        "Each network: verdict; convolutions and their weights; whether these are like a trained "
        "or an untrained network's; the criterion advised, the criteria that it stands for, and "
        "how to normalise scores for one ranking over all layers.",
    )


def _line(subject: Subject) -> list[str | Cell]:
    network, verdict = subject.network, subject.whole.verdicts[0]
    size = [str(len(network)), f"{network.n_weights:,}", verdict.like]
    return [network.name, Cell.of_verdict(verdict.verdict), *size, *_advised(subject)]


def _advised(subject: Subject) -> list[str]:
    """The criterion, those it stands for, and the scale; dashes where it cannot be told."""
    if not subject.has_weights or not subject.advice.criterion:
        return ["–", "–", "–"]
    advice = subject.advice
    cluster = next(row for row in advice.clusters if row.advised)
    rest = ", ".join(name for name in cluster.members if name != advice.criterion)
    scale = {None: "–", "none": "raw"}.get(advice.normalise, advice.normalise)
    return [advice.criterion, rest or "–", str(scale)]


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
