"""`cwda-test`: the conditions in every layer of one or several networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cwda._version import __version__
from cwda.choices import Scale
from cwda.cli.completion import conditions as all_conditions
from cwda.cli.failure import CONDITION_FAILS
from cwda.cli.messages import note, say
from cwda.cli.options import (
    bad_usage,
    device_option,
    margin_option,
    names_option,
    option,
    reference_option,
    scale_option,
    summary_option,
    verdict_level_option,
)
from cwda.cli.output import Outputs, output_option
from cwda.cli.overwriting import DRAWN
from cwda.cli.sources import SOURCES, Sources, source_options
from cwda.cli.verb import command_line, verb
from cwda.formatting import percent

if TYPE_CHECKING:
    from cwda.conditions.table import CheckResult
    from cwda.conditions.whole.result import NetworkVerdict
    from cwda.layers import Network

__all__ = ["test"]


@verb(
    "test",
    "Test the conditions of CWDA.",
    examples="""
        cwda-test
        cwda-test mine.pth theirs.safetensors resnet18
        cwda-test resnet18 --output resnet18.csv --report resnet18.pdf
        cwda-test --conditions epsilon --layers 'layer3.*' --margin epsilon=0.25
        cwda-test resnet18 --textbook --output resnet18.csv
        cwda-test mine.pth --reference reference.json
        cwda-test mine.pth --output - | head
    """,
    about_source=SOURCES,
    codes="3 with --strict, if a condition fails in any layer or a network cannot be judged; ",
)
@source_options
@names_option(
    "--conditions", "Conditions to test, separated by commas.", all_conditions, "unknown condition"
)
@verdict_level_option
@margin_option
@scale_option
@reference_option
@device_option()
@output_option
@option(
    "--report",
    "Write the statistical report to FILE.pdf or FILE.html.",
    type=DRAWN,
    metavar="FILE",
)
@option(
    "--textbook",
    "Show textbook tests too: how many layers pass at .05, and why that misleads.",
    is_flag=True,
)
@summary_option
@option(
    "--strict",
    "Exit with 3 if a condition fails in any layer, or if a network cannot be judged: by no "
    "condition in any layer, or at best in layers with less than half of its weights.",
    is_flag=True,
)
@click.version_option(__version__, prog_name="cwda-test")
def test(
    sources: Sources,
    conditions: list[str] | None,
    level: float,
    margins: tuple[tuple[str, float], ...],
    scale: Scale,
    reference: Path | None,
    device: str,
    output: Outputs,
    report: Path | None,
    textbook: bool,
    summary: bool,
    strict: bool,
) -> None:
    """Test the Convolution Weight Distribution Assumption, layer by layer.

    Each condition that the assumption implies has an effect, the size of the departure, with an
    interval. It is judged against a margin: the condition holds, fails, or is inconclusive. The
    network as a whole comes first: --output NAME.csv writes that to NAME.network.csv.
    """
    output.require("network", *["textbook"] * textbook)

    from cwda.cli.screen.conditions.show_check import show
    from cwda.conditions.check import check, choose_conditions, resolve_margins
    from cwda.conditions.reference import as_reference
    from cwda.files import require_writable

    with bad_usage():
        resolve_margins(dict(margins), choose_conditions(conditions))
    if report:
        from cwda.reporting.build import FORMATS

        require_writable(report, tuple(FORMATS))

    others = as_reference(reference)
    result = check(
        sources.load(),
        conditions,
        margins=dict(margins),
        scale=scale,
        level=level,
        reference=others,
        device=device,
    )
    screen = output.screen(summary)
    show(result, screen)
    output.write(one.table for one in [result])
    output.write_beside(lambda: result.network.table, "network")
    if textbook:
        _show_textbook(result, output, summary)
    if report:
        from cwda.reporting import report as write

        write(result, report, textbook=textbook, command=command_line(), device=device)
        note(f"wrote {report}")
    screen.command(*_where_next(result, sources))
    sources.finish()
    if strict:
        _require_pass(result)


def _where_next(result: CheckResult, sources: Sources) -> tuple[str, str]:
    """What can be looked at next, and the command that shows it."""
    if len(result.networks) > 1:
        return "next, what differs beyond noise", f"cwda contrast {sources.typed(2)}"
    if result.network.verdicts[0].verdict == "not applicable":
        return "next, what the layers look like", f"cwda describe {sources.typed()}"
    return "next, what to prune by", f"cwda advise {sources.typed()}"


def _require_pass(result: CheckResult) -> None:
    """End with `CONDITION_FAILS` unless all layers pass; what cannot be judged is told."""
    unjudged = [*filter(None, map(_why_unjudged, result.networks, result.network.verdicts))]
    for why in unjudged:
        say(f"--strict: {why}")
    if unjudged or any(row.verdict == "fails" for row in result):
        raise SystemExit(CONDITION_FAILS)


def _why_unjudged(network: Network, verdict: NetworkVerdict) -> str:
    """Why nothing can be said of a network; empty if something can.

    That a condition does not concern a layer, as one of positions does not concern a kernel of
    one, is no flaw of the layer; that no condition can be tested in it is.
    """
    from cwda.conditions.workspace import unfit

    if not verdict.layers:
        return verdict.sentences[0].removesuffix(".")
    reasons = {layer: unfit(layer) for layer in network}
    lost = [layer for layer, reason in reasons.items() if reason]
    weights = sum(layer.n_weights for layer in lost)
    if 2 * weights < network.n_weights:
        return ""
    share = percent(weights / network.n_weights)
    largest = max(lost, key=lambda layer: layer.n_weights)
    return (
        f"{network.name}: {share} of the weights lie in layers that no condition can judge, such "
        f"as {largest.name}: {reasons[largest]}"
    )


def _show_textbook(result: CheckResult, output: Outputs, summary: bool) -> None:
    """Print the textbook tests of the same networks, and write NAME.textbook.csv."""
    from cwda.cli.screen.conditions.show_textbook import show_textbook
    from cwda.textbook_tests import textbook

    tests = textbook(result.networks)
    show_textbook(tests, output.screen(summary))
    output.write_beside(lambda: tests.table, "textbook")
