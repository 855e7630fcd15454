"""`report`: networks in, a PDF or HTML file out."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from cwda._version import __version__
from cwda.arguments import as_path, choose, require_flag, require_type
from cwda.callbacks.epochs import epochs_of
from cwda.choices import Paper, Scale
from cwda.conditions.check import check
from cwda.conditions.reference import Reference, as_reference, require_raw
from cwda.conditions.table import CheckResult
from cwda.errors import CwdaError, DataError
from cwda.experiment.result import ExperimentResult
from cwda.figures.drawing.layers_axis import rows_within
from cwda.files import require_writable, whole_file
from cwda.formatting import many
from cwda.loading.source import Source
from cwda.population.tables import Surveyed
from cwda.progress import Counter, counter, showing
from cwda.reporting.blocks import Block, Name
from cwda.reporting.chapter import Chapter, ChapterSeries, Report
from cwda.reporting.chapters import CHAPTERS
from cwda.reporting.chapters.front import front_page
from cwda.reporting.chapters.several.networks import side_by_side
from cwda.reporting.chapters.summary import summary
from cwda.reporting.chapters.surveyed.among import as_survey
from cwda.reporting.document import Document, Fact, as_printed
from cwda.reporting.subject import Subject
from cwda.reporting.typesetting import html_bytes, pdf_bytes
from cwda.scoring.catalogue import NORM_BASED
from cwda.scoring.registry import Criteria, Criterion, resolve
from cwda.scoring.statistics.collected import Collected
from cwda.sharing import sharing
from cwda.typing import Device

__all__ = ["FORMATS", "report"]

#: Height of the rows of a figure of layers, in mm, that leaves room for another half a page.
ROWS = 74.0

#: Of more networks a brief report does not list where each comes from.
MOST_IN_BRIEF = 3

FORMATS = {".pdf": pdf_bytes, ".html": html_bytes}


def report(
    source: CheckResult | Source | Iterable[Source],
    path: str | os.PathLike[str],
    *,
    chapters: Iterable[Chapter | ChapterSeries] = CHAPTERS,
    brief: bool = False,
    detail: bool = False,
    textbook: bool = False,
    trajectory: bool = False,
    criteria: Criteria = NORM_BASED,
    data: Mapping[str, Collected] | None = None,
    experiments: Iterable[ExperimentResult] = (),
    margins: Mapping[str, float] | None = None,
    scale: Scale = "raw",
    reference: Reference | str | Path | None = None,
    survey: Surveyed | str | Path | None = None,
    paper: Paper = "a4",
    date: datetime.date | str | None = None,
    command: str = "",
    level: float = 0.90,
    device: Device = "auto",
    progress: bool = True,
) -> Path:
    """Write the statistical report of one or several networks.

    A chapter, or its section on one network, that cannot be computed has the reason in its
    place and gives a warning; the others are not lost.

    Parameters
    ----------
    source : CheckResult, or anything that `cwda.check` takes
        An answer of `cwda.check`, or one network or several to check: loaded, or as names,
        files, modules. An answer that was loaded from a file does not hold the weights; what
        needs them says so in a line.
    path : path
        Where to write; ``.pdf`` (PDF/UA-1) or ``.html`` (one file that needs no other).
    chapters : iterable of Chapter
        What the report consists of; `cwda.reporting.CHAPTERS` by default, to which chapters of
        your own can be added.
    brief : bool
        One or two pages: the first page, and the summary of a single network, or the table of
        several; with it chapters of your own, if `chapters` has any.
    detail : bool
        Add a page per layer.
    textbook : bool
        Add a chapter on the tests of `cwda.textbook`.
    trajectory : bool
        The networks are checkpoints of one training run: show their effects against the
        epoch, which is read from their names; the chapters are about the last.
    criteria : iterable of str or Criterion
        Two or more criteria, which are compared and ranked by; the norms by default.
    data : mapping of str to Collected, optional
        What criteria need beyond the weights, by the name of the network: what
        `cwda.scoring.collect` gives.
    experiments : iterable of ExperimentResult
        What was measured when these networks were pruned: a chapter shows it.
    margins : mapping of str to float, optional
        Same as in `cwda.check`, which has used them already if `source` is its answer.
    scale : {"raw", "unit"}
        The filters as they are, or each divided by its root mean square, as in `cwda.check`;
        unused if `source` is an answer.
    reference : Reference or path, optional
        Effects of many networks, as in `cwda.check`: a chapter says how unusual each layer is.
    survey : Survey or path, optional
        Many networks, as `cwda.read_survey` reads them, or their folder: a chapter says where
        these networks stand among them.
    paper : {"a4", "us-letter"}
        Size of the page of a PDF.
    date : date or str, optional
        As printed; today if not given, left out if empty. Equal input with an equal date
        gives equal bytes.
    command : str
        The command that reproduces this report, printed on its first page.
    level : float
        Confidence of the intervals of the effects; unused if `source` is an answer.
    device : str or torch.device
        Where to compute, in float64.
    progress : bool
        Whether long work shows a bar.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    CriterionError, DataError
        If a criterion is unknown, or the data are no mapping of what `collect` gives.
    CwdaError
        If the path cannot be written, which is found before the work; the suffix is unknown;
        there is no network; a chapter is not a `Chapter`; or the survey has no network that was
        analysed.

    Examples
    --------
    >>> import cwda, tempfile
    >>> net = cwda.load("resnet20-cifar10").select("layer3.2.*")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cwda.report(net, f"{folder}/resnet20.pdf").name
    'resnet20.pdf'
    """
    path = as_path(path)
    require_writable(path, tuple(FORMATS))
    choose([paper], get_args(Paper), "paper")
    for name, flag in {
        "brief": brief,
        "detail": detail,
        "textbook": textbook,
        "trajectory": trajectory,
    }.items():
        require_flag(flag, name)
    printed, command = as_printed(date), require_type(command, str, "the command as a text")
    chapters = _require_chapters(chapters)
    measured = _require_experiments(experiments)
    asked = tuple(resolve(criteria, fewest=2))
    others = as_reference(reference)
    if others:
        require_raw(source.scale if isinstance(source, CheckResult) else scale)
    surveyed = as_survey(survey, source.scale if isinstance(source, CheckResult) else scale)
    data = {} if data is None else data
    if not isinstance(data, Mapping) or not all(isinstance(x, Collected) for x in data.values()):
        raise DataError(
            "data of a report are what cwda.scoring.collect gives, by the name of the network"
        )
    with showing(progress), sharing():
        if not isinstance(source, CheckResult):
            source = check(source, margins=margins, scale=scale, level=level, device=device)
        if others:
            source = others.placed(source)
        content = _content(source, device, asked, data, trajectory=trajectory)
        content = replace(
            content, detail=detail, textbook=textbook, experiments=measured, survey=surveyed
        )
        chosen = _brief(chapters, content) if brief else chapters
        alone = len(content.subjects) == 1
        own = [one for chapter in chosen for one in chapter.of(content)]
        with counter("writing the report", len(own) + 1) as done, rows_within(ROWS):
            document = Document(
                title=_title(content),
                subtitle="Do its convolution weights follow the Convolution Weight Distribution "
                "Assumption, and what does that imply for pruning?",
                facts=list(_facts(content, source, command, brief=brief)),
                blocks=list(_blocks(content, own, done)),
                paper=paper,
                date=printed,
                answer=front_page(content),
                contents=0 if brief else 2 if alone else 1,
                alone=alone,
            )
            done.update(len(own), len(own) + 1, "typesetting the report")
            with whole_file(path) as unfinished:
                unfinished.write_bytes(FORMATS[path.suffix](document))
    return path


def _require_chapters(
    chapters: Iterable[Chapter | ChapterSeries],
) -> list[Chapter | ChapterSeries]:
    listed = list(chapters) if isinstance(chapters, Iterable) else [chapters]
    for chapter in listed:
        if not isinstance(chapter, Chapter | ChapterSeries):
            raise CwdaError(
                f"chapters are cwda.reporting.Chapter objects, not {type(chapter).__name__}"
            )
    return listed


def _require_experiments(experiments: Iterable[ExperimentResult]) -> tuple[ExperimentResult, ...]:
    listed = tuple(experiments) if isinstance(experiments, Iterable) else (experiments,)
    if not all(isinstance(one, ExperimentResult) for one in listed):
        raise DataError("experiments of a report are what cwda.experiment.run_experiment gives")
    return listed


def _brief(
    chapters: Sequence[Chapter | ChapterSeries], report: Report
) -> list[Chapter | ChapterSeries]:
    """What a brief report has of these chapters: one on the results, and the user's own."""
    kept = summary if len(report.subjects) == 1 else side_by_side
    return [each for each in chapters if each is kept or each not in CHAPTERS]


