"""Archives of PyTorch that were unpacked to a folder, read as the archives they were."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path

from cwda.containers.archives import Archive
from cwda.containers.mapped import map_file
from cwda.containers.tensors import printable
from cwda.errors import UnreadableError

__all__ = ["Unzipped", "is_unzipped"]

#: The object of an archive of ``torch.save``.
_OBJECT = "data.pkl"
_MOST_FILES = 200_000


def is_unzipped(folder: Path) -> bool:
    """Whether a folder was an archive of ``torch.save`` or ``torch.jit.save``."""
    return (folder / _OBJECT).is_file() and (
        (folder / "data").is_dir() or (folder / "version").is_file()
    )


class Unzipped(Archive):
    """The files of a folder, by their paths in it, in place of an archive's entries."""

    def __init__(self, folder: Path) -> None:
        patterns = ("*", "data/*", "constants/*", "code/**/*.py")
        files = chain.from_iterable(folder.glob(pattern) for pattern in patterns)
        self.paths = {
            path.relative_to(folder).as_posix(): path
            for path in islice(files, _MOST_FILES)
            if path.is_file()
        }

    @property
    def names(self) -> list[str]:
        """Names of all files, in order."""
        return sorted(self.paths)

    def __contains__(self, name: str) -> bool:
        return name in self.paths

    def length(self, name: str) -> int:
        """Size of a file."""
        if name not in self.paths:
            raise UnreadableError(
                f"the folder of an unpacked archive lacks the file {printable(name)[:80]}; "
                "unpack the archive again, or give the archive"
            )
        return self.paths[name].stat().st_size

    def fetch(self, name: str) -> Callable[[], memoryview]:
        """A function that gives a file's bytes."""
        length = self.length(name)
        return map_file(self.paths[name]).part(0, length) if length else lambda: memoryview(b"")
