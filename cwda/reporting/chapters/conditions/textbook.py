"""Textbook tests: what a reader expects, and why it misleads."""

from __future__ import annotations

from cwda.formatting import percent
from cwda.reporting.blocks import Block, Column, Note, Paragraph, Table
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.subject import Subject
from cwda.textbook_tests import MOST_SAMPLES, TESTS
from cwda.textbook_tests.result import count_passes

__all__ = ["textbook"]


def _blocks(report: Report) -> list[Block]:
    """Textbook tests of each layer: how many pass at .05, and why that misleads."""
    return [
        Paragraph(
            "These are the tests that a reader expects, by pingouin, statsmodels and scipy. They "
            "ask whether an exact statement can be rejected, not how far it is from true: with few "
            "filters nearly everything passes, with a million weights nearly nothing does. The "
            "verdicts of this report do not rest on them."
        ),
        *report.sections(_network, needs_weights=True),
        Table(
            [Column(head, "text") for head in ("test", "null hypothesis", "by", "why it misleads")],
            [[test.name, test.null, test.function, test.misleads] for test in TESTS],
            "What each test asks, and what it cannot say.",
        ),
    ]


textbook = Chapter("Textbook tests", _blocks, when=lambda report: report.textbook)


def _network(subject: Subject) -> list[Block]:
    columns = [Column("test", "text"), Column("layers at .05", "text"), Column("Holm")]
    columns += [Column("BH"), Column("n/a"), Column("share")]
    rows = [
        [
            count.test,
            count.statement.replace(" at .05", ""),
            str(count.passes_holm) if count.layers else "–",
            str(count.passes_bh) if count.layers else "–",
            str(count.not_applicable),
            percent(count.share_passing),
        ]
        for count in count_passes(subject.textbook)
    ]
    return [
        Table(columns, rows, f"Textbook tests in the layers of {subject.network.name}."),
        Note(
            "A layer passes with p > .05; under TOST, whose null hypothesis is a departure, with "
            f"p ≤ .05. Positions, filters and channels are tested one by one, {MOST_SAMPLES} of a "
            "layer at most, evenly spaced (8 channels for their correlations): the layer's p is "
            "their number times their smallest p, at most 1. Holm and BH count the layers that "
            "pass after adjustment over layers; share is the share of these tests with p > .05, "
            "each for itself, in the median layer."
        ),
    ]
