"""`survey_report`: what is said of many networks, as PDF or HTML."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

from cwda.arguments import as_path, choose, require_between, require_type
from cwda.choices import Paper
from cwda.files import require_writable, whole_file
from cwda.formatting import many
from cwda.population.tables import Surveyed, analysed, require_survey
from cwda.progress import showing, steps
from cwda.reporting.blocks import Block, Heading, Name
from cwda.reporting.build import FORMATS
from cwda.reporting.chapter import attempt
from cwda.reporting.document import Document, Fact, as_printed
from cwda.reporting.survey.accuracy import accuracy
from cwda.reporting.survey.answer import answer
from cwda.reporting.survey.dependence import dependence
from cwda.reporting.survey.failures import failures
from cwda.reporting.survey.families import families
from cwda.reporting.survey.method import method
from cwda.reporting.survey.ranks import ranks
from cwda.reporting.survey.sizes import sizes
from cwda.reporting.survey.where import where

__all__ = ["survey_report"]

#: Heading and blocks of each chapter, in order.
_CHAPTERS: tuple[tuple[str, Callable[[Surveyed, float], Iterable[Block]]], ...] = (
    ("Family by family", families),
    ("How large the effects are", sizes),
    ("What holds where", where),
    ("What the effects depend on", dependence),
    ("The networks one by one", ranks),
    ("Similarity of criteria, measured and predicted", accuracy),
    ("What could not be analysed", failures),
    ("How this was computed", method),
)


def survey_report(
    survey: Surveyed,
    path: str | Path,
    *,
    level: float = 0.95,
    paper: Paper = "a4",
    date: datetime.date | str | None = None,
    command: str = "",
    progress: bool = True,
) -> Path:
    """Write the report on a survey: is CWDA general, where does it hold, what depends on what.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    path : path
        Where to write; ``.pdf`` (PDF/UA-1) or ``.html`` (one file that needs no other).
    level : float
        Confidence of the intervals over families of networks; the verdicts have that of the
        survey.
    paper : {"a4", "us-letter"}
        Size of the page of a PDF.
    date : date or str, optional
        As printed; today if not given, left out if empty.
    command : str
        The command that reproduces this report, printed on its first page.
    progress : bool
        Whether long work shows a bar.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    CwdaError
        If the path cannot be written or has another suffix, this is no survey, or no network of
        it was analysed.
    """
    path = as_path(path)
    require_writable(path, tuple(FORMATS))
    choose([paper], get_args(Paper), "paper")
    survey = require_survey(survey)
    level = require_between(level, 0, 1, "level")
    printed, command = as_printed(date), require_type(command, str, "the command as a text")
    with showing(progress):
        blocks = list(_blocks(survey, level))
        networks = analysed(survey)
        document = Document(
            title=f"CWDA in {many(len(networks), 'network')}",
            subtitle="Is the Convolution Weight Distribution Assumption general, and where does "
            "it hold?",
            facts=list(_facts(survey, command)),
            blocks=blocks,
            paper=paper,
            date=printed,
            answer=attempt(partial(answer, survey, level), "the answer"),
        )
        with whole_file(path) as unfinished:
            unfinished.write_bytes(FORMATS[path.suffix](document))
    return path


def _blocks(survey: Surveyed, level: float) -> Iterator[Block]:
    for title, make in steps(_CHAPTERS, "writing the report"):
        yield Heading(title)
        yield from attempt(partial(make, survey, level), title)


def _facts(survey: Surveyed, command: str) -> Iterator[Fact]:
    networks = analysed(survey)
    layers = survey.layers["hash"].isin({*networks["hash"]}).sum()
    yield "Networks", f"{len(networks):,}, those with the same weights counted once"
    yield "Families", f"{networks['family'].nunique():,}"
    yield "Convolutions", f"{int(layers):,}"
    yield "Weights", f"{int(networks['n_weights'].sum()):,}"
    settings: dict[str, Any] = getattr(survey, "settings", {})
    versions = [
        f"{name} {settings[name]}" for name in ("cwda", "torch", "numpy") if name in settings
    ]
    if versions:
        yield "Versions", ", ".join(versions)
    if command:
        yield "Made by", Name(command)
