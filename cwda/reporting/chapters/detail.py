"""A page per layer, on request."""

from __future__ import annotations

from cwda import figures
from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Panels, panels
from cwda.formatting import many, number, p_value
from cwda.layers import ConvLayer
from cwda.reporting.blocks import (
    Block,
    Cell,
    Column,
    Heading,
    Name,
    PageBreak,
    Paragraph,
    Picture,
    Table,
)
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.pictures import picture
from cwda.reporting.subject import Subject

__all__ = ["detail"]


def _blocks(report: Report) -> list[Block]:
    """All that is known about each layer, one page per layer."""
    blocks: list[Block] = []
    subjects = report.subjects
    for subject in subjects:
        for layer in subject.network:
            if blocks and isinstance(blocks[-1], Picture):  # a layer without goes on here
                blocks.append(PageBreak())
            blocks += _layer(subject, layer, named=len(subjects) > 1)
    return blocks


detail = Chapter("Layer by layer", _blocks, when=lambda report: report.detail)


def _layer(subject: Subject, layer: ConvLayer, *, named: bool) -> list[Block]:
    kernel = " × ".join(map(str, layer.kernel))
    groups = f", {layer.groups} groups" if layer.groups != 1 else ""
    of = f" of {subject.network.name}" if named else ""
    return [
        Heading([Name(layer.name), of], 2),
        Paragraph(
            f"{many(layer.n_filters, 'filter')} of {many(layer.channels, 'input channel')}, "
            f"kernel {kernel}{groups}: d = {layer.dim}, {many(layer.n_weights, 'weight')}."
        ),
        _conditions(subject, layer),
        *(_pictures(subject.judged(layer.name)) if subject.has_weights else ()),
    ]


def _conditions(subject: Subject, layer: ConvLayer) -> Table:
    columns = [Column("condition", "text"), Column("effect"), Column("low"), Column("high")]
    columns += [Column("margin"), Column("p"), Column("verdict", "text"), Column("reason", "text")]
    rows = [row for row in subject.results if row.layer == layer.name]
    return Table(
        columns,
        [
            [
                row.condition,
                number(row.effect),
                number(row.effect_low),
                number(row.effect_high),
                number(row.margin),
                p_value(row.pvalue),
                Cell.of_verdict(row.verdict),
                row.reason,
            ]
            for row in rows
        ],
        ["Conditions of ", Name(layer.name), "."],
    )


def _pictures(layer: ConvLayer) -> list[Block]:
    try:
        axes = _panels(layer)
    except CwdaError as error:
        return [Paragraph(f"No figures: {error}.")]
    return [
        picture(
            axes,
            "Covariance image with its block grid; Q-Q plot of the weights; histograms of the "
            "l1 and l2 norms with the prediction of the assumption.",
            f"Four panels on the weights of layer {layer.name}.",
        )
    ]


def _panels(layer: ConvLayer) -> Panels:
    axes = panels(4)
    figures.covariance(layer, ax=axes[0])
    figures.qq(layer, ax=axes[1])
    for criterion, ax in zip(("l1", "l2"), axes[2:], strict=True):
        figures.score_histogram(layer, criterion, ax=ax)
    return axes
