"""The block structure of F F^T: shares of its energy, and pictures of a few layers."""

from __future__ import annotations

from cwda import figures
from cwda.conditions.results import ConditionResult
from cwda.figures.drawing.canvas import panels
from cwda.formatting import number, percent
from cwda.reporting.blocks import Block, Column, Note, Paragraph, Table, names
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.pictures import picture
from cwda.reporting.subject import Subject

__all__ = ["covariance"]


def _blocks(report: Report) -> list[Block]:
    """Where the covariance of the weights lies, and how it looks."""
    return [
        Paragraph(
            "The assumption puts all of the covariance matrix Σ on its diagonal and, a little of "
            "it, inside the blocks of one input channel. The paper estimates it by F Fᵀ/N' and "
            "shows it as an image. With fewer filters than dimensions, most of what such an image "
            "shows off the diagonal is sampling noise; the shares below are free of it."
        ),
        *report.sections(lambda subject: [*_pictures(subject), _table(subject)]),
        Note(
            "Shares are of the squared norm of Σ, by unbiased U-statistics, so that a share can "
            "be slightly below 0. The effective dimension tr(Σ)²/tr(Σ²) is d where all "
            "variances are equal and nothing correlates."
        ),
    ]


covariance = Chapter("Block structure of the covariance", _blocks)


def _shares(subject: Subject) -> list[ConditionResult]:
    """One row per layer that holds the shares of energy, of the first condition that has them."""
    rows = [row for row in reversed(subject.results) if "energy_within" in row.details]
    return list({row.layer: row for row in rows}.values())


def _pictures(subject: Subject) -> list[Block]:
    """The images of the layers with the smallest and the largest share inside the blocks."""
    rows = sorted(_shares(subject), key=lambda row: row.details["energy_within"])
    if not rows or not subject.has_weights:
        return []
    ends = list(dict.fromkeys(row.layer for row in (rows[0], rows[-1])))
    axes = panels(len(ends), height=72)
    for layer, ax in zip(ends, axes, strict=True):
        figures.covariance(subject.judged(layer), ax=ax)
    return [
        picture(
            axes,
            [
                "F Fᵀ/N' with the grid of its blocks: ",
                *names(ends),
                ", the layers with the smallest and the largest share inside the blocks.",
            ],
            f"Covariance images of {' and '.join(ends)}.",
        )
    ]


def _table(subject: Subject) -> Table:
    shares = {row.layer: row for row in _shares(subject)}
    rows = [shares[layer.name] for layer in subject.network if layer.name in shares]
    return Table(
        [
            Column("layer", "name"),
            Column("N'"),
            Column("d"),
            Column("diagonal"),
            Column("in blocks"),
            Column("between"),
            Column("effective d"),
        ],
        [
            [
                row.layer,
                str(row.n_filters),
                str(row.dim),
                percent(row.details["energy_diagonal"]),
                percent(row.details["energy_within"]),
                percent(row.details["energy_between"]),
                number(row.details["effective_dim"]),
            ]
            for row in rows
        ],
        f"Shares of the energy of the covariance matrix in {subject.network.name}.",
    )
