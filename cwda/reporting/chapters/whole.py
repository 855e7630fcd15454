"""The network as a whole: how its layers are averaged, and how much they differ."""

from __future__ import annotations

import math
from functools import partial

from cwda.conditions.whole.result import NetworkCondition
from cwda.formatting import layer_count, number, percent
from cwda.reporting.blocks import Block, Cell, Column, Equation, Note, Paragraph, Strong, Table
from cwda.reporting.chapter import Chapter, Report, attempt
from cwda.reporting.subject import Subject

__all__ = ["answer", "network_table", "whole"]


def answer(report: Report) -> list[Block]:
    """What was found, for the first page: a sentence per network, and the table of a single one."""
    blocks: list[Block] = []
    for subject in report.subjects:
        blocks += attempt(partial(_answer, subject, len(report.subjects) == 1), "the first page")
    return blocks


def _answer(subject: Subject, alone: bool) -> list[Block]:
    sentence = Paragraph(Strong(subject.whole.title()))
    return [sentence, network_table(subject)] if alone else [sentence]


def network_table(subject: Subject) -> Table:
    """Effect, interval and verdict of each condition, and how many layers hold."""
    level = f"{100 * subject.level:g} %"
    return Table(
        [
            Column("condition", "text"),
            Column("effect"),
            Column("interval"),
            Column("margin"),
            Column("verdict", "text"),
            Column("hold"),
            Column("under CWDA"),
        ],
        [_cells(row) for row in subject.whole],
        f"{subject.network.name} as a whole: mean effect over the weights with its {level} "
        "interval; in how many layers the condition holds, of those that can be judged; how many "
        "would hold under CWDA, were every effect 0.",
    )


def _cells(row: NetworkCondition) -> list[str | Cell]:
    verdict = Cell.of_verdict(row.verdict)
    if not row.layers:
        return [row.condition, "–", "–", number(row.margin), verdict, "–", "–"]
    return [
        row.condition,
        number(row.effect),
        f"{number(row.effect_low)} to {number(row.effect_high)}",
        number(row.margin),
        verdict,
        f"{row.holds} of {row.layers}",
        layer_count(row.expected_holds),
    ]


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
        *report.sections(lambda subject: [_layers(subject), _further(subject)]),
    ]


whole = Chapter("The network as a whole", _blocks)


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
