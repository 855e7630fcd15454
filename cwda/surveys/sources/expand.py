"""The sources of a survey: whatever stands on its command line, one network each."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cwda.errors import CwdaError, SourceError
from cwda.surveys.sources.labels import Labels
from cwda.surveys.sources.urls import is_url, matching, name_in

__all__ = ["Source", "expand"]

#: Files that list sources.
_LISTS = (".txt", ".lst", ".list")
_PREFIXES = ("torchvision:", "timm:", "hf:")
_GLOB = re.compile(r"[*?\[]")
#: Characters of a source that cannot be read that are shown.
_LONGEST = 200
#: How many close matches are shown.
_SHOWN = 3


@dataclass(frozen=True)
class Source:
    """One network that is asked for.

    Attributes
    ----------
    text : str
        Its path, URL or name.
    is_name : bool
        Whether it is the name of a model.
    stamp : str
        Size and time of change of a file; empty for what has none.
    problem : str
        Why it can be no network; empty otherwise.
    task, family : str
        Labels, where known.
    """

    text: str
    is_name: bool = False
    stamp: str = ""
    problem: str = ""
    task: str = ""
    family: str = ""

    @property
    def name(self) -> str:
        """What it is called until it has been read.

        Examples
        --------
        >>> Source("/nets/one.pth").name, Source("resnet18", is_name=True).name
        ('one.pth', 'resnet18')
        """
        return self.text if self.is_name or self.problem else name_in(self.text)


def expand(given: Iterable[object], labels: Labels | None = None) -> list[Source]:
    """The networks that files, folders, patterns, lists, names and URLs stand for, each once.

    What stands for nothing is a source with its problem.

    Raises
    ------
    CwdaError
        If something else than texts and paths is given, or nothing.
    """
    found: dict[str, Source] = {}
    for each in given:
        if not isinstance(each, str | Path):
            raise CwdaError(
                f"a survey reads files and names, not an object of type {type(each).__name__}; "
                "save it with torch.save, and give the file"
            )
        for source in _expanded(str(each)):
            found.setdefault(source.text, source)
    if not found:
        raise CwdaError("no source given; give files, folders, names or lists of these")
    return [_labelled(source, labels) for source in found.values()]


def _labelled(source: Source, labels: Labels | None) -> Source:
    task, family = labels.of(source.text, source.name) if labels else ("", "")
    return replace(source, task=task or source.task, family=family or source.family)


def _expanded(text: str, beside: Path | None = None) -> Iterator[Source]:
    """The networks of one text; `beside` is the folder of the list that it stands in."""
    text = text.strip()
    if not text:
        yield Source("''", problem="an empty source; give a file, a folder or a name")
    elif is_url(text):
        yield from _behind(text)
    elif text.startswith(_PREFIXES):
        yield from _named(text)
    else:
        try:
            found = list(_at_paths(_path(text, beside), text))
        except OSError as error:  # a name too long, or a folder that may not be read
            shown = text[:_LONGEST]
            found = [Source(shown, problem=f"{shown}: cannot be read ({error.strerror})")]
        yield from found


def _path(text: str, beside: Path | None) -> Path:
    """A path from here, or else from the folder of the list that names it."""
    path = Path(text).expanduser()
    if beside is None or glob.glob(str(path), recursive=True) or path.exists():
        return path
    return beside / path


def _behind(url: str) -> Iterator[Source]:
    try:
        for each in matching(url):
            yield Source(each)
    except SourceError as error:
        yield Source(url, problem=str(error))


def _named(text: str) -> Iterator[Source]:
    from cwda.surveys.sources.names import matching_names

    try:
        for name in matching_names(text):
            yield Source(name.text, is_name=True, task=name.task, family=name.family)
    except SourceError as error:
        yield Source(text, problem=str(error))


def _at_paths(path: Path, text: str) -> Iterator[Source]:
    """The networks of a file, a list, a folder or a pattern; or of a name."""
    if path.is_file():
        yield from _listed(path) if path.suffix.lower() in _LISTS else [_file(path)]
    elif _is_known(text):
        from cwda.surveys.sources.names import labels_of

        task, family = labels_of(text)
        yield Source(text, is_name=True, task=task, family=family)
    elif path.is_dir():
        yield from _folder(path)
    elif _GLOB.search(text):
        found = sorted(glob.glob(str(path), recursive=True))
        for each in map(Path, found):
            if each.is_file():
                yield _file(each)
            elif "**" not in text:  # which finds the files in it as well
                yield from _folder(each)
        if not found:
            yield Source(text, problem=f"{text}: no file matches{_close(path)}")
    elif path.is_symlink() or re.search(r"[/\\.]", text):
        yield Source(text, problem=f"{text}: no such file{_close(path)}")
    else:
        yield Source(text, problem=_unknown(text, path))


def _file(path: Path) -> Source:
    try:
        facts = path.stat()
    except OSError as error:
        return Source(str(path), problem=f"{path}: cannot be read ({error.strerror})")
    stamp = f"{facts.st_size} bytes of {facts.st_mtime_ns / 1e9:.3f}"
    return Source(os.path.abspath(path), stamp=stamp)


def _folder(path: Path) -> Iterator[Source]:
    from cwda.checkpoints.folders import checkpoints_below

    found = checkpoints_below(path)
    yield from map(_file, found)
    if not found:
        is_open = os.access(path, os.R_OK | os.X_OK)
        what = "a folder without a checkpoint" if is_open else "cannot be read (Permission denied)"
        yield Source(str(path), problem=f"{path}: {what}")


def _listed(path: Path) -> Iterator[Source]:
    """The sources in a file, one on each line; what follows a # is a comment."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a text in UTF-8"
        yield Source(str(path), problem=f"{path}: cannot be read as a list ({reason})")
        return
    texts = [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines]
    for text in filter(None, texts):
        if Path(text).suffix.lower() in _LISTS:
            yield Source(text, problem=f"{text}: a list in the list {path}; give it by itself")
        else:
            yield from _expanded(text, path.parent)
    if not any(texts):
        yield Source(str(path), problem=f"{path}: a list without sources")


def _is_known(text: str) -> bool:
    """Whether it is the name of a model; what cannot be one is not looked up."""
    if not re.fullmatch(r"[\w.-]+(:\w+)?", text):
        return False
    from cwda.zoo.names import is_known

    return is_known(text)


def _unknown(text: str, path: Path) -> str:
    from cwda.zoo.names import unknown

    files = _neighbours(path)
    close = difflib.get_close_matches(text, files, n=_SHOWN)
    if close:
        return f"{text!r} is neither a known model nor a file; did you mean {' or '.join(close)}?"
    return str(unknown(text))


def _neighbours(path: Path) -> list[str]:
    try:
        return os.listdir(path.parent)
    except OSError:
        return []


def _close(path: Path) -> str:
    """The end of a message about a missing file: what its folder has that is called alike."""
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist"
    close = difflib.get_close_matches(path.name, _neighbours(path), n=_SHOWN)
    return f"; did you mean {' or '.join(close)}?" if close else "; check the path"
