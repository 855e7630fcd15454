"""Lines on standard error: errors always, notes unless the verb is quiet."""

from __future__ import annotations

import re

import click

from cwda.progress import line

__all__ = ["QUIET", "in_options", "is_quiet", "note", "say"]

#: Where the context of a command keeps whether it was given --quiet.
QUIET = "cwda.quiet"


def say(error: Exception | str) -> None:
    """Write an error as one line."""
    line(f"error: {in_options(' '.join(str(error).split()))}")


def note(text: str) -> None:
    """Say what was done, unless that is not wanted."""
    if not is_quiet():
        line(text)


def is_quiet() -> bool:
    """Whether the verb that runs was given --quiet."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(QUIET))


def in_options(text: str) -> str:
    """A line of the library in the words of the verb that runs: --batch-size for batch_size.

    An argument is an option of the same name. It is recognised by the equals sign behind it or by
    an underscore in its name; other words may be just words.
    """
    context = click.get_current_context(silent=True)
    for parameter in context.command.params if context else ():
        if isinstance(parameter, click.Option):
            text = _in_option(text, parameter)
    return text


def _in_option(text: str, option: click.Option) -> str:
    name = next(each for each in option.opts if each.startswith("--"))
    word = name.removeprefix("--").replace("-", "_")
    for pattern, words in (
        (r"=\.\.\.", f"{name} {option.metavar or 'VALUE'}"),
        (r"=(?=[\w'\"])", f"{name} "),
        ("=", name),
        *([(r"(?!\w)", name)] if "_" in word else []),
    ):
        text = re.sub(rf"(?<![\w./-]){word}{pattern}", words, text)
    return text
