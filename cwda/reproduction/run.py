"""`reproduce`: compute the results of a paper anew, and say where they agree."""

from __future__ import annotations

import datetime
import math
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from cwda.arguments import as_path, choose, require_between, require_type
from cwda.errors import CwdaError, DataError
from cwda.files import require_writable, whole_file
from cwda.loading.source import Source
from cwda.models.data import ImageData
from cwda.numerics.device import resolve_device
from cwda.progress import showing, steps, waiting
from cwda.reporting.build import FORMATS
from cwda.reproduction.bench import Bench
from cwda.reproduction.document import document
from cwda.reproduction.finding import NOT_KNOWN, Finding
from cwda.reproduction.paper import Part, Section
from cwda.reproduction.papers import PAPERS
from cwda.reproduction.result import Reproduction
from cwda.reproduction.schedule import SCHEDULES, Schedule
from cwda.reproduction.trained import trained_networks
from cwda.typing import Device

__all__ = ["reproduce"]


def reproduce(
    paper: str,
    sources: Source | Sequence[Source] = "resnet20-cifar10",
    *,
    data: ImageData | Sequence[ImageData] = (),
    schedule: str | Schedule = "short",
    output: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    folder: str | Path | None = None,
    minutes: float = math.inf,
    date: datetime.date | str | None = None,
    command: str = "",
    device: Device = "auto",
    progress: bool = True,
) -> Reproduction:
    """Compute the tables and figures of a paper anew, and compare them with what it states.

    Parameters
    ----------
    paper : str
        A name in `cwda.reproduction.PAPERS`, such as ``huang2021``.
    sources : source, or list of sources
        Trained networks: names, files, modules, or anything that `cwda.load` takes. Those of
        known architecture are run on images; of the others the weights are looked at.
    data : ImageData, or sequence of ImageData
        Images, such as CIFAR-10 and CIFAR-100; each network gets the first that fits its channels
        and classes. Without images, what needs them is not run.
    schedule : {"quick", "short", "full"} or Schedule
        How much of the pruning experiments is run.
    output : path or sequence of paths
        Documents to write: ``.pdf`` (PDF/UA-1) or ``.html``.
    folder : path, optional
        Keeps scores and trials as soon as they are done; the same call resumes there.
    minutes : float
        After this time no further step of the experiments is begun.
    date : date or str, optional
        As printed; today if not given, left out if empty. Equal input with an equal date
        gives equal bytes.
    command : str
        The command that makes this document, printed on its first page.
    device : str or torch.device
        Where to compute.
    progress : bool
        Whether long work shows a bar.

    Returns
    -------
    Reproduction
        One row per statement of the paper; a part that could not be run is a row with the reason.

    Raises
    ------
    CwdaError
        If the paper or schedule is unknown, a source cannot be read, or a file not be written.

    References
    ----------
    The paper itself: ``PAPERS[name].citation``.

    Examples
    --------
    >>> import cwda
    >>> from cwda.reproduction import reproduce
    >>> net = cwda.load("resnet20-cifar10").select("layer3.2.*")
    >>> found = reproduce("huang2021", net, progress=False)
    >>> found.table.query("part == 'Figure 4'")[["claim", "verdict"]].iloc[0].tolist()
    ['The norms rank filters alike: Sp above .9 in most layers', 'agreed']
    """
    choose([paper], PAPERS, "paper")
    outputs = [as_path(each) for each in _several(output)]
    for path in outputs:
        require_writable(path, tuple(FORMATS))
    sets = [require_type(each, ImageData, "data", DataError) for each in _several(data)]
    if minutes != math.inf:
        require_between(minutes, 0, math.inf, "minutes", inclusive=True)
    resolve_device(device)
    chosen = _schedule(schedule)
    until = time.monotonic() + 60 * minutes
    with ExitStack() as stack:
        stack.enter_context(showing(progress))
        home = folder or stack.enter_context(TemporaryDirectory(prefix="cwda-"))
        bench = Bench(trained_networks(sources, sets), chosen, as_path(home), until, device)
        parts = PAPERS[paper].parts
        sections = [(part, _section(part, bench)) for part in steps(parts, f"reproducing {paper}")]
        rows = tuple(row for _, section in sections for row in section.findings)
        found = Reproduction(
            rows, bench.networks, level=math.nan, paper=paper, schedule=chosen.words
        )
        if outputs:
            printed = str(datetime.date.today() if date is None else date)
            with waiting("writing the document"):
                content = document(
                    PAPERS[paper],
                    found,
                    sections,
                    bench,
                    date=printed,
                    command=command,
                )
                for path in outputs:
                    with whole_file(path) as unfinished:
                        unfinished.write_bytes(FORMATS[path.suffix](content))
    return found


def _several(values: object) -> list[object]:
    return list(values) if isinstance(values, list | tuple) else [values]


def _schedule(schedule: str | Schedule) -> Schedule:
    if isinstance(schedule, Schedule):
        return schedule
    return SCHEDULES[choose([schedule], SCHEDULES, "schedule")[0]]


def _section(part: Part, bench: Bench) -> Section:
    """What a part gives; where it cannot be run, a row with the reason."""
    try:
        return part.find(bench)
    except CwdaError as error:
        reason = " ".join(str(error).split())
        return Section(
            [
                Finding(
                    part=part.name,
                    claim=part.claim,
                    theirs=NOT_KNOWN,
                    ours="",
                    rule="",
                    verdict="not run",
                    reason=reason,
                )
            ]
        )
