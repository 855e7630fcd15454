"""How commands end: one line for what is wrong, nothing for a reader who has seen enough."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cwda.cli.messages import note, say
from cwda.errors import CwdaError

__all__ = ["BAD_INPUT", "CONDITION_FAILS", "INTERRUPTED", "flush_output", "one_line_errors"]

BAD_INPUT = 1
CONDITION_FAILS = 3
INTERRUPTED = 130


@contextmanager
def one_line_errors(debug: bool = False) -> Iterator[None]:
    """End with one line and an exit code instead of a traceback; `debug` lets it through.

    Raises
    ------
    SystemExit
        With 0 if the reader of a pipe has left, `BAD_INPUT` for bad input and a full disk,
        `INTERRUPTED` after Ctrl-C.
    """
    try:
        yield
    except BrokenPipeError:
        _abandon_output()
        raise SystemExit(0) from None
    except KeyboardInterrupt:
        note("interrupted")
        # One that came through exec(text), as in an import, leaves a mark, and the interpreter
        # would end by the signal instead of the exit code; the next exec(text) takes it away.
        exec("")
        raise SystemExit(INTERRUPTED) from None
    except (CwdaError, OSError) as error:
        if debug:
            raise
        say(_of_system(error) if isinstance(error, OSError) else error)
        _abandon_output()
        raise SystemExit(BAD_INPUT) from None


def _of_system(error: OSError) -> str:
    """What the system answered, such as that the disk is full, and of which file."""
    return f"{error.filename or 'standard output'}: {error.strerror or error}"


def flush_output() -> None:
    """Write what is left in the buffer, while an error can still be reported."""
    with one_line_errors():
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()


def _abandon_output() -> None:
    """Throw the rest of standard output away: the interpreter would try again as it ends."""
    with suppress(AttributeError, OSError, ValueError, io.UnsupportedOperation):
        sys.stdout.flush()
        return
    with suppress(AttributeError, OSError, ValueError, io.UnsupportedOperation):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
