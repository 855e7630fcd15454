"""Which conditions hold where: in which layers."""

from __future__ import annotations

from collections.abc import Iterator

from cwda.formatting import percent
from cwda.population.bands import GROUPINGS
from cwda.population.shares import TOGETHER, verdict_shares
from cwda.population.tables import Surveyed
from cwda.reporting.blocks import Block, Heading, Note, Paragraph
from cwda.reporting.pictures import picture
from cwda.reporting.survey.cells import cross_table

__all__ = ["where"]


def where(survey: Surveyed, level: float) -> Iterator[Block]:
    """Shares of the layers in which conditions hold or fail, also by group."""
    from cwda.figures.survey.survey_verdicts import survey_verdicts

    yield Paragraph(
        "A condition holds where the whole interval of its effect lies within the margin, fails "
        "where it lies beyond, and is inconclusive otherwise. Narrow layers are inconclusive more "
        "often: they have few filters."
    )
    yield picture(
        survey_verdicts(survey, "layers"),
        "Share of the layers, networks counted alike; the first page has that of the networks. The "
        "line is the 95 % interval of the share that holds.",
        "One bar per condition, divided into layers that hold, are open, and fail.",
    )
    for grouping in GROUPINGS.values():
        if grouping.name == "all":
            continue
        table = verdict_shares(survey, grouping.name, level=level).table
        table = table[table["unit"] == "layers"]
        conditions = [name for name in dict.fromkeys(table["condition"]) if name != TOGETHER]
        groups = [name for name in grouping.order if name in set(table["group"])]
        yield Heading(f"By {grouping.name}: {grouping.words}", 2)
        yield cross_table(
            table,
            "fails",
            grouping.name,
            groups or sorted(set(table["group"])),
            [*conditions, TOGETHER],
            percent,
            f"Share of the layers in which each condition fails, by {grouping.name}.",
        )
    yield Note("A dash stands where no layer of the group can be judged.")
