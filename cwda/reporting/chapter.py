"""`Chapter`: what one chapter of the report is called, says, and when it is there."""

from __future__ import annotations

import inspect
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, get_args

from cwda.errors import CwdaError, cause_of
from cwda.reporting.blocks import Block, Heading, Note, Paragraph
from cwda.reporting.subject import Subject

if TYPE_CHECKING:
    from cwda.conditions.whole.contrast_result import Contrast
    from cwda.experiment import ExperimentResult
    from cwda.population.tables import Surveyed

__all__ = ["Chapter", "ChapterSeries", "Report", "attempt"]

_LOG = logging.getLogger(__name__)

#: Each of so many networks is compared with the first; it is tested again at another level.
MOST_CONTRASTED = 3

_NO_WEIGHTS = (
    "{} comes from a saved answer, which does not hold the weights that this needs; make the "
    "report from the network itself."
)


@dataclass(frozen=True, eq=False)
class Report:
    """What a report is about; the chapters are made from it.

    Attributes
    ----------
    all_subjects : sequence of Subject
        Every network, with what is found in it, in the order given.
    epochs : sequence of float
        Their epochs, if they are checkpoints of one training run.
    detail : bool
        Whether a page per layer is asked for.
    textbook : bool
        Whether a chapter on textbook tests is asked for.
    experiments : sequence of ExperimentResult
        What was measured when these networks were pruned.
    survey : Surveyed or None
        Other networks, among which these are placed.
    """

    all_subjects: Sequence[Subject]
    epochs: Sequence[float] = ()
    detail: bool = False
    textbook: bool = False
    experiments: Sequence[ExperimentResult] = ()
    survey: Surveyed | None = None

    @property
    def subjects(self) -> Sequence[Subject]:
        """The networks that most chapters are about: of a training run the last checkpoint."""
        if self.epochs:
            return [self.all_subjects[self.epochs.index(max(self.epochs))]]
        return self.all_subjects

    @property
    def conditions(self) -> list[str]:
        """Names of the conditions that were tested in these networks."""
        return list(dict.fromkeys(name for one in self.subjects for name in one.conditions))

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """What differs between the first network and each other; of few networks with weights."""
        from cwda.conditions.whole.contrast import contrast

        if not 1 < len(self.subjects) <= MOST_CONTRASTED:
            return []
        if not all(subject.has_weights for subject in self.subjects):
            return []
        first, *others = self.subjects
        scale = first.results[0].scale
        return [
            contrast(first.network, one.network, self.conditions, scale=scale, device=first.device)
            for one in others
        ]

    def sections(
        self, blocks: Callable[[Subject], Iterable[Block]], *, needs_weights: bool = False
    ) -> list[Block]:
        """The same blocks for each network, under its name where there are several.

        A network for which they cannot be made has the reason in their place.
        """
        sections: list[Block] = []
        for subject in self.subjects:
            name = subject.network.name
            if len(self.subjects) > 1:
                sections.append(Heading(name, 2))
            if needs_weights and not subject.has_weights:
                sections.append(Paragraph(_NO_WEIGHTS.format(name)))
            else:
                sections += attempt(partial(blocks, subject), f"a section on {name}")
        return sections


def _always(report: Report) -> bool:
    return True


@dataclass(frozen=True)
class Chapter:
    """A chapter of the report.

    Attributes
    ----------
    title : str
        Its heading.
    blocks : callable
        From a `Report` to the blocks under the heading: `Paragraph`, `Table`, `Picture`, ...
    when : callable
        From a `Report` to whether it has this chapter; always by default.

    Examples
    --------
    >>> import cwda, tempfile
    >>> from cwda.reporting import CHAPTERS, Chapter, Paragraph
    >>> def widest(report):
    ...     for subject in report.subjects:
    ...         layer = max(subject.network, key=lambda layer: layer.n_filters)
    ...         yield Paragraph(f"{layer.name} has {layer.n_filters} filters.")
    >>> mine = Chapter("The widest layer", widest)
    >>> net = cwda.load("resnet20-cifar10").select("layer3.2.*")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cwda.report(net, f"{folder}/net.html", chapters=[*CHAPTERS, mine]).name
    'net.html'
    """

    title: str
    blocks: Callable[[Report], Iterable[Block]]
    when: Callable[[Report], bool] = _always

    def __repr__(self) -> str:
        return f"Chapter({self.title!r})"

    @property
    def about(self) -> str:
        """What it says, in one line: the first of the docstring of `blocks`."""
        return (inspect.getdoc(self.blocks) or "").partition("\n")[0]

    def of(self, report: Report) -> list[Chapter]:
        """Itself, if the report has it; also where that cannot be told, with the reason."""
        try:
            return [self] if self.when(report) else []
        except Exception as error:
            return [_failed(self.title, error)]

    def write(self, report: Report) -> list[Block]:
        """Heading and blocks; where these cannot be made, the reason in their place."""
        start = time.perf_counter()
        blocks = [Heading(self.title), *attempt(lambda: self._checked(report), self.title)]
        _LOG.info("chapter %r took %.2f s", self.title, time.perf_counter() - start)
        return blocks

    def _checked(self, report: Report) -> Iterable[Block]:
        for block in self.blocks(report):
            if not isinstance(block, get_args(Block)):
                raise CwdaError(
                    f"a chapter is made of blocks such as Paragraph, not of an object of type "
                    f"{type(block).__name__}"
                )
            yield block


@dataclass(frozen=True)
class ChapterSeries:
    """Chapters of one kind, as many as a report needs.

    Attributes
    ----------
    title : str
        What they are, together.
    each : callable
        From a `Report` to the chapters.
    """

    title: str
    each: Callable[[Report], Iterable[Chapter]]

    def __repr__(self) -> str:
        return f"ChapterSeries({self.title!r})"

    @property
    def about(self) -> str:
        """What they say, in one line: the first of the docstring of `each`."""
        return (inspect.getdoc(self.each) or "").partition("\n")[0]

    def of(self, report: Report) -> list[Chapter]:
        """Those that the report has; where they cannot be made, one with the reason."""
        try:
            chapters = list(self.each(report))
            for chapter in chapters:
                require_chapter(chapter)
        except Exception as error:
            return [_failed(self.title, error)]
        return chapters


def _failed(title: str, error: Exception) -> Chapter:
    """A chapter that has only the reason why it is not there."""

    def blocks(report: Report) -> Iterable[Block]:
        raise error

    return Chapter(title, blocks)


def require_chapter(chapter: object) -> None:
    """Refuse what is not a chapter.

    Raises
    ------
    CwdaError
        If it is something else, or its parts are.
    """
    if not isinstance(chapter, Chapter):
        raise CwdaError(f"a chapter is a Chapter, not an object of type {type(chapter).__name__}")
    if not isinstance(chapter.title, str) or not callable(chapter.blocks):
        raise CwdaError("a chapter is made of a title and a function, such as Chapter('Sizes', f)")


def attempt(make: Callable[[], Iterable[Block]], what: str) -> list[Block]:
    """The blocks that are made; if that fails, a warning, and the reason as the only block."""
    try:
        return list(make())
    except Exception as error:
        # A part that cannot be computed must not lose the others.
        _LOG.debug("%s", what, exc_info=True)
        reason = cause_of(error)
        warnings.warn(f"left out of the report, {what}: {reason}", stacklevel=2)
        return [Note(f"This could not be computed: {reason}.")]
