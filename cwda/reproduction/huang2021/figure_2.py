"""Figure 2 and section 2.1: the blocks of F F^T, and the conditions that they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cwda import figures
from cwda.conditions import check
from cwda.conditions.whole.result import NetworkCondition
from cwda.figures.drawing.canvas import Margins, panels
from cwda.formatting import many, number
from cwda.layers import ConvLayer, Network
from cwda.reporting.blocks import Block, Cell, Column, Note, Paragraph, Table
from cwda.reporting.pictures import picture
from cwda.reproduction.bench import Bench
from cwda.reproduction.finding import Finding, agreed, span
from cwda.reproduction.huang2021.layers import ranked_layers
from cwda.reproduction.paper import Part, Section

__all__ = ["FIGURE_2"]

_NAME = "Figure 2"

#: What the paper states of each condition, and in which words it says how much.
_CLAIMS = {
    "independence": (
        "Nothing lies outside the blocks of F Fᵀ: weights of different channels do not correlate",
        "0 outside the blocks (equation 1)",
    ),
    "epsilon": ("Weights of one channel correlate a little: ε is small", "small enough"),
    "variance": ("The diagonal elements are close to one another", "variance small enough"),
    "mean": ("The mean of the weights is close to 0", "close to 0"),
    "gaussianity": ("The weights of a filter are approximately Gaussian", "approximately"),
}

_RULE = (
    "in a network: agreed if the condition holds in the network as a whole, not agreed if it "
    "fails, with the margins and intervals of cwda test; over networks: agreed in all, partly in "
    "some; where it is inconclusive in all, partly"
)
#: Elements along a side of F F^T up to which each has a pixel of its own.
_LARGEST = 576

#: Layers drawn.
_DRAWN = 2


def _find(bench: Bench) -> Section:
    found = check(list(bench.networks), list(_CLAIMS), device=bench.device).network
    findings = [_finding(name, [row for row in found if row.condition == name]) for name in _CLAIMS]
    return Section(findings, lambda: _blocks(bench.networks, list(found)))


FIGURE_2 = Part(
    _NAME,
    "Figure 2: the block structure of F Fᵀ",
    "F Fᵀ is block diagonal, and the four conditions of section 2.1 hold.",
    _find,
)


def _finding(name: str, rows: Sequence[NetworkCondition]) -> Finding:
    claim, theirs = _CLAIMS[name]
    judged = [row for row in rows if row.verdict != "not applicable"]
    if not judged:
        return Finding(
            part=_NAME, claim=claim, theirs=theirs, ours="", rule=_RULE, verdict="not run",
            reason="it can be judged in no layer of these networks",
        )  # fmt: skip
    held = [row.verdict == "holds" for row in judged]
    undecided = any(row.verdict == "inconclusive" for row in judged)
    verdict = agreed(held)
    effects = [row.effect for row in judged]
    return Finding(
        part=_NAME,
        claim=claim,
        theirs=theirs,
        ours=f"{name} holds in {sum(held)} of {many(len(judged), 'network')}; effect "
        f"{span(effects)}, margin {number(judged[0].margin)}",
        rule=_RULE,
        verdict="partly" if verdict == "not agreed" and undecided else verdict,
        networks=len(judged),
        layers=sum(row.layers for row in judged),
    )


def _blocks(networks: Sequence[Network], rows: Sequence[NetworkCondition]) -> Iterator[Block]:
    drawn = _layers(networks)
    for network, layer in drawn:
        axes = panels(2, 2, height=76, margins=Margins(14, 16, 12, 8), gaps=(0.62, 0.4))
        figures.covariance(layer, ax=axes[0])
        figures.covariance_blocks(layer, ax=axes[1])
        yield picture(
            axes,
            f"F Fᵀ of {layer.name} of {network.name}, whole (left: absolute values) and among "
            f"four input channels (right: with sign); {layer.n_filters} filters of {layer.dim} "
            "weights. The paper shows such a picture; its layer is not known here.",
            f"Heat maps of F F transposed of {layer.name}: a bright diagonal, blocks along it, and "
            "the rest.",
        )
    yield Paragraph(
        "Equation 1 of the paper has small blocks along the diagonal and nothing elsewhere. "
        "Sampling alone gives each element a standard error of one over the root of the number of "
        "filters, so that a picture cannot tell a small correlation from none: the conditions "
        "below are estimated without that error."
    )
    yield Table(
        [
            Column("network", "name"), Column("condition", "text"), Column("effect"),
            Column("interval"), Column("margin"), Column("verdict", "text"), Column("layers"),
            Column("hold"),
        ],
        [_cells(row) for row in rows],
        "The conditions in each network as a whole: mean effect over the weights with its 90 % "
        "interval; layers judged, and how many of them hold.",
    )  # fmt: skip
    yield Note(
        "The tests and thresholds of the paper are not known here; margins are those of this "
        "package, and the verdicts follow the intervals."
    )


def _layers(networks: Sequence[Network]) -> list[tuple[Network, ConvLayer]]:
    """A layer in the middle of each of the first networks that has one of a size to be seen."""
    found = []
    for network in networks:
        fitting = [
            layer
            for layer in ranked_layers(network)
            if layer.kernel_size > 1 and layer.channels > 3 and layer.dim <= _LARGEST
        ]
        if fitting:
            found.append((network, fitting[len(fitting) // 2]))
    return found[:_DRAWN]


def _cells(row: NetworkCondition) -> list[str | Cell]:
    counts = [str(row.layers), f"{row.holds}"]
    return [
        row.network, row.condition, number(row.effect),
        f"{number(row.effect_low)} to {number(row.effect_high)}", number(row.margin),
        Cell.of_verdict(row.verdict), *counts,
    ]  # fmt: skip
