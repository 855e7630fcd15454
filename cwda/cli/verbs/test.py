"""`cwda-test`: the conditions in every layer of one or several networks."""

from __future__ import annotations

from pathlib import Path

import click

from cwda._version import __version__
from cwda.cli.completion import complete_conditions
from cwda.cli.completion import conditions as names_of_conditions
from cwda.cli.failure import CONDITION_FAILS
from cwda.cli.messages import note
from cwda.cli.options import Assignment, device_option, names_of, summary_option
from cwda.cli.output import Outputs, output_option
from cwda.cli.sources import Sources, source_options
from cwda.cli.verb import Verb
from cwda.errors import CwdaError

__all__ = ["cwda_test"]


@click.command(
    cls=Verb,
    short_help="Test the conditions of CWDA.",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  cwda-test
  cwda-test mine.pth theirs.safetensors resnet18
  cwda-test resnet18 --output resnet18.csv --report resnet18.pdf
  cwda-test --conditions epsilon --layers 'layer3.*' --margin epsilon=0.25
  cwda-test mine.pth --output - | head

SOURCE is a file, a folder or the name of a model; the built-in network if there
is none.
""",
    codes="3 with --strict, if a condition fails in any layer; ",
)
@source_options
@click.option("--conditions", metavar="NAMES", shell_complete=complete_conditions,
              help=f"Comma-separated: {', '.join(names_of_conditions())}; "
              "default: all.")  # fmt: skip
@click.option("--level", default=0.90, show_default=True, metavar="LEVEL",
              help="Confidence of the intervals; a verdict errs with probability "
              "(1 - LEVEL) / 2 at most.")  # fmt: skip
@click.option("--margin", "margins", multiple=True, type=Assignment("NAME=VALUE", "epsilon=0.25"),
              help="Largest effect that counts as negligible; repeatable.")  # fmt: skip
@device_option
@output_option
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the statistical report to FILE.pdf or FILE.html.")  # fmt: skip
@summary_option
@click.option("--strict", is_flag=True, help="Exit with 3 if a condition fails in any layer.")
@click.version_option(__version__, prog_name="cwda-test")
def cwda_test(
    sources: Sources,
    conditions: str | None,
    level: float,
    margins: tuple[tuple[str, float], ...],
    device: str,
    output: Outputs,
    report: Path | None,
    summary: bool,
    strict: bool,
) -> None:
    """Test the Convolution Weight Distribution Assumption, layer by layer.

    Each condition that the assumption implies has an effect, the size of the departure, with an
    interval. It is judged against a margin: the condition holds, fails, or is inconclusive.
    """
    from cwda.cli.screen.show_check import show
    from cwda.cli.verbs.report import command_line
    from cwda.conditions.check import check, choose_conditions, resolve_margins
    from cwda.conditions.layerwise import require_level
    from cwda.files import require_writable

    names = names_of(conditions) if conditions is not None else None
    try:
        resolve_margins(dict(margins))
        choose_conditions(names)
        require_level(level)
    except CwdaError as error:
        raise click.UsageError(str(error)) from error
    output.require()
    if report:
        from cwda.reporting.build import FORMATS

        require_writable(report, tuple(FORMATS))

    networks, screen = sources.load(), output.screen()
    result = check(networks, names, margins=dict(margins), level=level, device=device)
    show(result, screen, layers=not summary)
    output.write([result.table])
    if report:
        from cwda.reporting import report as write

        write(result, report, command=command_line("cwda-test"), device=device)
        note(f"wrote {report}")
    sources.finish()
    if strict and any(row.verdict == "fails" for row in result):
        raise SystemExit(CONDITION_FAILS)
