"""One page on each network: what was found of each condition, and what that implies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cwda import figures
from cwda.conditions.directions import FREE_SCALE
from cwda.conditions.results import ConditionResult
from cwda.conditions.whole.result import NetworkCondition
from cwda.formatting import layer_count, listed, many, number, percent
from cwda.reporting.blocks import (
    Block,
    Cell,
    Column,
    Items,
    Name,
    Paragraph,
    Run,
    Strong,
    Table,
    Text,
    names,
)
from cwda.reporting.chapter import Chapter, Report, attempt
from cwda.reporting.chapters.advice import what_to_do
from cwda.reporting.chapters.global_pruning import emptied
from cwda.reporting.pictures import picture
from cwda.reporting.ranking import excess, untested, worst
from cwda.reporting.subject import RATIO, Subject

__all__ = ["conditions_table", "summary"]


def _blocks(report: Report) -> list[Block]:
    """What is found of each condition, in which layer most, and what that implies for pruning."""
    several = len(report.subjects) > 1  # the advice on a single one is on the first page
    return report.sections(
        lambda subject: [
            *([Paragraph(" ".join(subject.whole.verdicts[0].sentences))] if several else []),
            Paragraph(_opening(subject)),
            conditions_table(subject),
            *_kinds(subject),
            *_untested(subject),
            *(what_to_do(subject) if several else []),
            *_implied(subject),
            _overview(subject),
        ]
    )


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


def conditions_table(subject: Subject) -> Table:
    """Effect, interval and verdict of each condition, its layers, and the largest effect."""
    columns = [Column("condition", "text"), Column("effect"), Column("interval")]
    columns += [Column("margin"), Column("verdict", "text"), Column("hold"), Column("expected")]
    columns += [Column("open"), Column("fail"), Column("largest in", "name"), Column("there")]
    return Table(
        columns,
        [[*_cells(row), *_largest(subject.condition(row.condition))] for row in subject.whole],
        f"{subject.network.name} as a whole: mean effect over the weights with its "
        f"{100 * subject.level:g} % interval; layers in which the condition holds (expected under "
        "CWDA), is open and fails; the layer with the largest effect, of those that fail if any "
        "does, and this effect over the margin.",
    )


def _cells(row: NetworkCondition) -> list[str | Cell]:
    verdict = Cell.of_verdict(row.verdict)
    if not row.layers:
        return [row.condition, "–", "–", number(row.margin), verdict, "–", "–", "–", "–"]
    return [
        row.condition,
        number(row.effect),
        f"{number(row.effect_low)} to {number(row.effect_high)}",
        number(row.margin),
        verdict,
        f"{row.holds} of {row.layers}",
        layer_count(row.expected_holds),
        str(row.inconclusive),
        str(row.fails),
    ]


def _largest(rows: Sequence[ConditionResult]) -> list[str]:
    """Where the largest effect is, and its size."""
    first = _first(rows)
    return [first.layer, f"{excess(first):.1f} ×"] if first else ["–", "–"]


def _first(rows: Sequence[ConditionResult]) -> ConditionResult | None:
    """The layer with the largest effect, of those that fail if any does."""
    fail = any(row.verdict == "fails" for row in rows)
    judged = [row for row in rows if row.verdict == "fails" or not fail]
    return next((row for row in worst(judged) if fail or row.effect > 0), None)


def _kinds(subject: Subject) -> list[Block]:
    """What kind of departure the largest one is, of conditions that know several."""
    text: list[Run] = []
    for name in subject.conditions:
        first = _first(subject.condition(name))
        if first and first.verdict == "fails" and first.note:
            text += ["; " if text else "", f"{name} in ", Name(first.layer), f": {first.note}"]
    return [Paragraph(["Kind of the largest departure: ", *text, "."])] if text else []


def _untested(subject: Subject) -> list[Block]:
    """In how many layers conditions are not applicable, and the commonest reason of each."""
    parts = []
    for name in subject.conditions:
        rows = subject.condition(name)
        if reasons := untested(rows):
            lost = sum(row.verdict == "not applicable" for row in rows)
            first = reasons[0].partition(": ")[2]
            other = f" and {many(len(reasons) - 1, 'other reason')}" if len(reasons) > 1 else ""
            parts.append((f"{many(lost, 'layer')} ({first}{other})", name))
    told = {why: [name for each, name in parts if each == why] for why, _ in parts}
    text = "; ".join(f"{listed(names)} in {why}" for why, names in told.items())
    return [Paragraph(f"Not applicable: {text}.")] if text else []


def _implied(subject: Subject) -> list[Block]:
    """What it means for pruning, in sentences; nothing without weights."""
    if not subject.has_weights:
        return []
    return attempt(
        lambda: [Items(list(_consequences(subject)))],
        f"the consequences for {subject.network.name}",
    )


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
            f"swaps a filter pruned by l2 and a kept one is "
            f"{percent(table['swap_filters'].median())} in the median layer and "
            f"{percent(table['swap_filters'].max())} in ",
            *names([table.loc[table["swap_filters"].idxmax(), "layer"]], 1),
            ".",
        ]
    text = emptied(subject)
    if text:
        yield [Strong("Global pruning"), ": ", *text]


def _overview(subject: Subject) -> Block:
    rows = [row for row in subject.results if row.verdict != "not applicable"]
    fails = sum(row.verdict == "fails" for row in rows)
    return picture(
        figures.overview(subject.table),
        f"Conditions by layer of {subject.network.name}: the effect, and the verdict on it.",
        f"A grid of {len(subject.network)} layers by {len(subject.conditions)} conditions; "
        f"{fails} of {len(rows)} verdicts say that a condition fails.",
    )
