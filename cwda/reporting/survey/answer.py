"""Is CWDA general? The first page of a survey's report."""

from __future__ import annotations

from collections.abc import Iterator

from cwda.formatting import percent
from cwda.population.generality import generality_sentences
from cwda.population.shares import verdict_shares
from cwda.population.tables import Surveyed, judged_networks, over
from cwda.reporting.blocks import Block, Column, Items, Paragraph, Strong, Table
from cwda.reporting.pictures import picture
from cwda.reporting.survey.cells import percent_interval

__all__ = ["answer"]


def answer(survey: Surveyed, level: float) -> Iterator[Block]:
    """The sentence, and the shares of networks and layers in which each condition holds."""
    from cwda.figures.survey.survey_verdicts import survey_verdicts

    first, *others = generality_sentences(survey, level=level)
    yield Paragraph(Strong(first))
    yield Items(others)
    yield picture(
        survey_verdicts(survey, "networks"),
        "Share of the networks, each judged as a whole. The line is the 95 % interval of the share "
        "that holds.",
        "One bar per condition, divided into networks that hold, are open, and fail.",
    )
    rows = verdict_shares(survey, level=level)
    layers = {row.condition: row for row in rows if row.unit == "layers"}
    yield Table(
        [
            Column("condition", "text"),
            Column("holds in networks", "text"),
            Column("fails in networks", "text"),
            Column("holds in layers"),
            Column("fails in layers"),
        ],
        [
            [
                row.condition,
                percent_interval(row.holds, row.holds_low, row.holds_high),
                percent_interval(row.fails, row.fails_low, row.fails_high),
                percent(layers[row.condition].holds),
                percent(layers[row.condition].fails),
            ]
            for row in rows
            if row.unit == "networks"
        ],
        f"Shares of the networks, each judged as a whole, with {100 * level:g} % intervals over "
        f"{over(judged_networks(survey))}; and of the layers, networks counted alike. What is "
        "neither is inconclusive.",
    )
