"""The families of networks, one by one."""

from __future__ import annotations

from collections.abc import Iterator

from cwda.formatting import number
from cwda.population.networks import standings
from cwda.population.shares import TOGETHER, verdict_shares
from cwda.population.tables import Surveyed, analysed
from cwda.reporting.blocks import Block, Column, Note, Paragraph, Table
from cwda.reporting.pictures import picture

__all__ = ["families"]


def families(survey: Surveyed, level: float) -> Iterator[Block]:
    """Effects of each condition in each family, and how many of its networks hold."""
    from cwda.figures.survey.survey_map import survey_map

    yield Paragraph(
        "Networks that were trained by the same people for the same task are not independent: "
        "they are a family. Every interval of this report is over families."
    )
    yield picture(
        survey_map(survey, "family"),
        "Effect of each condition in the networks as a whole, in margins; median over the networks "
        "of a family. Blue is within the margin, red beyond.",
        "A table of colours: families in rows, conditions in columns.",
        high=True,
    )
    yield _table(survey, level)
    yield Note(
        "Read a row as: of the networks of this family so many hold in all conditions that can be "
        "judged, and so many fail in one at least; in the median network the median condition has "
        "an effect of so many margins."
    )


def _table(survey: Surveyed, level: float) -> Table:
    told = standings(survey).table.groupby("family")
    excess, worst = told["excess"].median(), told["worst"].agg(lambda names: names.mode().iloc[0])
    shares = verdict_shares(survey, "family", level=level)
    layers = analysed(survey).groupby("family")["n_layers"].sum()
    rows = [row for row in shares if row.unit == "networks" and row.condition == TOGETHER]
    rows.sort(key=lambda row: float(excess[row.group]))
    return Table(
        [
            Column("family", "name"),
            Column("networks"),
            Column("layers"),
            Column("all hold"),
            Column("one fails"),
            Column("median effect"),
            Column("largest effect", "text"),
        ],
        [
            [
                row.group,
                str(row.networks),
                f"{layers[row.group]:,}",
                str(round(row.holds * row.networks)),
                str(round(row.fails * row.networks)),
                number(float(excess[row.group])),
                str(worst[row.group]),
            ]
            for row in rows
        ],
        "Families, the mildest first: networks and convolutions, networks in which all conditions "
        "hold or one fails, median effect in margins, and the condition whose effect is most often "
        "the largest in margins.",
    )
