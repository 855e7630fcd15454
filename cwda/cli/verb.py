"""What all verbs have in common: quiet, verbose and debug, exit codes, and how they end."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from cwda.cli.failure import flush_output, one_line_errors
from cwda.cli.messages import QUIET
from cwda.progress import showing

__all__ = ["Group", "Verb"]

_PACKAGE = str(Path(__file__).resolve().parent.parent)


class _Ending:
    """Closed pipes, full disks and Ctrl-C end a command quietly, also while it is parsed."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with one_line_errors():
            return super().make_context(*args, **kwargs)  # type: ignore[misc, no-any-return]

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)  # type: ignore[misc]
        finally:
            flush_output()


class Group(_Ending, click.Group):
    """Several verbs under one name."""


class Verb(_Ending, click.Command):
    """A command with -q, -v and --debug, whose help ends with its exit codes.

    Parameters
    ----------
    codes : str
        Exit codes beyond those of every verb.
    """

    def __init__(self, *args: Any, codes: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {}).setdefault("max_content_width", 80)
        super().__init__(*args, **kwargs)
        self.codes = codes
        self.params += [
            click.Option(["-q", "--quiet"], is_flag=True,
                         help="Print errors, and what --output asks for, only."),
            click.Option(["-v", "--verbose"], count=True,
                         help="Tell what is done on standard error; -vv tells more."),
            click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
        ]  # fmt: skip

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb, and end as its help says."""
        debug, verbose, quiet = (ctx.params.pop(name) for name in ("debug", "verbose", "quiet"))
        ctx.meta[QUIET] = quiet
        with (
            one_line_errors(debug),
            _logging(quiet, verbose),
            showing(not quiet),
        ):
            return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, then the exit codes."""
        super().format_epilog(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(
            "Exit codes: 0 done; 1 bad input, or a file that cannot be written; 2 bad usage; "
            f"{self.codes}130 interrupted."
        )


@contextmanager
def _logging(quiet: bool, verbose: int) -> Iterator[None]:
    """Log records and warnings of the package as lines on standard error."""
    logger = logging.getLogger("cwda")
    before = logger.level, logger.propagate
    handler = _Lines()
    logger.addHandler(handler)
    levels = [logging.WARNING, logging.INFO, logging.DEBUG]
    logger.setLevel(logging.ERROR if quiet else levels[min(verbose, 2)])
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _log_warning
            yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


class _Lines(logging.Handler):
    """Records as lines, on what is standard error at the moment: a bar may stand there."""

    def emit(self, record: logging.LogRecord) -> None:
        message = " ".join(record.getMessage().split())
        print(f"{record.levelname.lower()}: {message}", file=sys.stderr)


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Warnings of this package are for the user, those of libraries for the curious."""
    ours = filename.startswith(_PACKAGE) and not issubclass(category, DeprecationWarning)
    logging.getLogger("cwda").log(logging.WARNING if ours else logging.INFO, "%s", message)
