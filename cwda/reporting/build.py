"""`report`: networks in, a PDF or HTML file out."""

from __future__ import annotations

import datetime
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from cwda._version import __version__
from cwda.arguments import as_path
from cwda.conditions.check import check
from cwda.conditions.table import CheckResult
from cwda.errors import CwdaError
from cwda.files import require_writable, whole_file
from cwda.formatting import many
from cwda.loading.sources import Source
from cwda.progress import steps
from cwda.reporting.blocks import Block, Name
from cwda.reporting.chapters.appendix import appendix
from cwda.reporting.chapters.applicability import applicability
from cwda.reporting.chapters.assumption import assumption
from cwda.reporting.chapters.condition import condition
from cwda.reporting.chapters.covariance import covariance
from cwda.reporting.chapters.detail import detail as layer_by_layer
from cwda.reporting.chapters.global_pruning import global_pruning
from cwda.reporting.chapters.networks import side_by_side
from cwda.reporting.chapters.similarity import similarity
from cwda.reporting.chapters.summary import summary
from cwda.reporting.chapters.trajectory import trajectory as along_training
from cwda.reporting.document import Document, Fact
from cwda.reporting.subject import Subject
from cwda.reporting.typesetting import html_bytes, pdf_bytes

__all__ = ["FORMATS", "epochs_of", "report"]

Chapter = Callable[[], Sequence[Block]]

FORMATS = {".pdf": pdf_bytes, ".html": html_bytes}


def report(
    source: CheckResult | Source | Iterable[Source],
    path: str | os.PathLike[str],
    *,
    detail: bool = False,
    trajectory: bool = False,
    paper: Literal["a4", "us-letter"] = "a4",
    date: datetime.date | str | None = None,
    command: str = "",
    level: float = 0.90,
    margins: Mapping[str, float] | None = None,
    device: str = "auto",
) -> Path:
    """Write the statistical report of one or several networks.

    Parameters
    ----------
    source : CheckResult, or anything that `cwda.check` takes
        A result, or one network or several to check: loaded, or as names, files, modules.
    path : path
        Where to write; ``.pdf`` (PDF/UA-1) or ``.html`` (one file that needs no other).
    detail : bool
        Add a page per layer.
    trajectory : bool
        The networks are checkpoints of one training run: show their effects against the
        epoch, the last number in each network's name; the chapters are about the last.
    paper : {"a4", "us-letter"}
        Size of the page of a PDF.
    date : date or str, optional
        As printed; today if not given, left out if empty. Equal input with an equal date
        gives equal bytes.
    command : str
        The command that makes this report again, printed on its first page.
    level, margins : float, mapping
        Same as in `cwda.check`, which has used them already if `source` is its answer.
    device : str
        Where to compute, in float64.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    CwdaError
        If the path cannot be written, told before the work; the suffix is unknown; or there is
        no network.

    Examples
    --------
    >>> import cwda, tempfile
    >>> net = cwda.load("resnet20-cifar10").select("layer3.2.*")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cwda.report(net, f"{folder}/resnet20.pdf").name
    'resnet20.pdf'
    """
    where = as_path(path)
    require_writable(where, tuple(FORMATS))
    if paper not in ("a4", "us-letter"):
        raise CwdaError(f"paper is a4 or us-letter, not {paper!r}")
    if not isinstance(source, CheckResult):
        source = check(source, level=level, margins=margins, device=device)
    subjects = [
        Subject(network, [row for row in source.rows if row.network == network.name], device)
        for network in source.networks
    ]
    if not source.rows:
        raise CwdaError("a report needs a network with a convolution")
    if date is None:
        date = datetime.date.today()
    document = Document(
        title=_title(subjects, trajectory),
        subtitle="Do its convolution weights follow the Convolution Weight Distribution "
        "Assumption, and what does that imply for pruning?",
        facts=list(_facts(subjects, source.level, str(command))),
        blocks=_blocks(subjects, detail, trajectory),
        paper=paper,
        date=str(date),
    )
    with whole_file(where) as unfinished:
        for make in steps([FORMATS[where.suffix]], "typesetting"):
            unfinished.write_bytes(make(document))
    return where


def _title(subjects: Sequence[Subject], trajectory: bool) -> str:
    if trajectory:
        return f"CWDA along {many(len(subjects), 'checkpoint')}"
    if len(subjects) > 1:
        return f"CWDA of {many(len(subjects), 'network')}"
    return f"CWDA of {subjects[0].network.name}"


def _facts(subjects: Sequence[Subject], level: float, command: str) -> Iterable[Fact]:
    for subject in subjects:
        network = subject.network
        size = f"{many(len(network), 'convolution')}, {many(network.n_weights, 'weight')}"
        source = network.provenance
        yield network.name, [size, ", from ", Name(source.source), f" ({source.format})"]
        if source.sha256:
            yield "SHA-256", Name(source.sha256)
    yield "Level", f"tests at {(1 - level) / 2:g}, intervals at {100 * level:g} %"
    yield "Versions", _versions()
    if command:
        yield "Made by", Name(command)


def _versions() -> str:
    from importlib.metadata import version

    parts = [f"cwda {__version__}", f"Python {sys.version.split()[0]}"]
    parts += [f"{name} {version(name)}" for name in ("torch", "numpy", "scipy")]
    return ", ".join(parts)


def _blocks(subjects: Sequence[Subject], detail: bool, trajectory: bool) -> list[Block]:
    several: list[Chapter] = []
    if trajectory:
        epochs = epochs_of([subject.network.name for subject in subjects])
        several.append(partial(along_training, subjects, epochs))
    if len(subjects) > 1:
        several.append(partial(side_by_side, subjects))
    if trajectory:  # the chapters would repeat themselves: they tell of the end of the training
        subjects = [subjects[epochs.index(max(epochs))]]
    tested = dict.fromkeys(name for subject in subjects for name in subject.conditions)
    chapters: list[Chapter] = [
        partial(summary, subjects),
        *several,
        assumption,
        *(partial(condition, name, subjects) for name in tested),
        *(partial(make, subjects) for make in (covariance, similarity, applicability)),
        partial(global_pruning, subjects),
        *([partial(layer_by_layer, subjects)] if detail else []),
        partial(appendix, subjects),
    ]
    return [block for make in steps(chapters, "writing chapters") for block in make()]


def epochs_of(names: Sequence[str]) -> list[float]:
    """The epoch of each checkpoint: the last number in its name.

    Raises
    ------
    CwdaError
        If a name has none, or two have the same.

    Examples
    --------
    >>> epochs_of(["net-epoch-0", "net-epoch-10"])
    [0.0, 10.0]
    """
    epochs = []
    for name in names:
        found = re.findall(r"\d+", name)
        if not found:
            raise CwdaError(f"no epoch in the name {name!r}; end it with a number, as net-10")
        epochs.append(float(found[-1]))
    if len(set(epochs)) < len(epochs):
        raise CwdaError(f"checkpoints of the same epoch: {', '.join(names)}")
    return epochs
