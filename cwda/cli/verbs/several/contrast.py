"""`cwda contrast`: what differs between two networks beyond noise."""

from __future__ import annotations

from pathlib import Path

import click

from cwda.choices import Scale
from cwda.cli.completion import conditions as all_conditions
from cwda.cli.options import (
    Assignment,
    bad_usage,
    device_option,
    level_option,
    names_option,
    option,
    reference_option,
    scale_option,
    summary_option,
)
from cwda.cli.output import Outputs, output_option
from cwda.cli.overwriting import DRAWN
from cwda.cli.sources import SOURCES, Sources, source_options
from cwda.cli.verb import verb

__all__ = ["contrast"]


@verb(
    "contrast",
    "What differs between two networks beyond noise?",
    examples="""
        cwda contrast before.pth after.pth
        cwda contrast resnet20-cifar10:init resnet20-cifar10
        cwda contrast mine.pth theirs.onnx --conditions epsilon --output x.csv
        cwda contrast before.pth after.pth --figure changes.svg
    """,
    about_source=SOURCES.replace("; the built-in network if there is none", ""),
)
@source_options
@names_option(
    "--conditions",
    "Conditions to compare, separated by commas.",
    all_conditions,
    "unknown condition",
)
@level_option(0.95, "Confidence with which all intervals hold together.")
@option(
    "--margin",
    "Largest difference that counts as negligible for one condition; half of the condition's "
    "margin by default. Repeatable.",
    into="margins",
    multiple=True,
    type=Assignment("NAME=VALUE", "epsilon=0.05"),
)
@scale_option
@reference_option
@device_option()
@output_option
@option(
    "--figure",
    "Draw the changes with their intervals into FILE.svg, .pdf or .png.",
    type=DRAWN,
    metavar="FILE",
)
@summary_option
def contrast(
    sources: Sources,
    conditions: list[str] | None,
    level: float,
    margins: tuple[tuple[str, float], ...],
    scale: Scale,
    reference: Path | None,
    device: str,
    output: Outputs,
    figure: Path | None,
    summary: bool,
) -> None:
    """Compare the effects of two networks, such as before and after fine-tuning.

    Networks whose layers match are compared over the layers that both have, others as they are.
    A condition is the same if the interval of the difference lies within the margin, and differs
    if the interval excludes 0. --output NAME.csv also writes the layers, to NAME.layers.csv.
    """
    if len(sources.entries) != 2:
        raise click.UsageError(f"give two SOURCES to compare, not {len(sources.entries)}")
    output.require("layers")

    import cwda
    from cwda.cli.figure_file import require_drawable, write_figure
    from cwda.cli.screen.conditions.show_contrast import show_contrast
    from cwda.conditions.reference import as_reference
    from cwda.conditions.whole.contrast import resolve_margins

    with bad_usage():
        resolve_margins(dict(margins), conditions)
    others = as_reference(reference)
    if figure:
        require_drawable(figure)
    networks = sources.load()
    sources.finish()  # one alone cannot be compared
    first, second = networks
    result = cwda.contrast(
        first,
        second,
        conditions,
        margins=dict(margins),
        scale=scale,
        level=level,
        reference=others,
        device=device,
    )
    screen = output.screen(summary)
    screen.elsewhere = "--output FILE"  # standard output gets no layers
    show_contrast(result, screen)
    output.write([result.table])
    output.write_beside(
        lambda: result.layer_table, "layers", none="the networks have no layer in common"
    )
    if figure:
        from cwda.figures import contrast as draw

        write_figure(draw(result).figure, figure)
    screen.command("next, each of them", f"cwda test {sources.typed()}")