def _content(
    answer: CheckResult,
    device: Device,
    criteria: tuple[Criterion, ...],
    data: Mapping[str, Collected],
    *,
    trajectory: bool,
) -> Report:
    if not answer.rows:
        raise CwdaError("a report needs a network with a convolution")
    subjects = [
        Subject(
            network,
            [row for row in answer.rows if row.network == network.name],
            device,
            answer.level,
            criteria,
            data.get(network.name),
        )
        for network in answer.networks
    ]
    return Report(subjects, epochs_of(answer.networks) if trajectory else ())


def _title(report: Report) -> str:
    subjects = report.all_subjects
    if report.epochs:
        return f"CWDA along {many(len(subjects), 'checkpoint')}"
    if len(subjects) > 1:
        return f"CWDA of {many(len(subjects), 'network')}"
    return f"CWDA of {subjects[0].network.name}"


def _facts(report: Report, result: CheckResult, command: str, *, brief: bool) -> Iterable[Fact]:
    few = len(report.all_subjects) <= MOST_IN_BRIEF
    for subject in report.all_subjects if few or not brief else ():
        network = subject.network
        size = f"{many(len(network), 'convolution')}, {many(network.n_weights, 'weight')}"
        source = network.provenance
        yield network.name, [size, ", from ", Name(source.source), f" ({source.format})"]
        if source.sha256:
            yield "SHA-256", Name(source.sha256)
    level = result.level
    yield "Level", f"tests at {(1 - level) / 2:g}, intervals at {100 * level:g} %"
    if result.scale == "unit":
        yield "Scale", "unit: each filter is divided by its root mean square"
    yield "Versions", _versions()
    if command:
        yield "Made by", Name(command)


def _versions() -> str:
    from importlib.metadata import version

    parts = [f"cwda {__version__}", f"Python {sys.version.split()[0]}"]
    parts += [f"{name} {version(name)}" for name in ("torch", "numpy", "scipy")]
    return ", ".join(parts)


def _blocks(report: Report, chapters: Sequence[Chapter], done: Counter) -> Iterator[Block]:
    for place, chapter in enumerate(chapters):
        done.update(place, len(chapters) + 1, f"writing {chapter.title!r}")
        yield from chapter.write(report)
