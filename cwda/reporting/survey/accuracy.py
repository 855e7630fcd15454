"""Rank correlations of criteria over all layers: measured, and predicted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cwda.formatting import number, percent
from cwda.population.bands import GROUPINGS
from cwda.population.predictions import PredictionAccuracy, prediction_accuracy
from cwda.population.tables import Surveyed
from cwda.reporting.blocks import Block, Column, Heading, Paragraph, Table
from cwda.reporting.pictures import picture
from cwda.reporting.survey.cells import interval, percent_interval

__all__ = ["accuracy"]


def accuracy(survey: Surveyed, level: float) -> Iterator[Block]:
    """Errors and coverage of predicted rank correlations, by pair of criteria and family."""
    from cwda.figures.survey.survey_predictions import survey_predictions

    pairs = prediction_accuracy(survey, level=level).rows
    if not pairs:
        yield Paragraph("No layer has both a measured and a predicted rank correlation.")
        return
    yield Paragraph(
        "Spearman's rank correlation of two criteria in a layer, measured and predicted from "
        "moments of the weights. Networks count alike."
    )
    yield _table("pair", [row.pair for row in pairs], pairs, "By pair of criteria.")
    first = pairs[0].pair
    names = first.split(" and ")
    yield picture(
        survey_predictions(survey, (names[0], names[1])),
        f"Predicted minus measured rank correlation of {first}, by family.",
        "One row of points per family, against the error of the prediction.",
        high=True,
    )
    for by in ("family", "width"):
        rows = [row for row in prediction_accuracy(survey, by, level=level) if row.pair == first]
        order = GROUPINGS[by].order
        rows.sort(key=lambda row: order.index(row.group) if order else row.mae)
        yield Heading(f"By {by}", 2)
        yield _table(by, [row.group for row in rows], rows, f"{first} by {by}.")


def _table(
    heading: str, labels: Sequence[str], rows: Sequence[PredictionAccuracy], caption: str
) -> Table:
    return Table(
        [
            Column(heading, "text"),
            Column("networks"),
            Column("layers"),
            Column("measured"),
            Column(".9 or more"),
            Column("MAE", "text"),
            Column("bias", "text"),
            Column("coverage", "text"),
        ],
        [
            [
                label,
                str(row.networks),
                f"{row.layers:,}",
                number(row.measured),
                percent(row.above),
                interval(row.mae, row.mae_low, row.mae_high),
                number(row.bias),
                percent_interval(row.coverage, row.coverage_low, row.coverage_high),
            ]
            for label, row in zip(labels, rows, strict=True)
        ],
        f"{caption} Median of the measured correlation; share of the layers where it is .9 or "
        "more; mean absolute error and bias of the prediction; share of the layers whose 95 % "
        "prediction interval holds the measured one.",
    )
