"""Methods, margins, calibration, references and glossary."""

from __future__ import annotations

from collections.abc import Sequence

from cwda.conditions.register import CONDITIONS
from cwda.formatting import number
from cwda.reporting.blocks import Block, Column, Heading, Items, Link, Paragraph, Table
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.subject import Subject
from cwda.reporting.wording import GLOSSARY, REFERENCES

__all__ = ["appendix"]


def _blocks(report: Report) -> list[Block]:
    """Methods, margins, what was left out, calibration, references and glossary."""
    return [
        *_methods(report.subjects[0]),
        *_left_out(report.subjects),
        *_calibration(),
        Heading("References", 2),
        Items([[text, Link(url, url)] if url else text for text, url in REFERENCES]),
        Heading("Glossary", 2),
        Table(
            [Column("term", "text"), Column("meaning", "text")],
            [list(pair) for pair in GLOSSARY],
            "Terms and symbols.",
        ),
    ]


appendix = Chapter("Appendix", _blocks)


def _methods(subject: Subject) -> list[Block]:
    first = [subject.condition(name)[0] for name in subject.conditions]
    return [
        Heading("Methods and margins", 2),
        Table(
            [Column("condition", "text"), Column("method", "text")],
            [[row.condition, row.method] for row in first],
            "Statistic, null distribution and interval of each condition.",
        ),
        Table(
            [Column("condition", "text"), Column("margin"), Column("what it means", "text")],
            [
                [row.condition, number(row.margin), CONDITIONS[row.condition].words.reading]
                for row in first
            ],
            "The margin of each condition: the largest effect that counts as negligible.",
        ),
        Paragraph(
            "P-values are adjusted over the layers of one network and condition by Holm's method. "
            "All computation is in float64."
        ),
    ]


def _left_out(subjects: Sequence[Subject]) -> list[Block]:
    blocks: list[Block] = []
    for subject in subjects:
        network = subject.network
        for text in network.assumptions:
            blocks.append(Paragraph(f"Assumed for {network.name}: {text}."))
        if network.skipped:
            blocks.append(
                Table(
                    [Column("tensor", "name"), Column("shape", "text"), Column("reason", "text")],
                    [
                        [tensor.name, " × ".join(map(str, tensor.shape)), tensor.reason]
                        for tensor in network.skipped
                    ],
                    f"Tensors of {network.name} that are not convolution weights.",
                )
            )
    return [Heading("What was left out", 2), *blocks] if blocks else []


def _calibration() -> list[Block]:
    from cwda.calibration.result import published_summary

    columns = [Column("procedure", "text"), Column("measure", "text"), Column("nominal")]
    columns += [Column("cells"), Column("lowest"), Column("highest")]
    columns.append(Column("farthest off in", "text"))
    return [
        Heading("Calibration of the tests", 2),
        Paragraph(
            "How often a test rejects what is true, and how often an interval contains it, "
            "measured on simulated layers for which the truth is known, within the stated domain "
            "of each procedure. A cell is one design and size of layer; the lowest and highest "
            "rates are over the cells, and scatter with the number of draws."
        ),
        Table(
            columns,
            [
                [
                    row.procedure,
                    row.measure,
                    number(row.nominal),
                    str(row.cells),
                    number(row.lowest),
                    number(row.highest),
                    row.worst,
                ]
                for row in published_summary().itertuples()
            ],
            "Rates of rejection, of false verdicts, and of coverage.",
        ),
    ]
