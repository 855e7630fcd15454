"""The first page of text: what was found, in words, and one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from cwda import figures
from cwda.choices import Verdict
from cwda.conditions.directions import FREE_SCALE
from cwda.conditions.results import ConditionResult
from cwda.formatting import many, number, percent
from cwda.reporting.blocks import Block, Items, Note, Paragraph, Run, Strong, Text, names
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.chapters.whole import network_table
from cwda.reporting.pictures import picture
from cwda.reporting.ranking import excess, worst
from cwda.reporting.subject import RATIO, Subject

__all__ = ["summary"]


def _blocks(report: Report) -> list[Block]:
    """The network as a whole, in a sentence and a table; what that implies; where it departs."""
    return [
        *report.sections(
            lambda subject: [
                Paragraph(Strong(subject.whole.title())),
                network_table(subject),
                Paragraph(_opening(subject)),
                Items(list(_findings(subject))),
                _overview(subject),
            ]
        ),
        Note(
            "A condition holds where the whole interval of its effect lies within the margin, "
            "fails where it lies beyond it, and is inconclusive where the layer has too few "
            "filters to tell. With millions of weights every exact hypothesis is rejected; the "
            "verdicts are about size."
        ),
    ]


summary = Chapter("Summary", _blocks)


def _opening(subject: Subject) -> Text:
    network = subject.network
    judged = [row for row in subject.results if row.verdict != "not applicable"]
    holds = sum(row.verdict == "holds" for row in judged)
    opening: list[Run] = [
        Strong(network.name),
        f" has {many(len(network), 'convolution')} with {many(network.n_weights, 'weight')}. ",
    ]
    if not judged:
        return [*opening, "None of the conditions is applicable to any of its layers."]
    opening.append(
        f"Of {many(len(judged), 'verdict')} on conditions of the assumption, "
        f"{holds} ({percent(holds / len(judged))}) say that it holds."
    )
    everywhere = [
        name
        for name in subject.conditions
        if all(row.verdict in ("holds", "not applicable") for row in subject.condition(name))
        and any(row.verdict == "holds" for row in subject.condition(name))
    ]
    if everywhere:
        opening.append(f" No layer departs in {' and '.join(everywhere)}.")
    if network.batchnorm and all(row.scale == "raw" for row in judged):
        opening.append(f" {FREE_SCALE}; the scale “unit” judges their directions.")
    return opening


def _findings(subject: Subject) -> Iterator[Text]:
    for name in subject.conditions:
        yield _finding(name, subject.condition(name))
    if subject.has_weights:
        yield from _consequences(subject)


def _finding(name: str, rows: Sequence[ConditionResult]) -> Text:
    counts = dict.fromkeys(get_args(Verdict), 0)
    for row in rows:
        counts[row.verdict] += 1
    judged = len(rows) - counts["not applicable"]
    if not judged:
        return [Strong(name.capitalize()), f": not applicable, {rows[0].reason}."]
    parts = [f"{counts['holds']} of {many(judged, 'layer')} hold"]
    parts += [f"{counts[v]} {word}" for v, word in _WORDS if counts[v]]
    text: list[Run] = [Strong(name.capitalize()), f": {', '.join(parts)}"]
    failing = [row.layer for row in worst(rows) if row.verdict == "fails"]
    if failing:
        first = worst(rows)[0]
        text += [
            "; the largest departure is in ",
            *names([first.layer], 1),
            f" (effect {number(first.effect)}, {excess(first):.1f} times the margin)",
        ]
    return [*text, "."]


_WORDS = (("fails", "fail"), ("inconclusive", "are inconclusive"))


def _consequences(subject: Subject) -> Iterator[Text]:
    """What it means for pruning: similarity, applicability, global ranking."""
    pairs = subject.similarity.summary()
    pairs = pairs[pairs["layers"] > 0]
    if len(pairs):
        low = pairs.loc[pairs["median"].idxmin()]
        high = pairs.loc[pairs["median"].idxmax()]
        yield [
            Strong("Similarity"),
            f": norm-based criteria rank the filters of a layer with a median Spearman "
            f"coefficient from {number(low['median'])} ({low['criterion_a']} with "
            f"{low['criterion_b']}) to {number(high['median'])} ({high['criterion_a']} with "
            f"{high['criterion_b']}). Independent Gaussian filters of one scale would give l1 "
            "with l2 .930.",
        ]
    table = subject.applicability.table
    table = table[(table["criterion"] == "l2") & table["swap"].notna()]
    if len(table):
        median = table["cv_ratio"].median()
        yield [
            Strong("Applicability"),
            f": the l2 norms of a layer scatter {median:.1f} times as much as the assumption "
            f"predicts (median). At a ratio of {percent(RATIO)}, the chance that sampling noise "
            f"swaps a pruned and a kept filter is {percent(table['swap'].median())} in the median "
            f"layer and {percent(table['swap'].max())} in ",
            *names([table.loc[table["swap"].idxmax(), "layer"]], 1),
            ".",
        ]


def _overview(subject: Subject) -> Block:
    rows = [row for row in subject.results if row.verdict != "not applicable"]
    fails = sum(row.verdict == "fails" for row in rows)
    return picture(
        figures.overview(subject.table),
        f"Conditions by layer of {subject.network.name}: the effect, and the verdict on it.",
        f"A grid of {len(subject.network)} layers by {len(subject.conditions)} conditions; "
        f"{fails} of {len(rows)} verdicts say that a condition fails.",
    )
