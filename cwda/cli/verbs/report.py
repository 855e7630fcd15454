"""`cwda report`: the statistical report as PDF or HTML."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from cwda.choices import Paper, Scale
from cwda.cli.messages import note
from cwda.cli.options import (
    PATH,
    Running,
    bad_usage,
    criteria_option,
    device_option,
    margin_option,
    option,
    reference_option,
    running_options,
    scale_option,
    verdict_level_option,
)
from cwda.cli.overwriting import DRAWN
from cwda.cli.sources import SOURCES, Sources, source_options
from cwda.cli.verb import command_line, verb
from cwda.errors import CwdaError

__all__ = ["report"]


@verb(
    "report",
    "Write the statistical report, PDF or HTML.",
    examples="""
        cwda report --output resnet20.pdf
        cwda report resnet18 resnet34 --output both.html --output both.pdf
        cwda report resnet18 --brief --output answer.pdf
        cwda report resnet18 --scale unit --output directions.pdf
        cwda report mine.pth --reference reference.json --output mine.pdf
        cwda report mine.pth --survey runs/survey --output mine.pdf
        cwda report --criteria l2,taylor_l1 --data cifar10.npz --output data.pdf
        cwda report --experiment experiment-resnet20-cifar10 --output pruned.pdf
        cwda report epoch-*.pth --trajectory --output training.pdf
    """,
    about_source=SOURCES,
)
@source_options
@option(
    "--output",
    "File to write, FILE.pdf or FILE.html. Repeatable.",
    into="outputs",
    required=True,
    multiple=True,
    type=DRAWN,
    metavar="FILE",
)
@option(
    "--brief",
    "Write one or two pages: the answer, the advice and the summary.",
    is_flag=True,
)
@option("--detail", "Add one page per layer.", is_flag=True)
@option("--textbook", "Add a chapter on textbook tests.", is_flag=True)
@option(
    "--trajectory",
    "Show the sources as checkpoints of one training run; their names have the epochs.",
    is_flag=True,
)
@option(
    "--experiment",
    "Add a chapter on the accuracies that `cwda experiment` measured: its --folder, or a FILE.json "
    "that ExperimentResult.save wrote. Repeatable.",
    into="experiments",
    multiple=True,
    type=PATH,
    metavar="PATH",
)
@option(
    "--survey",
    "Say where the networks stand among others: the folder that `cwda survey --output FOLDER` "
    "writes, or a packed copy.",
    type=PATH,
    metavar="FOLDER",
)
@option("--paper", "Size of the pages.", default="a4", type=click.Choice(get_args(Paper)))
@option("--date", "Date to print.", show_default="today", metavar="TEXT")
@option("--no-date", "Print no date, so that equal input gives equal bytes.", is_flag=True)
@criteria_option("Criteria to compare and rank by; at least two.")
@running_options
@verdict_level_option
@margin_option
@scale_option
@reference_option
@device_option()
def report(
    sources: Sources,
    outputs: tuple[Path, ...],
    brief: bool,
    detail: bool,
    textbook: bool,
    trajectory: bool,
    experiments: tuple[Path, ...],
    survey: Path | None,
    paper: Paper,
    date: str | None,
    no_date: bool,
    criteria: list[str],
    running: Running,
    level: float,
    margins: tuple[tuple[str, float], ...],
    scale: Scale,
    reference: Path | None,
    device: str,
) -> None:
    """Write the statistical report of one or several networks.

    The first page has the answer, the advice, and what both rest on. Then come a summary, a
    chapter per condition, the place among other networks, the block structure of the covariance,
    similarity and applicability of pruning criteria, global pruning, the advice, what an experiment
    measured, and an appendix.
    """
    from cwda.cli.evidence import Evidence, resolve_criteria
    from cwda.conditions import CONDITIONS, check
    from cwda.conditions.check import resolve_margins
    from cwda.conditions.reference import as_reference
    from cwda.experiment.result import ExperimentResult
    from cwda.files import require_writable
    from cwda.layers import distinct
    from cwda.reporting.build import FORMATS
    from cwda.reporting.build import report as write
    from cwda.reporting.chapters.surveyed.among import as_survey

    with bad_usage():
        resolve_margins(dict(margins), CONDITIONS.values())
    for output in outputs:
        require_writable(output, tuple(FORMATS))
    if brief and (detail or textbook or experiments or survey):
        raise click.UsageError(
            "--brief has no room for --detail, --textbook, --experiment or --survey"
        )
    others = as_reference(reference)
    surveyed = as_survey(survey, scale)
    measured = [ExperimentResult.load(path) for path in experiments]
    evidence = Evidence.of(resolve_criteria(criteria, fewest=2), sources, running, device)
    found = []
    for network in sources.load():
        try:
            found.append(evidence.collect(network))
        except CwdaError as error:
            sources.fail(error)
    networks = distinct(network for network, _ in found)
    data = {
        network.name: statistics
        for network, (_, statistics) in zip(networks, found, strict=True)
        if statistics is not None
    }
    result = check(
        networks,
        margins=dict(margins),
        scale=scale,
        level=level,
        reference=others,
        device=device,
    )
    for output in dict.fromkeys(outputs):
        write(
            result,
            output,
            brief=brief,
            detail=detail,
            textbook=textbook,
            trajectory=trajectory,
            experiments=measured,
            survey=surveyed,
            paper=paper,
            date="" if no_date else date,
            criteria=criteria,
            data=data,
            command=command_line(),
            device=device,
        )
        note(f"wrote {output}")
    sources.finish()
