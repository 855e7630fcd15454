"""`cwda reproduce`: the results of a paper, computed anew beside theirs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from cwda.cli.messages import is_quiet, note
from cwda.cli.options import PATH, bad_usage, device_option, option
from cwda.cli.overwriting import DRAWN
from cwda.cli.sources import SOURCES, Entry, source_arguments
from cwda.cli.verb import command_line, verb

if TYPE_CHECKING:
    from cwda.models.data import ImageData
    from cwda.reproduction import Reproduction

__all__ = ["reproduce"]


def _papers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from cwda.reproduction import PAPERS

    return [CompletionItem(name) for name in PAPERS if name.startswith(incomplete)]


@verb(
    "reproduce",
    "Compute the results of a paper anew, beside theirs.",
    examples="""
        cwda reproduce huang2021 --output huang2021.pdf
        cwda reproduce huang2021 resnet20.th resnet56.th cifar100-resnet56.pt \\
            --data cifar10.npz --normalisation imagenet \\
            --data cifar100.npz --normalisation cifar100 \\
            --folder runs/huang2021 --output huang2021.pdf
    """,
    about_source=f"{SOURCES} Networks of known architecture are run on the first images that fit "
    "their channels and classes; of the others the weights are looked at. PAPER is huang2021: "
    "Rethinking the Pruning Criteria for Convolutional Neural Network, NeurIPS 2021.",
)
@click.argument("paper", metavar="PAPER", shell_complete=_papers)
@source_arguments()
@option(
    "--data",
    "Images: a .npz file (x_train, y_train, x_test, y_test), a folder with train/CLASS/ and "
    "test/CLASS/, or the folder of torchvision's CIFAR-10. Repeatable.",
    into="images",
    multiple=True,
    type=click.Path(),
    metavar="PATH",
)
@option(
    "--normalisation",
    "Normalisation that the networks of these images were trained with: cifar10, cifar100 or "
    "imagenet. Once for all images, or once for each --data, in their order.",
    into="normalisations",
    multiple=True,
    metavar="NAME",
    show_default="imagenet for folders of images, else cifar10",
)
@option(
    "--schedule",
    "How much of the pruning experiments to run: quick (minutes), short (an hour or two on two "
    "processor cores) or full (a GPU).",
    default="short",
    type=click.Choice(["quick", "short", "full"]),
)
@option(
    "--minutes",
    "Begin no further step of the experiments after this time.",
    show_default="no limit",
    type=click.FloatRange(min=0),
    metavar="MINUTES",
)
@option(
    "--folder",
    "Folder that keeps scores and trials; rerun the same command to resume.",
    show_default="reproduce-PAPER",
    type=PATH,
)
@option(
    "--output",
    "Document to write, FILE.pdf or FILE.html. Repeatable.",
    into="outputs",
    multiple=True,
    type=DRAWN,
    metavar="FILE",
)
@option("--date", "Date to print.", show_default="today", metavar="TEXT")
@option("--no-date", "Print no date, so that equal input gives equal bytes.", is_flag=True)
@device_option()
def reproduce(
    paper: str,
    entries: list[Entry],
    images: tuple[str, ...],
    normalisations: tuple[str, ...],
    schedule: str,
    minutes: float | None,
    folder: Path | None,
    outputs: tuple[Path, ...],
    date: str | None,
    no_date: bool,
    device: str,
) -> None:
    """Compute the tables and figures of a paper anew, and say where both agree.

    One line per statement of the paper, with the value found here and a verdict by a stated rule;
    --output has tables, figures and rules. Rerun the same command to resume.
    """
    from cwda.arguments import choose
    from cwda.files import require_folder, require_writable
    from cwda.reporting.build import FORMATS
    from cwda.reproduction import PAPERS
    from cwda.reproduction import reproduce as run

    with bad_usage():
        choose([paper], PAPERS, "paper")
    for output in outputs:
        require_writable(output, tuple(FORMATS))
    folder = folder or Path(f"reproduce-{paper}")
    require_folder(folder)
    data = _images(images, normalisations)
    try:
        found = run(
            paper,
            [entry.source() for entry in entries] or "resnet20-cifar10",
            data=data,
            schedule=schedule,
            output=outputs,
            folder=folder,
            minutes=math.inf if minutes is None else minutes,
            date="" if no_date else date,
            command=command_line(),
            device=device,
        )
    except KeyboardInterrupt:
        note(f"what is done is in {folder}; rerun the same command to resume")
        raise
    _show(found)
    for output in outputs:
        note(f"wrote {output}")


def _images(paths: tuple[str, ...], normalisations: tuple[str, ...]) -> list[ImageData]:
    """The images, each with its normalisation.

    Raises
    ------
    click.UsageError
        If there are neither one nor as many normalisations as images.
    """
    from cwda.cli.evidence import require_normalisation
    from cwda.models.data import read_images

    for name in normalisations:
        require_normalisation(name)
    if len(normalisations) not in (0, 1, len(paths)):
        raise click.UsageError(
            f"{len(normalisations)} --normalisation for {len(paths)} --data; give one for all, or "
            "one for each in their order"
        )
    each: list[str | None] = [*normalisations] or [None]
    if len(each) == 1:
        each *= len(paths)
    return [read_images(path, normalisation=name) for path, name in zip(paths, each, strict=True)]


def _show(found: Reproduction) -> None:
    from cwda.cli.screen.screen import Screen

    screen = Screen(silent=is_quiet())
    screen.line(found.title(), "bold")
    for row in found:
        screen.line(f"{row.verdict:<10}  {row.part:<8}  {row.claim}: {row.ours or row.reason}")
