"""The networks one by one: the mildest and the farthest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cwda.formatting import number
from cwda.population.networks import NetworkStanding, standings
from cwda.population.tables import Surveyed
from cwda.reporting.blocks import Block, Column, Paragraph, Table
from cwda.reporting.pictures import picture

__all__ = ["ranks"]

#: So many at each end; and at most so many in the figure.
_ENDS, _MOST_DRAWN = 10, 120


def ranks(survey: Surveyed, level: float) -> Iterator[Block]:
    """The networks closest to the assumption, and farthest from it."""
    from cwda.figures.survey.survey_map import survey_map

    rows = standings(survey).rows
    yield Paragraph(
        "Networks are ordered by the median over the conditions of effect / margin: below 1 most "
        "effects are negligible."
    )
    if len(rows) <= 2 * _ENDS:
        yield _table(rows, "All networks, the mildest first.")
    else:
        yield _table(rows[:_ENDS], f"The {_ENDS} networks closest to the assumption.")
        yield _table(rows[-_ENDS:], f"The {_ENDS} networks farthest from it.")
    if len(rows) <= _MOST_DRAWN:
        yield picture(
            survey_map(survey, "network"),
            "Effect of each condition in each network as a whole, in margins.",
            "A table of colours: networks in rows, conditions in columns.",
            high=True,
        )


def _table(rows: Sequence[NetworkStanding], caption: str) -> Table:
    return Table(
        [
            Column("network", "name"),
            Column("family", "text"),
            Column("layers"),
            Column("hold"),
            Column("fail"),
            Column("median effect"),
            Column("largest", "text"),
        ],
        [
            [
                row.network,
                row.family,
                str(row.layers),
                f"{row.holds} of {row.judged}",
                f"{row.fails} of {row.judged}",
                number(row.excess),
                f"{row.worst} ({number(row.worst_excess)})",
            ]
            for row in rows
        ],
        f"{caption} Conditions that hold and fail in the network as a whole; median and largest "
        "effect in margins.",
    )
