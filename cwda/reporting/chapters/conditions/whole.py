"""The network as a whole: how its layers are averaged, and how much they differ."""

from __future__ import annotations

import math

from cwda import figures
from cwda.figures.drawing.layers_axis import HIGHEST, rows_within
from cwda.formatting import layer_count, number, percent
from cwda.reporting.blocks import Block, Column, Equation, Note, Paragraph, Table
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.pictures import picture
from cwda.reporting.subject import Subject

__all__ = ["whole"]

#: So many layers have numbers in the overview of the summary.
SMALL = 20


def _blocks(report: Report) -> list[Block]:
    """How layers are averaged, how much they differ, and what a further layer would show."""
    return [
        Paragraph(
            "Each condition has an effect in the network: that of the mean of theta over the "
            "weights. For most conditions theta is the squared effect of a layer, estimated "
            "without bias, so that it may be negative; such estimates are averaged as they are."
        ),
        Equation(
            "macron(theta) = sum_l w_l theta_l, quad "
            '"SE" = sqrt(sum_l w_l^2 v_l), quad w_l = n_l / (sum_m n_m)',
            "theta bar is the sum of w l theta l; its standard error is the square root of the "
            "sum of w l squared v l; w l is the layer's share of the weights",
        ),
        Paragraph(
            "The interval is about these layers, not about others like them, and the verdict "
            "follows the same rule as for a layer. Means weighted by inverse variances are not "
            "used: estimates that happen to be small have small variances too, and pull such a "
            "mean towards 0."
        ),
        Note(
            "Counts of layers mostly measure how many filters they have: compare them with those "
            "that a network of the same shapes with independent normal weights would show, every "
            "effect 0. They come from simulated layers, and are there for the default margins "
            "and level only."
        ),
        *report.sections(
            lambda subject: [_layers(subject), _further(subject), *_every_layer(subject)]
        ),
    ]


whole = Chapter("The network as a whole", _blocks)


def _every_layer(subject: Subject) -> list[Block]:
    """The overview on a page of its own, where that of the summary has no room for numbers."""
    if len(subject.network) <= SMALL:
        return []
    with rows_within(HIGHEST):
        drawn = figures.overview(subject.table)
    return [
        picture(
            drawn,
            f"All layers of {subject.network.name}: the effect of each condition, and the verdict "
            "on it.",
            f"A grid of {len(subject.network)} layers by {len(subject.conditions)} conditions; "
            "the tables of the conditions have its numbers.",
            high=True,
        )
    ]


def _layers(subject: Subject) -> Block:
    return Table(
        [
            Column("condition", "text"),
            Column("layers"),
            Column("weights"),
            Column("beyond"),
            Column("tau"),
            Column("I²"),
            Column("hold (CWDA)"),
            Column("fail (CWDA)"),
            Column("open (CWDA)"),
        ],
        [
            [
                row.condition,
                str(row.layers),
                percent(row.weights),
                percent(row.beyond),
                number(row.tau),
                percent(row.i2),
                *(
                    f"{count} ({layer_count(expected)})"
                    for count, expected in (
                        (row.holds, row.expected_holds),
                        (row.fails, row.expected_fails),
                        (row.inconclusive, row.expected_inconclusive),
                    )
                ),
            ]
            for row in subject.whole
        ],
        "Layers judged, and the share of the weights in them; share of these layers whose "
        "estimate lies beyond the margin; standard deviation of theta between layers; share of "
        "the variance of estimates that is not their error; verdicts, with those under CWDA in "
        "brackets.",
    )


def _further(subject: Subject) -> Block:
    """By random effects; where no condition has them, a paragraph says so."""
    found = [row for row in subject.whole.of_random_layers() if not math.isnan(row.tau)]
    if not found:
        return Paragraph("There are too few layers to say what a further one would show.")
    return Table(
        [
            Column("condition", "text"),
            Column("mean layer"),
            Column("interval"),
            Column("a further layer of this kind"),
        ],
        [
            [
                row.condition,
                number(row.random_effect),
                f"{number(row.random_low)} to {number(row.random_high)}",
                f"{number(row.prediction_low)} to {number(row.prediction_high)}",
            ]
            for row in found
        ],
        "The layers taken as a sample of such layers: effect in the mean layer, each counting "
        "alike but for its error, with its interval (random effects, Hartung and Knapp), and the "
        "interval in which the effect of a further layer is predicted to lie.",
    )
