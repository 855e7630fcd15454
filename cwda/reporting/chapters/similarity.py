"""Similarity of pruning criteria, measured and predicted."""

from __future__ import annotations

import math

from cwda import figures
from cwda.comparison import Comparison
from cwda.comparison.transition import compare_transitions
from cwda.figures.drawing.canvas import Panels, panels
from cwda.formatting import number, percent
from cwda.reporting.blocks import Block, Column, Equation, Note, Paragraph, Table
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.pictures import picture
from cwda.reporting.subject import RATIO, Subject
from cwda.theory import CROSS_FITTED, LADDER

__all__ = ["similarity"]

#: The rung drawn with the measurements: CWDA in full is `block`, the best one this.
BEST_RUNG = CROSS_FITTED

#: The pairs drawn; the tables have all.
PAIRS = (("l1", "l2"), ("l2", "gm"))


def _blocks(report: Report) -> list[Block]:
    """Rank correlations of the criteria in each layer, measured and predicted."""
    return [
        Paragraph(
            "Norm-based criteria score a filter by its l1 norm, its l2 norm, the sum of its "
            "distances to the other filters (GM) or its distance to their geometric median "
            "(Fermat); filters with small scores are pruned. Spearman's rank correlation of two "
            "scores over the filters of a layer tells whether the criteria are interchangeable."
        ),
        Paragraph(
            "For Gaussian filters, two log-scores with correlation ρ give n filters the expected "
            "coefficient"
        ),
        Equation(
            'EE thin "Sp" = 6 / (pi (n + 1)) (arcsin rho + (n - 2) arcsin rho / 2)',
            "the expected Spearman coefficient is 6 over pi times n plus 1, times arcsine rho "
            "plus n minus 2 times arcsine of rho over 2",
        ),
        Paragraph(
            "Independent Gaussian filters of one scale (isotropic) give l1 with l2 the "
            "coefficient .930 for every d, not 1. Real layers lie higher where their filters "
            "differ in scale, which the assumption excludes. The models form a ladder, whose rungs "
            f"are {'; '.join(f'{rung.name} ({rung.words})' for rung in LADDER)}."
        ),
        *report.sections(_network, needs_weights=True),
        Note(
            "Coverage is the share of the layers whose measured coefficient lies within the "
            "prediction interval. Up to the rung scale the intervals hold the scatter of the "
            "filters, not the uncertainty of the fitted model; those of cross-fitted hold its "
            "error on public networks. The row bound is no prediction: the correlation formula on "
            "moments measured on the scores themselves. Cross-fitted moments come from one half of "
            "the filters and predict the other; averaged over halves they describe the layer, and "
            "do not say how well filters never seen would be predicted."
        ),
    ]


similarity = Chapter("Similarity of pruning criteria", _blocks)


def _network(subject: Subject) -> list[Block]:
    result = subject.similarity
    measured = result.summary()
    if not measured["layers"].sum():
        reasons = ", ".join(dict.fromkeys(result.table["reason"]))
        return [Paragraph(f"No rank correlation is defined in any layer: {reasons}.")]
    blocks: list[Block] = [
        picture(
            figures.similarity_map(result),
            f"Spearman's coefficient of every pair of criteria in each layer of "
            f"{subject.network.name}.",
            f"Heat map of {len(subject.network)} layers by {len(measured)} pairs of criteria; "
            f"medians from {number(measured['median'].min())} to "
            f"{number(measured['median'].max())}.",
        ),
        _measured(subject),
        *_reliability(subject),
    ]
    if subject.comparison.table["predicted"].notna().any():
        blocks += [
            picture(
                _scatter(subject.comparison),
                f"Measured against predicted coefficients (rung {BEST_RUNG.name}), with "
                f"{100 * subject.comparison.level:g} % prediction intervals; on the diagonal both "
                "agree.",
                "Scatter of measured against predicted Spearman coefficients.",
            ),
            _predicted(subject),
            *_transitions(subject),
        ]
    return blocks


def _scatter(comparison: Comparison) -> Panels:
    axes = panels(len(PAIRS), height=76)
    for pair, ax in zip(PAIRS, axes, strict=True):
        figures.predicted_measured(comparison, pair, rung=BEST_RUNG, ax=ax)
    return axes


def _measured(subject: Subject) -> Table:
    columns = [Column("pair", "text"), Column("layers"), Column("median"), Column("lowest")]
    noisy = bool(subject.similarity.images)
    columns += [Column("over .9"), *[Column("without noise")] * noisy, Column("lowest in", "name")]
    return Table(
        columns,
        [
            [
                f"{row.criterion_a} with {row.criterion_b}",
                str(row.layers),
                number(row.median),
                number(row.minimum),
                percent(row.share_above_90),
                *[number(row.disattenuated)] * noisy,
                row.lowest_layer,
            ]
            for row in subject.similarity.summary().itertuples()
        ],
        f"Measured Spearman coefficients over the layers of {subject.network.name}."
        + (
            " Without noise: median of what they would be with images without end, which can "
            "exceed 1."
            if noisy
            else ""
        ),
    )


def _reliability(subject: Subject) -> list[Block]:
    """How far the scores of criteria from data depend on the images."""
    result = subject.reliability
    if not result.images:
        return []
    columns = [Column("criterion", "text"), Column("layers"), Column("reliability")]
    columns += [Column("lowest"), Column("changed"), Column("images needed")]
    rows = [
        [
            row.criterion,
            str(row.layers),
            number(row.median),
            number(row.minimum),
            percent(row.share_changed),
            f"{row.images_needed:,.0f}" if math.isfinite(row.images_needed) else "–",
        ]
        for row in result.summary().itertuples()
    ]
    return [
        Table(
            columns,
            rows,
            f"Reliability of the scores on {result.images:,} images (median of the layers): the "
            "rank correlation to expect with another draw of as many. Changed: share of the "
            f"filters pruned at {percent(RATIO)} that it would spare. Images needed: for a "
            f"reliability of {number(result.target)}.",
        ),
        *(Note(f"{line}.") for line in result.warnings),
    ]


def _predicted(subject: Subject) -> Table:
    columns = [Column("pair", "text"), Column("rung", "text"), Column("layers")]
    columns += [Column("mean abs. error"), Column("bias"), Column("coverage")]
    return Table(
        columns,
        [
            [
                f"{row.criterion_a} with {row.criterion_b}",
                row.rung,
                str(row.layers),
                number(row.mae),
                number(row.bias),
                percent(row.coverage),
            ]
            for row in subject.comparison.summary().itertuples()
        ],
        "Predicted coefficients compared with measured ones, by pair and rung.",
    )


def _transitions(subject: Subject) -> list[Block]:
    """Whether the layers that change the number of channels differ from the others."""
    table = subject.comparison.table
    rows = table[table["rung"] == BEST_RUNG.name]
    found = compare_transitions(rows).query("transitions > 0 and others > 0")
    if found.empty:
        return []
    columns = [Column("pair", "text"), Column("transition layers"), Column("median")]
    columns += [Column("others"), Column("median of others"), Column("p")]
    return [
        Table(
            columns,
            [
                [
                    f"{row.criterion_a} with {row.criterion_b}",
                    str(row.transitions),
                    number(row.median_transition),
                    str(row.others),
                    number(row.median_other),
                    number(row.pvalue_within_networks),
                ]
                for row in found.itertuples()
            ],
            "Measured coefficients in transition layers, where kernels of several positions change "
            "the number of channels, and in the others; p: permutations of the labels.",
        )
    ]
