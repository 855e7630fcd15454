"""A trial reading of HDF5 files in another process, since their library can crash or hang.

It is written in C, and damaged files have sent it out of its memory or round in circles. A file
that it reads there to the end it reads here too.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from cwda.errors import UnreadableError

__all__ = ["PROBE", "require_readable"]

#: The program of the other process.
PROBE = Path(__file__).with_name("hdf5_probe.py")
#: Seconds for starting and for small files, and bytes per second beyond.
_SECONDS, _SPEED = 30.0, 20e6


def require_readable(source: Path | bytes) -> None:
    """Read a file, or the bytes of one, in another process.

    Where no process can be started, nothing is tried. Damage that the library notices is no
    concern of this function.

    Raises
    ------
    UnreadableError
        If the library crashes or does not come to an end.
    """
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    # -P: the folder of the program is not searched for modules.
    command = [sys.executable or "python3", "-P", str(PROBE), str(size)]
    command += [] if isinstance(source, bytes) else [str(source.absolute())]
    data = source if isinstance(source, bytes) else b""
    with contextlib.suppress(OSError):
        try:
            done = subprocess.run(
                command,
                input=data,
                timeout=_SECONDS + size / _SPEED,
                check=False,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise _damaged("hangs") from None
        if done.returncode < 0:  # ended by a signal
            raise _damaged("crashes")


def _damaged(what: str) -> UnreadableError:
    return UnreadableError(
        f"the HDF5 file is damaged (its library {what} on it); download or copy it again"
    )
