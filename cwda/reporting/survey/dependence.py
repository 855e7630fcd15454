"""What the effects depend on: the mixed models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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
        "compared with the commonest. Family and network have random intercepts, each family "
        "slopes of its own along all terms, and each network one along depth."
    )
    yield Equation(
        '"asinh"("effect" / "margin") = beta_0 + beta_1 "depth" + beta_2 log_2 N\' + '
        'beta_"kernel" + bold(x)^top bold(u)_"family" + v_"network" + w_"network" "depth" + e',
        "asinh of effect over margin is an intercept, plus terms of depth, of the logarithm of "
        "the number of filters, and of the kernel, plus random terms of all of these by family, "
        "and of intercept and depth by network",
    )
    yield picture(
        survey_terms(found),
        f"Fixed terms with their {100 * level:g} % intervals. Right of the line the effect grows "
        "with depth, width, or such a kernel.",
        "One row per condition, with a point and an interval for each term.",
    )
    yield Note(
        "A term of .2 multiplies an effect that is large against its margin by exp(.2) = 1.22. "
        "Intervals come from leaving out each family in turn, with t quantiles of the effective "
        "number of families less one; they take families for independent and nothing else."
    )
    yield _estimates(found)
    reasons = [f"{row.condition}, {row.term}: {row.reason}." for row in found if row.reason]
    if reasons:
        yield Paragraph("Terms without an estimate:")
        yield Items(reasons)
    yield _spreads(found)


def _estimates(found: MixedModels) -> Table:
    by_condition: dict[str, dict[str, ModelTerm]] = {}
    terms: dict[str, str] = {}
    for row in found:
        by_condition.setdefault(row.condition, {})[row.term] = row
        terms.setdefault(row.term, row.meaning)
    return Table(
        [Column("condition", "text"), *(Column(term, "text") for term in terms)],
        [
            [condition, *(_estimate(rows, term) for term in terms)]
            for condition, rows in by_condition.items()
        ],
        "Estimates by restricted maximum likelihood, with intervals: "
        + "; ".join(f"{term}, {meaning}" for term, meaning in terms.items())
        + ". An asterisk marks p of .05 or less.",
    )


def _estimate(rows: Mapping[str, ModelTerm], term: str) -> str:
    row = rows.get(term)
    if row is None:
        return "compared with"
    star = "*" if row.pvalue <= _MARKED else ""
    return f"{interval(row.estimate, row.low, row.high)}{star}"


def _spreads(found: MixedModels) -> Table:
    first: dict[str, ModelTerm] = {}
    for row in found:
        if not row.reason:
            first.setdefault(row.condition, row)
    depths = {row.condition: row for row in found if row.term == "depth" and not row.reason}
    return Table(
        [
            Column("condition", "text"),
            Column("families"),
            Column("networks"),
            Column("layers"),
            Column("SD of families"),
            Column("SD of networks"),
            Column("SD of layers"),
            Column("SD of slopes, families"),
            Column("networks"),
        ],
        [
            [
                row.condition,
                str(row.families),
                str(row.networks),
                f"{row.layers:,}",
                number(row.family_sd),
                number(row.network_sd),
                number(row.layer_sd),
                *_slopes(depths.get(row.condition)),
            ]
            for row in first.values()
        ],
        "What depth, width and kernel leave open: standard deviations between families, between "
        "networks of a family, and between layers of a network; and of the slopes along depth, "
        "between families and between networks of a family.",
    )


def _slopes(depth: ModelTerm | None) -> list[str]:
    """Standard deviations of the slopes along depth, where it has an estimate."""
    if depth is None:
        return ["–", "–"]
    return [number(depth.slope_sd), number(depth.network_slope_sd)]
