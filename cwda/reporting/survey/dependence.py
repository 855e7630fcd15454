"""What the effects depend on: the mixed models."""

from __future__ import annotations

from collections.abc import Iterator

from cwda.formatting import number
from cwda.population.regression import MixedModels, ModelTerm, mixed_models
from cwda.population.tables import Surveyed
from cwda.reporting.blocks import Block, Column, Equation, Items, Note, Paragraph, Table
from cwda.reporting.pictures import picture
from cwda.reporting.survey.cells import interval

__all__ = ["dependence"]

_MARKED = 0.05


def dependence(survey: Surveyed, level: float) -> Iterator[Block]:
    """Effects against depth, width and kernel, and how much is the network's."""
    from cwda.figures.survey.survey_terms import survey_terms

    found = mixed_models(survey, level=level)
    yield Paragraph(
        "One mixed model per condition, on the layers that it judges. Depth goes from 0 for the "
        "first layer to 1 for the last, width is counted in doublings of the filters, kernels are "
        "compared with 3 by 3. Family and network have random intercepts, and each network a "
        "random slope along depth."
    )
    yield Equation(
        '"asinh"("effect" / "margin") = beta_0 + beta_1 "depth" + beta_2 log_2 N\' + '
        'beta_"kernel" + u_"family" + v_"network" + w_"network" "depth" + e',
        "asinh of effect over margin is an intercept, plus terms of depth, of the logarithm of "
        "the number of filters, and of the kernel, plus random terms of family and network",
    )
    yield picture(
        survey_terms(found),
        f"Fixed terms with their {100 * level:g} % intervals. Right of the line the effect grows "
        "with depth, width, or such a kernel.",
        "One row per condition, with a point and an interval for each term.",
    )
    yield Note(
        "A term of .2 multiplies an effect that is large against its margin by exp(.2) = 1.22. "
        "Intervals are Wald's; they take families for independent."
    )
    yield _estimates(found)
    reasons = [f"{row.condition}, {row.term}: {row.reason}." for row in found if row.reason]
    if reasons:
        yield Paragraph("Terms without an estimate:")
        yield Items(reasons)
    yield _spreads(found)


def _estimates(found: MixedModels) -> Table:
    by_condition: dict[str, list[ModelTerm]] = {}
    for row in found:
        by_condition.setdefault(row.condition, []).append(row)
    terms = dict.fromkeys((row.term, row.meaning) for row in found)
    return Table(
        [Column("condition", "text"), *(Column(term, "text") for term, _ in terms)],
        [
            [condition, *(_estimate(row) for row in rows)]
            for condition, rows in by_condition.items()
        ],
        "Estimates by restricted maximum likelihood, with intervals: "
        + "; ".join(f"{term}, {meaning}" for term, meaning in terms)
        + ". An asterisk marks p of .05 or less.",
    )


def _estimate(row: ModelTerm) -> str:
    star = "*" if row.pvalue <= _MARKED else ""
    return f"{interval(row.estimate, row.low, row.high)}{star}"


def _spreads(found: MixedModels) -> Table:
    first: dict[str, ModelTerm] = {}
    for row in found:
        if not row.reason:
            first.setdefault(row.condition, row)
    return Table(
        [
            Column("condition", "text"),
            Column("families"),
            Column("networks"),
            Column("layers"),
            Column("SD of families"),
            Column("SD of networks"),
            Column("SD of slopes"),
            Column("SD of layers"),
        ],
        [
            [
                row.condition,
                str(row.families),
                str(row.networks),
                f"{row.layers:,}",
                number(row.family_sd),
                number(row.network_sd),
                number(row.slope_sd),
                number(row.layer_sd),
            ]
            for row in first.values()
        ],
        "What depth, width and kernel leave open: standard deviations between families, between "
        "networks of a family, of the slopes along depth between networks, and between layers of "
        "a network.",
    )
