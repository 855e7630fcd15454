"""`cwda survey`: any number of networks, measured on all cores or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cwda.cli.failure import BAD_INPUT
from cwda.cli.messages import is_quiet, note
from cwda.cli.options import COUNT, FILE, PATH, option, verdict_level_option
from cwda.cli.overwriting import DRAWN, REFERENCE
from cwda.cli.verb import command_line, verb
from cwda.formatting import many

if TYPE_CHECKING:
    from cwda.surveys import Survey

__all__ = ["survey"]

_POSITIVE = click.FloatRange(min=0, min_open=True)

#: Sources without a result that are listed one by one.
_LISTED = 20


@verb(
    "survey",
    "Measure thousands of networks.",
    examples="""
        cwda survey checkpoints/ --output runs/survey
        cwda survey names.txt 'torchvision:resnet*' --output runs/survey --workers 4
        cwda survey checkpoints/ --output runs/survey --report survey.pdf
        cwda survey 's3://bucket/nets/*.pth' --output runs/survey \\
            --scheduler tcp://10.0.0.5:8786
    """,
    about_source="SOURCE is a file, a folder (all checkpoints in it and below), a glob pattern, a "
    "list of sources (NAME.txt, one on each line, # for comments), the name of a model, "
    "torchvision:PATTERN, timm:PATTERN, hf:ORG/PATTERN, or a URL of fsspec such as s3://, gs://, "
    "hf:// and https://. A source that gives no result is a row with its reason; the exit code is "
    "1 only if none gives one.",
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@option(
    "--output",
    "Folder for the tables; a survey that was cut off goes on there.",
    into="folder",
    required=True,
    type=PATH,
    metavar="FOLDER",
)
@option(
    "--scheduler",
    "Where to compute: local, the address of a running scheduler of Dask such as "
    "tcp://HOST:8786, or its file.",
    default="local",
    metavar="ADDRESS",
)
@option(
    "--workers",
    "Number of processes on this machine.",
    show_default="one for each core, if memory allows",
    type=COUNT,
)
@option(
    "--memory",
    "Most memory of one network, in GiB.",
    show_default="what there is, shared among the workers",
    type=_POSITIVE,
    metavar="GIB",
)
@option(
    "--timeout",
    "Longest time of one network, in seconds.",
    default=600.0,
    type=_POSITIVE,
    metavar="SECONDS",
)
@option(
    "--labels",
    "CSV file with the columns source (a name, or a glob pattern), task and family, for what the "
    "names of networks do not tell.",
    type=FILE,
    metavar="FILE",
)
@option(
    "--report",
    "Write what is said of all networks together to FILE.pdf or FILE.html.",
    type=DRAWN,
    metavar="FILE",
)
@option(
    "--reference",
    "Write the effects of comparable layers to FILE.json, for `cwda-test --reference FILE`.",
    type=REFERENCE,
    metavar="FILE",
)
@option("--again", "Try sources again that failed before.", is_flag=True)
@verdict_level_option
def survey(
    sources: tuple[str, ...],
    folder: Path,
    scheduler: str,
    workers: int | None,
    memory: float | None,
    timeout: float,
    labels: Path | None,
    report: Path | None,
    reference: Path | None,
    again: bool,
    level: float,
) -> None:
    """Measure any number of networks, and keep what is found in one folder of tables.

    Of each network: the conditions by layer and for the network as a whole, how alike criteria
    rank its filters, measured and predicted, and whether they can tell filters apart. Networks
    with the same weights are measured once.
    """
    import cwda
    from cwda.files import require_writable

    if report:
        from cwda.reporting.build import FORMATS

        require_writable(report, tuple(FORMATS))
    if reference:
        require_writable(reference, (".json",))
    found = cwda.survey(
        sources,
        output=folder,
        labels=labels,
        level=level,
        scheduler=scheduler,
        workers=workers,
        memory=memory,
        timeout=timeout,
        again=again,
    )
    _show(found, again=again)
    if "done" not in found.statuses:
        raise SystemExit(BAD_INPUT)
    if report:
        from cwda.reporting import survey_report

        note(f"wrote {survey_report(found, report, command=command_line())}")
    if reference:
        cwda.population.make_reference(found).save(reference)
        note(f"wrote {reference}")
    if not (report or is_quiet()):
        click.echo(f"next, what they say together: {command_line('--report', 'survey.pdf')}")


def _show(found: Survey, *, again: bool) -> None:
    """What was found; sources without a result by name."""
    networks = found.networks
    without = networks[~networks["status"].isin(["done", "duplicate"])]
    for row in without.head(_LISTED).itertuples():
        told = row.reason if row.source in row.reason else f"{row.source}: {row.reason}"
        note(f"{row.status}: {told}")
    if len(without) > _LISTED:
        note(f"... and {len(without) - _LISTED} more; the table networks has their reasons")
    if not again and (without["status"] != "unavailable").any():
        note("--again tries those that failed once more")
    if not is_quiet():
        click.echo(f"{found.title()}; the tables are in {found.folder}")
        done = networks[networks["status"] == "done"]
        verdicts = done["verdict"].value_counts()
        if len(done):
            told = ", ".join(f"{verdict} in {count}" for verdict, count in verdicts.items())
            click.echo(f"CWDA in {many(len(done), 'network')}: {told}")
