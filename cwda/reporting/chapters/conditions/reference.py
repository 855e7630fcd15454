"""How the layers stand among comparable layers of other networks."""

from __future__ import annotations

from cwda.conditions.reference import UNUSUAL, placings
from cwda.formatting import number, percent
from cwda.reporting.blocks import Block, Column, Note, Paragraph, Table
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.subject import Subject

__all__ = ["reference"]

_MOST_NAMED = 30


def _blocks(report: Report) -> list[Block]:
    """How unusual the effects are among comparable layers of other networks."""
    return [
        Paragraph(
            "Each effect is set beside those of comparable layers in a reference of many networks: "
            "layers with such a kernel and as many filters, where enough networks have them. In "
            "the shares networks count alike. An effect is unusual if that share is above "
            f"{percent(UNUSUAL)} at its lower limit, which is over families of networks."
        ),
        *report.sections(_network),
        Note(
            "Unusual is not wrong: a verdict compares an effect with its margin, this chapter "
            "with what others have."
        ),
    ]


def _network(subject: Subject) -> list[Block]:
    found = placings(subject.results)
    if not found:
        return [Paragraph("No layer of this network has comparable layers in the reference.")]
    blocks: list[Block] = [
        Table(
            [
                Column("condition", "text"),
                Column("layers"),
                Column("larger than"),
                Column("unusual"),
                Column("by chance, up to"),
            ],
            [
                [
                    one.condition,
                    str(one.layers),
                    percent(one.median),
                    str(len(one.unusual)),
                    f"{one.expected:.2g}",
                ]
                for one in found
            ],
            "Share of comparable layers whose effect is smaller, median over the layers; and "
            f"number of unusual layers, and how many of an ordinary network are above "
            f"{percent(UNUSUAL)}.",
        )
    ]
    unusual = sorted((row for one in found for row in one.unusual), key=lambda r: -r.percentile)
    if unusual:
        blocks.append(
            Table(
                [
                    Column("layer", "name"),
                    Column("condition", "text"),
                    Column("effect"),
                    Column("larger than"),
                    Column("at least"),
                    Column("comparable layers", "text"),
                ],
                [
                    [
                        row.layer,
                        row.condition,
                        number(row.effect),
                        percent(row.percentile),
                        percent(row.percentile_low),
                        row.comparable,
                    ]
                    for row in unusual[:_MOST_NAMED]
                ],
                f"The most unusual layers, {_MOST_NAMED} at most.",
            )
        )
    return blocks


def _has_places(report: Report) -> bool:
    return any(row.comparable for subject in report.subjects for row in subject.results)


reference = Chapter("Layers among those of other networks", _blocks, when=_has_places)
