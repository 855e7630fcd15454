"""A reproduction as a document: a page of verdicts, then a chapter for each part."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata

from cwda._version import __version__
from cwda.formatting import MARKS, many
from cwda.reporting.blocks import (
    Block,
    Cell,
    Column,
    Heading,
    Items,
    Link,
    Name,
    Paragraph,
    Strong,
    Table,
)
from cwda.reporting.document import Document, Fact
from cwda.reproduction.bench import Bench
from cwda.reproduction.finding import Finding
from cwda.reproduction.paper import Paper, Part, Section
from cwda.reproduction.result import Reproduction
from cwda.reproduction.schedule import Schedule
from cwda.reproduction.trained import Trained

__all__ = ["document"]

#: The tone of each verdict, among those of the conditions.
_TONES = {
    "agreed": "holds",
    "partly": "inconclusive",
    "not agreed": "fails",
    "not run": "not applicable",
}


def document(
    paper: Paper,
    found: Reproduction,
    sections: Sequence[tuple[Part, Section]],
    bench: Bench,
    *,
    date: str,
    command: str,
) -> Document:
    """The whole document."""
    return Document(
        title=f"{paper.authors}, computed anew",
        subtitle="What the paper states, what was found here, and whether both agree",
        facts=list(_facts(paper, bench, command)),
        blocks=list(_chapters(sections)),
        date=date,
        answer=[
            Paragraph(_counts(found)),
            _verdicts(found),
        ],
    )


def _facts(paper: Paper, bench: Bench, command: str) -> Iterator[Fact]:
    yield "Paper", [paper.citation, " ", Link(paper.url, paper.url)]
    yield "At hand", paper.known
    for one in bench.trained:
        yield one.name, _about(one)
    yield "Schedule", _schedule(bench.schedule)
    versions = [f"{name} {metadata.version(name)}" for name in ("torch", "numpy", "scipy")]
    python = f"Python {sys.version.split()[0]}"
    yield "Versions", ", ".join([f"cwda {__version__}", python, *versions])
    if command:
        yield "Made by", Name(command)


def _about(one: Trained) -> str:
    network = one.network
    text = f"{many(len(network), 'convolution')}, {many(network.n_weights, 'weight')}"
    if one.data is None:
        return f"{text}; not run on images: {one.reason}"
    images = f"{len(one.data.train):,} training and {len(one.data.test):,} test images"
    return f"{text}; {one.data.num_classes} classes, {images}"


def _schedule(schedule: Schedule) -> str:
    tuning = schedule.finetuning
    images = f"{schedule.images:,}" if schedule.images else "all"
    return (
        f"{schedule.words}; learning rate {tuning.learning_rate:g} to 0 along half a cosine, "
        f"batches of {tuning.batch_size}, {images} test images, {schedule.samples:,} images for "
        "criteria that need data"
    )


def _counts(found: Reproduction) -> str:
    counts = found.counts()
    judged = len(found) - counts["not run"]
    text = (
        f"Of {many(judged, 'statement')} that could be checked, {counts['agreed']} agreed, "
        f"{counts['partly']} agreed partly and {counts['not agreed']} did not"
    )
    return f"{text}; {counts['not run']} could not be run." if counts["not run"] else f"{text}."


def _verdicts(found: Reproduction) -> Table:
    return Table(
        [
            Column("of the paper", "text"),
            Column("it states", "text"),
            Column("found here", "text"),
            Column("verdict", "text"),
        ],
        [[row.part, row.claim, row.ours or row.reason, _verdict(row)] for row in found],
        "Verdicts. Partly: in some of the networks, layers or ratios. The rule of each verdict "
        "and what it rests on stand in the chapter of its part.",
    )


def _verdict(row: Finding) -> Cell:
    tone = _TONES[row.verdict]
    mark = "~" if row.verdict == "partly" else MARKS[tone]
    return Cell(f"{mark} {row.verdict}".replace(" ", "\N{NO-BREAK SPACE}"), tone)


def _chapters(sections: Iterable[tuple[Part, Section]]) -> Iterator[Block]:
    for part, section in sections:
        yield Heading(f"The paper's {part.title}")
        yield from _side_by_side(section.findings)
        yield from section.blocks()


def _side_by_side(findings: Sequence[Finding]) -> Iterator[Block]:
    """Theirs beside ours, and the rules."""
    yield Table(
        [
            Column("the paper", "text"),
            Column("its value", "text"),
            Column("ours", "text"),
            Column("based on", "text"),
            Column("verdict", "text"),
        ],
        [
            [row.claim, row.theirs, row.ours or row.reason, row.basis, _verdict(row)]
            for row in findings
        ],
        "What the paper states, and what was found here.",
    )
    rules = list(dict.fromkeys(row.rule for row in findings if row.rule))
    if len(rules) == 1:
        yield Paragraph([Strong("Rule. "), _sentence(rules[0])])
    elif rules:
        yield Paragraph(Strong("Rules"))
        yield Items([_sentence(rule) for rule in rules])


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
