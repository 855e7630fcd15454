"""`cwda report`: the statistical report as PDF or HTML."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from cwda.cli.messages import note
from cwda.cli.options import Assignment, device_option
from cwda.cli.sources import Sources, source_options
from cwda.cli.verb import Verb

__all__ = ["command_line", "report"]


@click.command(
    cls=Verb,
    short_help="Write the statistical report, PDF or HTML.",
    epilog="""\b
Examples:
  cwda report --output resnet20.pdf
  cwda report resnet18 resnet34 --output both.html --output both.pdf
  cwda report epoch-*.pth --trajectory --output training.pdf
""",
)
@source_options
@click.option("--output", "outputs", required=True, multiple=True, metavar="FILE",
              type=click.Path(path_type=Path),
              help="FILE.pdf or FILE.html; repeatable.")  # fmt: skip
@click.option("--detail", is_flag=True, help="Add a page per layer.")
@click.option("--trajectory", is_flag=True,
              help="The checkpoints are of one training run; the last number in a name is the "
              "epoch.")  # fmt: skip
@click.option("--paper", type=click.Choice(["a4", "us-letter"]), default="a4", show_default=True)
@click.option("--date", metavar="TEXT", help="The date printed; default: today.")
@click.option("--no-date", is_flag=True, help="Print no date: equal input gives equal bytes.")
@click.option("--level", default=0.90, show_default=True, metavar="LEVEL",
              help="Confidence of the intervals; a verdict errs with probability "
              "(1 - LEVEL) / 2 at most.")  # fmt: skip
@click.option("--margin", "margins", multiple=True, type=Assignment("NAME=VALUE", "epsilon=0.25"),
              help="Largest effect that counts as negligible; repeatable.")  # fmt: skip
@device_option
def report(
    sources: Sources,
    outputs: tuple[Path, ...],
    detail: bool,
    trajectory: bool,
    paper: str,
    date: str | None,
    no_date: bool,
    level: float,
    margins: tuple[tuple[str, float], ...],
    device: str,
) -> None:
    """Write the statistical report of one or several networks.

    Verdicts in words, a chapter per condition, the block structure of the covariance,
    similarity and applicability of pruning criteria, global pruning, and an appendix.
    """
    from cwda.conditions import check
    from cwda.files import require_writable
    from cwda.reporting.build import FORMATS
    from cwda.reporting.build import report as write

    for output in outputs:
        require_writable(output, tuple(FORMATS))
    result = check(sources.load(), level=level, margins=dict(margins), device=device)
    for output in dict.fromkeys(outputs):
        write(
            result,
            output,
            detail=detail,
            trajectory=trajectory,
            paper="us-letter" if paper == "us-letter" else "a4",
            date="" if no_date else date,
            command=command_line("cwda report"),
            device=device,
        )
        note(f"wrote {output}")
    sources.finish()


def command_line(command: str) -> str:
    """The command as it was typed, for a reader who wants to run it again."""
    words = sys.argv[1:]
    if words[:1] == command.split()[1:]:
        words = words[1:]
    return " ".join([command, *map(shlex.quote, words)])
