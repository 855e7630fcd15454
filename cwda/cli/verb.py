"""What all verbs have in common: quiet, verbose and debug, exit codes, and how they end."""

from __future__ import annotations

import gc
import inspect
import logging
import os
import shlex
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from cwda.cli.completion import models
from cwda.cli.failure import flush_output, one_line_errors
from cwda.cli.messages import QUIET, in_options
from cwda.cli.overwriting import REPLACED, require_spared, writes
from cwda.errors import nearest
from cwda.progress import importing, line, showing

__all__ = ["Group", "Verb", "command_line", "verb"]

_PACKAGE = str(Path(__file__).resolve().parent.parent)

#: New objects after which the process of a command looks for cycles.
_OBJECTS = 50_000

#: Key of the words after the verb, in the context's `meta`.
_TYPED = "cwda.typed"

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 80}


class _Ending:
    """Closed pipes, full disks and Ctrl-C end a command quietly, also while it is parsed."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with one_line_errors():
            return super().make_context(*args, **kwargs)  # type: ignore[misc, no-any-return]

    def main(self, args: Any = None, *others: Any, **kwargs: Any) -> Any:
        alone = args is None  # the words are those of the process: nothing else runs in it
        if alone:
            # Threads of torch that wait for their next task by spinning take the cores from
            # compiled loops. Its library reads this when it is loaded, which comes later.
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
            # Imports and figures make a million objects, few of which ever die: looking for
            # cycles among them as often as Python does by default is a fifth of a short run.
            gc.set_threshold(_OBJECTS)
        try:
            return super().main(args, *others, **kwargs)  # type: ignore[misc]
        finally:
            flush_output()
            if alone:
                gc.freeze()  # what the process leaves behind need not be searched for cycles


class Group(_Ending, click.Group):
    """Several verbs under one name, listed in the order in which they were given."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the verbs."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb of the first word; a network in its place is a frequent slip."""
        word = args[0]
        if ctx.resilient_parsing or word in self.commands or word.startswith("-"):
            return super().resolve_command(ctx, args)
        if _is_source(word):
            typed = f"{ctx.command_path} {shlex.join([next(iter(self.commands)), *args])}"
            raise click.UsageError(f"{word!r} is a network, not a verb; try `{typed}`", ctx)
        raise click.UsageError(f"no verb {word!r}{nearest(word, self.commands)}", ctx)


def _is_source(word: str) -> bool:
    """Whether a word looks like a file or the name of a network."""
    path = Path(word)
    return path.exists() or path.name != word or bool(path.suffix) or word.split(":")[0] in models()


class Verb(_Ending, click.Command):
    """A command with -q, -v and --debug, whose help ends with its examples and exit codes.

    Parameters
    ----------
    examples : str
        Command lines, one on each line.
    about_source : str
        What is said of SOURCE, below the help.
    codes : str
        Exit codes beyond those of every verb.
    """

    def __init__(
        self,
        *args: Any,
        examples: str = "",
        about_source: str = "",
        codes: str = "",
        **kwargs: Any,
    ) -> None:
        kwargs["context_settings"] = _HELP
        super().__init__(*args, **kwargs)
        self.help = f"{inspect.cleandoc(self.help or '')}\n\n{about_source}".strip()
        self.examples, self.codes = textwrap.dedent(examples).strip(), codes
        self.params += [
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                help="Print only errors, and what --output asks for.",
            ),
            click.Option(
                ["-v", "--verbose"],
                count=True,
                help="Say on standard error what is done; -vv says more.",
            ),
            click.Option(["--debug"], is_flag=True, help="Show the traceback of an error."),
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words after the verb, and keep them for `command_line`."""
        ctx.meta[_TYPED] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb, and end as its help says."""
        debug, verbose, quiet = (ctx.params.pop(name) for name in ("debug", "verbose", "quiet"))
        if quiet and verbose:
            raise click.UsageError(
                "--quiet and --verbose contradict each other; leave one out", ctx
            )
        ctx.meta[QUIET] = quiet
        told = _logging(quiet, verbose)
        with one_line_errors(debug), told, showing(not quiet), importing():
            require_spared(ctx)
            return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, what becomes of files that exist, then the exit codes."""
        if self.examples:
            formatter.write_paragraph()
            formatter.write_text("Examples:")
            formatter.write(textwrap.indent(self.examples, "  ") + "\n")
        if writes(self):
            formatter.write_paragraph()
            formatter.write_text(REPLACED)
        formatter.write_paragraph()
        formatter.write_text(
            "Exit codes: 0 done; 1 bad input, or a file that cannot be written; 2 bad usage; "
            f"{self.codes}130 interrupted."
        )


def verb(
    name: str, summary: str, *, examples: str = "", about_source: str = "", codes: str = ""
) -> Callable[[Callable[..., Any]], Verb]:
    """Make a function with options a verb, whose help is the function's docstring.

    Parameters
    ----------
    name, summary : str
        What is typed, and its line in the list of verbs.
    examples, about_source, codes : str
        As for `Verb`.
    """
    return click.command(
        name,
        cls=Verb,
        short_help=summary,
        examples=examples,
        about_source=about_source,
        codes=codes,
    )


def command_line(*more: str) -> str:
    """The running command as it was typed, for a reader who wants to run it again.

    Parameters
    ----------
    *more : str
        Further options; they go before a ``--``, behind which there are none.
    """
    context = click.get_current_context()
    typed = list(context.meta[_TYPED])
    at = typed.index("--") if "--" in typed else len(typed)
    return " ".join([context.command_path, *map(shlex.quote, [*typed[:at], *more, *typed[at:]])])


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
    """Records as lines on standard error, above the bars that stand there."""

    def emit(self, record: logging.LogRecord) -> None:
        message = in_options(" ".join(record.getMessage().split()))
        line(f"{record.levelname.lower()}: {message}")


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
