"""How commands end when something is wrong: one line on standard error."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from cwda.errors import CwdaError

__all__ = ["BAD_INPUT", "CONDITION_FAILS", "one_line_errors", "say"]

BAD_INPUT = 1
CONDITION_FAILS = 3

P = ParamSpec("P")
R = TypeVar("R")


def say(error: Exception) -> None:
    """Write the error as one line to standard error."""
    message = " ".join(str(error).split())
    click.echo(f"error: {message}", err=True)


def one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors of the input into one line and exit code 1; --debug shows the traceback."""

    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        debug = kwargs.pop("debug")
        try:
            return command(*args, **kwargs)
        except CwdaError as error:
            if debug:
                raise
            say(error)
            raise SystemExit(BAD_INPUT) from None

    return guarded
