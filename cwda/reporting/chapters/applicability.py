"""Applicability: whether a criterion can tell the filters of a layer apart."""

from __future__ import annotations

import numpy as np

from cwda import figures
from cwda.comparison.applicability import VERDICTS
from cwda.formatting import number, percent
from cwda.reporting.blocks import Block, Cell, Column, Note, Paragraph, Table
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.pictures import picture
from cwda.reporting.subject import RATIO, Subject

__all__ = ["applicability"]

#: The criterion whose dispersion is drawn, if it is among those given; the table has all.
DRAWN = "l2"

#: The colours of the verdicts on conditions, in the sense of these.
TONES = dict(zip(VERDICTS, ("holds", "inconclusive", "fails", "not applicable"), strict=True))


def _blocks(report: Report) -> list[Block]:
    """Dispersion of the scores, measured and predicted, and the chance of a swap."""
    return [
        Paragraph(
            "If the scores of a layer lie close together, a criterion cannot separate redundant "
            "filters. Norms .9, .8, .4, .01 say what to prune; norms .91, .92, .93, .92 do not. "
            "Under the assumption the norms of a layer scatter by sampling alone: relatively by "
            "1/√(2 d) for the l2 norm, 2.9 % with d = 576. What scatters more is a difference "
            "between filters, and is what makes a criterion applicable. The smallest scores have "
            "to be small as well: filters that lie apart below all others, such as dead ones, can "
            "be pruned whatever the others do."
        ),
        *report.sections(_network, needs_weights=True),
        Note(
            f"Lowest: the smallest score over the median. Apart: filters whose scores lie below "
            "all that the law of the others allows. Swap: the chance that two filters on different "
            f"sides of the threshold, at a ratio of {percent(RATIO)}, would change sides in a "
            "fresh draw: of weights with the same filter scales for l1, l2, gm and fermat, of as "
            "many images for criteria from data; 50 % means that the ranking is noise. A dash "
            "stands where nothing is predicted or drawn afresh."
        ),
    ]


applicability = Chapter("Applicability", _blocks)


def _network(subject: Subject) -> list[Block]:
    table = subject.applicability.table
    blocks: list[Block] = []
    predicted = table.loc[table["cv_ratio"].notna(), "criterion"].unique()
    if len(predicted):
        drawn = DRAWN if DRAWN in predicted else predicted[0]
        blocks.append(
            picture(
                figures.dispersion(subject.applicability, drawn),
                f"Coefficient of variation of the {drawn} scores in each layer of "
                f"{subject.network.name}: measured against predicted under the assumption.",
                "Scatter of measured against predicted dispersion, a point per layer.",
            )
        )
    columns = [Column("layer", "name"), Column("criterion", "text"), Column("CV")]
    columns += [Column("predicted"), Column("ratio"), Column("lowest"), Column("apart")]
    columns.append(Column("swap"))
    columns.append(Column("verdict", "text"))
    rows = [
        [
            row.layer,
            row.criterion,
            number(row.cv),
            number(row.cv_predicted),
            number(row.cv_ratio),
            number(row.lowest),
            str(row.apart),
            percent(float(np.fmax(row.swap_filters, row.swap_images))),
            Cell(row.verdict, TONES.get(row.verdict, "not applicable")),
        ]
        for row in table.itertuples()
    ]
    return [
        *blocks,
        Table(columns, rows, f"Dispersion of the scores in {subject.network.name}."),
    ]
