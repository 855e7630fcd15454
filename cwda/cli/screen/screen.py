"""What verbs print on standard output: within the width and the characters of the terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from cwda.cli.messages import in_options
from cwda.cli.screen.characters import encodable
from cwda.cli.screen.table import Table

__all__ = ["Screen", "terminal_width"]

#: Blanks at which no line ends: before a percent sign, and in ``--output -`` or ``--output FILE``.
_UNBROKEN = re.compile(r" (?=%)|(?<=--output) ")

#: Remarks shown on a terminal; a pipe gets them all.
MOST_REMARKS = 8


def terminal_width() -> int | None:
    """The width of COLUMNS or of the terminal; None in a pipe, where lines may be long."""
    stated = os.environ.get("COLUMNS", "")
    if stated.isdecimal() and int(stated) > 0:
        return int(stated)
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


class Screen:
    """Standard output.

    Parameters
    ----------
    elsewhere : str
        What else shows the columns of tables by layer that have no room.
    silent : bool
        Print nothing.
    patient : bool
        Go on where the reader of a pipe has left, as there are files to be written.
    summary : bool
        Print no tables with one row per layer.
    """

    def __init__(
        self,
        elsewhere: str = "--output -",
        *,
        silent: bool = False,
        patient: bool = False,
        summary: bool = False,
    ) -> None:
        self.elsewhere, self.silent = elsewhere, silent
        self.patient, self.summary = patient, summary
        self.width = terminal_width()
        self.encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        self._legends: set[str] = set()
        self._console = _Unbroken(highlight=False, markup=False, emoji=False)

    def line(self, text: str = "", style: str = "") -> None:
        """Print a text, folded where it is longer than a line."""
        self.remark(text, style, first="", rest="  ")

    def remark(self, text: str, style: str = "", first: str = "  ", rest: str = "    ") -> None:
        """Print a text, folded, with these indents."""
        text = encodable(in_options(text), self.encoding)
        folded = [first + text]
        if self.width and len(folded[0]) > self.width:
            folded = textwrap.wrap(
                _UNBROKEN.sub("\N{NO-BREAK SPACE}", text),
                self.width,
                initial_indent=first,
                subsequent_indent=rest,
                break_on_hyphens=False,
            )
            folded = [part.replace("\N{NO-BREAK SPACE}", " ") for part in folded]
        self._print(*(Text(part, style) for part in folded))

    def remarks(self, *kinds: Sequence[str]) -> None:
        """Print remarks, on a terminal the first of each kind."""
        lines = [(rank, line) for kind in kinds for rank, line in enumerate(kind)]
        hidden = len(lines) - MOST_REMARKS if self.width else 0
        places: Sequence[int] = range(len(lines))
        if hidden > 1:
            places = sorted(sorted(places, key=lambda place: lines[place][0])[:MOST_REMARKS])
        for place in places:
            self.remark(lines[place][1])
        if hidden > 1:
            self.remark(f"{hidden} more remarks are shown in a pipe")

    def table(self, table: Table, legend: str = "") -> None:
        """Print a table, what of it had no room, and, once, what its columns mean."""
        if table.layers and self.summary:
            return
        printed = table.printed(self.width, self.encoding)
        self._print(*printed.lines)
        if printed.left_out:
            places = ["a wider terminal", "a pipe", *[self.elsewhere] * table.layers]
            shown = f"{', '.join(places[:-1])} or {places[-1]}"
            self.remark(f"no room for {', '.join(printed.left_out)}: use {shown}", "dim")
        legend = "; ".join(filter(None, (printed.meanings, legend)))
        if legend and legend not in self._legends:
            self.remark(legend)
        self._legends.add(legend)

    def command(self, what: str, command: str) -> None:
        """Print a command line unbroken, so that it can be copied, after what it is for."""
        command = encodable(command, self.encoding)
        if self.width and len(f"{what}: {command}") > self.width:
            self.line(f"{what}:")
            self._print(Text(command))
        else:
            self._print(Text(f"{what}: {command}"))

    def code(self, line: str) -> None:
        """Print a line of Python, folded only at blanks within brackets, where it still runs."""
        kept = _with_kept_blanks(encodable(line, self.encoding))
        lines = textwrap.wrap(
            kept,
            self.width or len(kept),
            subsequent_indent="    ",
            break_on_hyphens=False,
            break_long_words=False,
        )
        self._print(*(Text(part.replace("\N{NO-BREAK SPACE}", " ")) for part in lines))

    def _print(self, *lines: Text) -> None:
        if self.silent:
            return
        try:
            self._console.print(Text("\n").join(lines), soft_wrap=True)
        except BrokenPipeError:
            if not self.patient:
                raise
            self.silent = True


def _with_kept_blanks(line: str) -> str:
    """Python with no-break spaces where a line may not be folded: in texts, outside brackets.

    Examples
    --------
    >>> _with_kept_blanks("a = f('b c', d)").replace("\N{NO-BREAK SPACE}", "_")
    "a_=_f('b_c', d)"
    """
    depth, quote, kept = 0, "", ""
    for character in line:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
        free = character != " " or (depth and not quote)
        kept += character if free else "\N{NO-BREAK SPACE}"
    return kept


class _Unbroken(Console):
    """A console that leaves a closed pipe to the verb, which ends quietly."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError
