"""The options by which every verb names its networks, and the loading of them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cwda.cli.failure import BAD_INPUT, say
from cwda.errors import CwdaError

if TYPE_CHECKING:
    from cwda.layers import ConvLayer, Network

__all__ = ["DEFAULT_MODEL", "Assignment", "Progress", "Sources", "source_options"]

DEFAULT_MODEL = "resnet20-cifar10"


class Assignment(click.ParamType[tuple[str, float]]):
    """NAME=NUMBER."""

    def __init__(self, name: str, example: str) -> None:
        self.name, self.example = name, example

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        name, _, number = str(value).partition("=")
        try:
            return name.strip(), float(number)
        except ValueError:
            self.fail(f"{value!r} is not of the form {self.name}, as {self.example}", param, ctx)


@dataclass
class Sources:
    """The networks that a command line names.

    Attributes
    ----------
    models, checkpoints : tuple of str
        Names, and paths of files; the built-in network if there are none.
    layers : str or None
        Glob pattern of the layers wanted.
    how : dict
        Further arguments of `cwda.load`.
    unreadable : int
        How many sources could not be read, once `load` has run.
    """

    models: tuple[str, ...]
    checkpoints: tuple[str, ...]
    layers: str | None
    how: dict[str, Any]
    unreadable: int = 0

    def load(self) -> list[Network]:
        """Load every source; one that cannot be read is told and does not lose the others.

        Raises
        ------
        SystemExit
            With `BAD_INPUT`, if none can be read.
        """
        from cwda.extract import load
        from cwda.layers import distinct

        named: list[str | Path] = [*self.models, *(Path(path) for path in self.checkpoints)]
        networks = []
        for source in named or [DEFAULT_MODEL]:
            try:
                network = load(source, **self.how)
                networks.append(_select(network, self.layers) if self.layers else network)
            except CwdaError as error:
                say(error)
                self.unreadable += 1
        if not networks:
            raise SystemExit(BAD_INPUT)
        return distinct(networks)

    def finish(self) -> None:
        """End with `BAD_INPUT` if a source could not be read."""
        if self.unreadable:
            raise SystemExit(BAD_INPUT)


def _select(network: Network, pattern: str) -> Network:
    selected = network.select(pattern)
    if not len(selected):
        some = ", ".join(layer.name for layer in network.layers[:3])
        raise CwdaError(
            f"{network.name}: no layer matches {pattern!r}; its layers are called {some}, ..."
        )
    return selected


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `Sources`, handed to the command as its argument `sources`."""

    @click.option("--model", "models", multiple=True, metavar="NAME",
                  help="A built-in or torchvision name, timm:NAME or hf:ORG/REPO; repeatable. "
                  f"Default: {DEFAULT_MODEL}. See `cwda models`.")  # fmt: skip
    @click.option("--checkpoint", "checkpoints", multiple=True, metavar="PATH",
                  help="A file of weights; repeatable.")  # fmt: skip
    @click.option("--layers", metavar="GLOB",
                  help="Only layers whose name matches, as 'layer3.*,conv1'.")  # fmt: skip
    @click.option("--groups", multiple=True, type=Assignment("GLOB=N", "'*.conv2=32'"),
                  help="Groups of layers, where a file does not say; repeatable.")  # fmt: skip
    @click.option("--transposed", metavar="GLOB",
                  help="Transposed convolutions, where a file does not say.")  # fmt: skip
    @click.option("--weights-key", metavar="KEY",
                  help="The part of a checkpoint to read, as 'ema'.")  # fmt: skip
    @functools.wraps(command)
    def with_sources(
        *args: Any,
        models: tuple[str, ...],
        checkpoints: tuple[str, ...],
        layers: str | None,
        groups: tuple[tuple[str, float], ...],
        transposed: str | None,
        weights_key: str | None,
        **kwargs: Any,
    ) -> None:
        how = {
            "groups": {pattern: int(number) for pattern, number in groups},
            "transposed": transposed,
            "weights_key": weights_key,
        }
        command(*args, sources=Sources(models, checkpoints, layers, how), **kwargs)

    return with_sources


class Progress:
    """A bar on standard error that counts layers, on a terminal only."""

    def __init__(self, total: int) -> None:
        self.total = total

    def __enter__(self) -> Callable[[Network, ConvLayer], None]:
        from rich.console import Console
        from rich.progress import Progress

        self.bar = Progress(
            console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
        )
        self.bar.start()
        task = self.bar.add_task("layers", total=self.total)
        return lambda network, layer: self.bar.advance(task)

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()
