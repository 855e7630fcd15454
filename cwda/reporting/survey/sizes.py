"""How large the effects are, in all layers and by what they have in common."""

from __future__ import annotations

from collections.abc import Iterator

from cwda.formatting import number
from cwda.population.bands import GROUPINGS
from cwda.population.effects import effect_quantiles
from cwda.population.tables import Surveyed
from cwda.reporting.blocks import Block, Column, Heading, Paragraph, Table
from cwda.reporting.pictures import picture
from cwda.reporting.survey.cells import cross_table, interval

__all__ = ["sizes"]


def sizes(survey: Surveyed, level: float) -> Iterator[Block]:
    """Quantiles of every effect, and medians by depth, width, kernel, groups and task."""
    from cwda.figures.survey.survey_effects import survey_effects

    found = effect_quantiles(survey, level=level)
    yield Paragraph(
        "An effect is compared with its margin, the largest that counts as negligible. In these "
        "quantiles networks count alike: a layer weighs one over the number of its network's "
        "layers."
    )
    yield picture(
        survey_effects(survey),
        "Effects in all layers, in margins: each point is a layer, the bar spans half of the "
        "layers, the thin line nine tenths, the circle is the median. Left of the dashed line an "
        "effect is negligible.",
        "One row of points per condition, against the effect in margins.",
    )
    yield Table(
        [
            Column("condition", "text"),
            Column("layers"),
            Column("margin"),
            Column("5 %"),
            Column("25 %"),
            Column("median", "text"),
            Column("75 %"),
            Column("95 %"),
        ],
        [
            [
                row.condition,
                f"{row.layers:,}",
                number(row.margin),
                number(row.q05),
                number(row.q25),
                interval(row.median, row.median_low, row.median_high),
                number(row.q75),
                number(row.q95),
            ]
            for row in found
        ],
        f"Quantiles of the effects over the layers; the median with its {100 * level:g} % "
        "interval.",
    )
    conditions = [row.condition for row in found]
    for grouping in GROUPINGS.values():
        if grouping.name in ("all", "family"):
            continue
        table = effect_quantiles(survey, grouping.name, level=level).table
        groups = [name for name in grouping.order if name in set(table["group"])]
        yield Heading(f"By {grouping.name}: {grouping.words}", 2)
        yield cross_table(
            table,
            "median",
            grouping.name,
            groups or sorted(set(table["group"])),
            conditions,
            number,
            f"Median effects by {grouping.name}.",
        )
