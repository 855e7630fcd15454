"""Verbs that measure networks: sources -> result -> what is shown -> tables, in one frame."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import click

from cwda.cli.options import device_option, summary_option
from cwda.cli.output import Outputs, output_option
from cwda.cli.sources import SOURCES, Sources, source_options
from cwda.cli.verb import Verb
from cwda.errors import CwdaError

if TYPE_CHECKING:
    import pandas as pd

    from cwda.cli.screen.screen import Screen
    from cwda.layers import Network

__all__ = ["Analysis", "analysis", "measure_each"]


_LOG = logging.getLogger(__name__)


class HasTable(Protocol):
    """A result with a table."""

    @property
    def table(self) -> pd.DataFrame: ...


#: From a network to its result, and from the result to the screen.
Steps = tuple[Callable[["Network"], Any], Callable[[Any, "Screen"], None]]


class Analysis(Verb):
    """A verb that measures each network of its command line.

    Parameters
    ----------
    prepare : callable
        Checks the options, and gives `Steps`.
    """

    def __init__(self, *args: Any, prepare: Callable[..., Steps], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepare = prepare


def analysis(
    name: str, summary: str, *, examples: str = ""
) -> Callable[[Callable[..., Steps]], Analysis]:
    """Make a function with options a verb that measures networks.

    The function gets its own options and, by name, `sources` and `device`. It checks the
    options and returns two functions: `measure(network)`, whose result has a `.table`, and
    `show(result, screen)`, which prints below the title of the network.

    Parameters
    ----------
    name, summary, examples : str
        As for `verb`.
    """

    def decorate(prepare: Callable[..., Steps]) -> Analysis:
        def run(*, sources: Sources, output: Outputs, summary: bool, **options: Any) -> None:
            output.require()
            measure, show = prepare(sources=sources, **options)
            measure_each(sources, output, output.screen(summary), measure, show)

        summary_option(output_option(device_option()(run)))
        run.__doc__ = prepare.__doc__
        # click lists the last first: the verb's own options stand before the common ones.
        run.__click_params__ += getattr(prepare, "__click_params__", [])  # type: ignore[attr-defined]
        return click.command(
            name,
            cls=Analysis,
            short_help=summary,
            examples=examples,
            about_source=SOURCES,
            prepare=prepare,
        )(source_options(run))

    return decorate


def measure_each(
    sources: Sources,
    output: Outputs,
    screen: Screen,
    measure: Callable[[Network], HasTable],
    show: Callable[[Any, Screen], None],
) -> None:
    """Load the networks, measure and show each, and write their tables as one.

    Raises
    ------
    SystemExit
        If a network could not be read or measured, after the others are done.
    """
    from cwda.cli.screen.show import title

    results = []
    for network in sources.load():
        start = time.perf_counter()
        try:
            result = measure(network)
        except CwdaError as error:
            sources.fail(error)
            continue
        _LOG.info("%s was measured in %.2f s", network.name, time.perf_counter() - start)
        title(network, screen)
        show(result, screen)
        screen.line()
        results.append(result)
    output.write(result.table for result in results)
    sources.finish()
