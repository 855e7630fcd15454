"""The networks that a command line names, and the loading of them."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from cwda.cli.completion import complete_models, complete_sources
from cwda.cli.failure import BAD_INPUT
from cwda.cli.messages import say
from cwda.cli.options import Assignment
from cwda.errors import CwdaError

if TYPE_CHECKING:
    from torch import nn

    from cwda.layers import Network

__all__ = ["DEFAULT_MODEL", "Entry", "Sources", "source_arguments", "source_options"]

DEFAULT_MODEL = "resnet20-cifar10"

#: How the library asks for an architecture, and whether a name follows.
_ARCH = re.compile(r"\barch=(\w?)")


@dataclass(frozen=True)
class Entry:
    """One network on the command line.

    Attributes
    ----------
    text : str
        A path or a name.
    is_name : bool
        Whether it was given to --model, and is a name whatever files there are.
    """

    text: str
    is_name: bool

    def load(self, how: dict[str, Any]) -> Network:
        """The network.

        Raises
        ------
        CwdaError
            If it cannot be read.
        """
        from cwda.loading import load

        return load(self._source(), **how)

    def load_model(self, arch: str | None, weights_key: str | None = None) -> nn.Module:
        """The network as a module that can run.

        Raises
        ------
        CwdaError
            If it cannot be read, or its architecture is not known.
        """
        from cwda.loading import load_model

        source = self._source()
        try:
            return load_model(source, arch=arch, weights_key=weights_key)
        except CwdaError as error:
            raise type(error)(
                _ARCH.sub(lambda found: "--arch " + found[1] if found[1] else "--arch", str(error))
            ) from error

    def _source(self) -> str:
        from cwda.loading import ModelName
        from cwda.zoo.names import is_known

        if self.text in ("", "-"):
            raise CwdaError(f"{self.text!r} is not a source; give a file, a folder or a name")
        if not self.is_name:
            return self.text
        if os.path.exists(self.text) and not is_known(self.text):
            raise CwdaError(f"{self.text} is a file, not the name of a model; leave --model out")
        return ModelName(self.text)


@dataclass
class Sources:
    """The networks that a command line names.

    Attributes
    ----------
    entries : sequence of Entry
        Files and names; the built-in network if there are none.
    layers : str or None
        Glob patterns of the layers wanted.
    how : dict
        Further arguments of `cwda.load`.
    failed : int
        How many sources gave no result so far.
    """

    entries: Sequence[Entry]
    layers: str | None = None
    how: dict[str, Any] = field(default_factory=dict)
    failed: int = 0
    _origins: dict[str, Entry] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def load(self) -> list[Network]:
        """Load every source; one that cannot be read is told and does not lose the others.

        Raises
        ------
        SystemExit
            With `BAD_INPUT`, if none can be read.
        """
        from cwda.layers import distinct

        read = []
        for entry in self.entries or [Entry(DEFAULT_MODEL, True)]:
            try:
                read.append((entry, self.selected(entry.load(self.how))))
            except CwdaError as error:
                self.fail(error)
        if not read:
            raise SystemExit(BAD_INPUT)
        networks = distinct([network for _, network in read])
        self._origins = {
            network.name: entry for network, (entry, _) in zip(networks, read, strict=True)
        }
        return networks

    def origin(self, network: Network) -> Entry:
        """What on the command line a loaded network stems from."""
        return self._origins[network.name]

    def selected(self, network: Network) -> Network:
        """The layers wanted.

        Raises
        ------
        CwdaError
            If there are none.
        """
        return network if self.layers is None else network.select(self.layers)

    def fail(self, error: CwdaError) -> None:
        """Say what is wrong with one source, once, and remember it for `finish`."""
        if str(error) not in self._said:
            say(error)
        self._said.add(str(error))
        self.failed += 1

    def finish(self) -> None:
        """End with `BAD_INPUT` if a source gave no result."""
        if self.failed:
            raise SystemExit(BAD_INPUT)


def source_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments SOURCE and the option --model, handed on as `entries`."""

    @click.argument("paths", nargs=-1, metavar="[SOURCE]...", shell_complete=complete_sources)
    @click.option("--model", "models", multiple=True, metavar="NAME",
                  shell_complete=complete_models,
                  help="The name of a model, also where a file is called so; repeatable. See "
                  "`cwda models`.")  # fmt: skip
    @functools.wraps(command)
    def with_entries(
        *args: Any, paths: tuple[str, ...], models: tuple[str, ...], **kwargs: Any
    ) -> Any:
        entries = [Entry(path, False) for path in paths] + [Entry(name, True) for name in models]
        return command(*args, entries=entries, **kwargs)

    return with_entries


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments and options of `Sources`, handed on as `sources`."""

    @source_arguments
    @click.option("--layers", metavar="GLOB",
                  help="Only layers whose name matches, such as 'layer3.*,conv1'.")  # fmt: skip
    @click.option("--groups", multiple=True, type=Assignment("GLOB=N", "'*.conv2=32'"),
                  help="Groups of layers, where a file does not say; repeatable.")  # fmt: skip
    @click.option("--transposed", metavar="GLOB",
                  help="Transposed convolutions, where a file does not say.")  # fmt: skip
    @click.option("--layout", "layouts", multiple=True, metavar="[GLOB=]ORDER",
                  help="Order of the axes of kernels, where a file does not say, such as HWIO; "
                  "repeatable.")  # fmt: skip
    @click.option("--weights-key", metavar="KEY",
                  help="The part of a checkpoint to read, such as 'ema'.")  # fmt: skip
    @functools.wraps(command)
    def with_sources(
        *args: Any,
        entries: list[Entry],
        layers: str | None,
        groups: tuple[tuple[str, float], ...],
        transposed: str | None,
        layouts: tuple[str, ...],
        weights_key: str | None,
        **kwargs: Any,
    ) -> Any:
        how: dict[str, Any] = {
            "groups": {pattern: int(number) for pattern, number in groups},
            "transposed": transposed,
            "weights_key": weights_key,
        }
        if layouts:
            how["layout"] = _layout(layouts)
        return command(*args, sources=Sources(entries, layers, how), **kwargs)

    return with_sources


def _layout(texts: Sequence[str]) -> str | dict[str, str]:
    """One order for all layers, or orders by pattern; a bare order is for the rest of them."""
    split = [text.rpartition("=") for text in texts]
    by_pattern = {pattern: order for pattern, equals, order in split if equals}
    bare = [order for _, equals, order in split if not equals]
    if len(bare) > 1:
        raise click.BadParameter(
            f"{' and '.join(bare)}: give one order for all layers, others as GLOB=ORDER",
            param_hint="--layout",
        )
    if not by_pattern:
        return bare[0]
    return ({"*": bare[0]} if bare else {}) | by_pattern  # the last that matches counts
