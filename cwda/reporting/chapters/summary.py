"""The first page of text: what was found, in words, and one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cwda import figures
from cwda.conditions.directions import FREE_SCALE
from cwda.conditions.results import ConditionResult
from cwda.formatting import many, number, percent
from cwda.reporting.blocks import Block, Items, Note, Paragraph, Run, Strong, Text, names
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.chapters.advice import what_to_do
from cwda.reporting.chapters.whole import network_table
from cwda.reporting.pictures import picture
from cwda.reporting.ranking import excess, untested, worst
from cwda.reporting.subject import RATIO, Subject

__all__ = ["summary"]


def _blocks(report: Report) -> list[Block]:
    """What the verdicts on layers say, where they depart most, and what that implies."""
    several = len(report.subjects) > 1  # the table of a single one is on the first page
    return [
        *report.sections(
            lambda subject: [
                *([network_table(subject)] if several else []),
                Paragraph(_opening(subject)),
                *what_to_do(subject),
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
    judged = [row for row in rows if row.verdict != "not applicable"]
    title = Strong(name.capitalize())
    if not judged:
        return [title, f": not applicable in {'; in '.join(untested(rows))}."]
    holds = sum(row.verdict == "holds" for row in judged)
    failing = [row for row in judged if row.verdict == "fails"]
    n_open = len(judged) - holds - len(failing)
    hold = "holds" if holds == 1 else "hold"
    parts = [f"{holds} of {many(len(judged), 'layer')} {hold}"]
    if n_open:
        parts.append(f"{n_open} {'is' if n_open == 1 else 'are'} inconclusive")
    parts.append(f"{len(failing) or 'none'} {'fail' if len(failing) > 1 else 'fails'}")
    return [title, f": {', '.join(parts)}", *_largest(failing or judged, bool(failing)), "."]


def _largest(rows: Sequence[ConditionResult], fail: bool) -> list[Run]:
    """Where the largest effect is, of the layers that fail if any does."""
    first = next((row for row in worst(rows) if fail or row.effect > 0), None)
    if first is None:
        return []
    note = f"{first.note}; " if fail and first.note else ""
    return [
        "; the largest departure is in " if fail else "; the largest effect is in ",
        *names([first.layer], 1),
        f" ({note}effect {number(first.effect)}, {excess(first):.1f} times the margin)",
    ]


def _consequences(subject: Subject) -> Iterator[Text]:
    """What it means for pruning: similarity, applicability, global ranking."""
    pairs = subject.similarity.summary()
    pairs = pairs[pairs["layers"] > 0]
    if len(pairs):
        low = pairs.loc[pairs["median"].idxmin()]
        high = pairs.loc[pairs["median"].idxmax()]
        yield [
            Strong("Similarity"),
            f": the criteria rank the filters of a layer with a median Spearman "
            f"coefficient from {number(low['median'])} ({low['criterion_a']} with "
            f"{low['criterion_b']}) to {number(high['median'])} ({high['criterion_a']} with "
            f"{high['criterion_b']}). Independent Gaussian filters of one scale would give l1 "
            "with l2 .930.",
        ]
    table = subject.applicability.table
    table = table[(table["criterion"] == "l2") & table["swap_filters"].notna()]
    if len(table):
        median = table["cv_ratio"].median()
        yield [
            Strong("Applicability"),
            f": the l2 norms of a layer scatter {median:.1f} times as much as the assumption "
            f"predicts (median). At a ratio of {percent(RATIO)}, the chance that sampling noise "
            f"swaps a pruned and a kept filter is {percent(table['swap_filters'].median())} in the "
            f"median layer and {percent(table['swap_filters'].max())} in ",
            *names([table.loc[table["swap_filters"].idxmax(), "layer"]], 1),
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
