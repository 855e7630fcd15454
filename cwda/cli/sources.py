"""The networks that a command line names, and the loading of them."""

from __future__ import annotations

import functools
import os
import re
import shlex
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cwda.cli.completion import complete_models, complete_sources
from cwda.cli.failure import BAD_INPUT
from cwda.cli.messages import say
from cwda.cli.options import Assignment, Decorator, option
from cwda.errors import CwdaError

if TYPE_CHECKING:
    from torch import nn

    from cwda.layers import Network

__all__ = [
    "ONE_SOURCE",
    "SOURCES",
    "Entry",
    "Prunable",
    "Sources",
    "as_word",
    "one_source",
    "source_arguments",
    "source_options",
    "weights_key_option",
]

_DEFAULT_MODEL = "resnet20-cifar10"

#: Formats from which no module is made that could be pruned.
_WEIGHTS_ONLY = {
    "onnx": "an ONNX file",
    "keras hdf5": "a Keras file",
    "caffe hdf5": "a Caffe file",
    "hdf5": "an HDF5 file",
    "npy": "an npy file",
    "npz": "an npz file",
}

#: Endings of files, none of which any name of a network has.
_ENDINGS = (
    ".pth",
    ".pt",
    ".pt2",
    ".ckpt",
    ".safetensors",
    ".onnx",
    ".npz",
    ".npy",
    ".h5",
    ".keras",
)

#: What the help of a verb says of its arguments.
SOURCES = (
    "SOURCE is a file, a folder with one checkpoint or the name of a model; the built-in network "
    "if there is none."
)
ONE_SOURCE = (
    "SOURCE is a file or the name of a model. Its architecture must be known: it is recognised by "
    "the keys of a checkpoint, or named by --arch."
)


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

    @property
    def words(self) -> list[str]:
        """What is typed for it."""
        if self.is_name and os.path.exists(self.text):
            return ["--model", self.text]
        return [as_word(self.text)]

    @property
    def name(self) -> str:
        """What tables and files of results call the network."""
        path = Path(self.text)
        return path.name.removesuffix(path.suffix) if path.exists() else self.text

    def load(self, reading: dict[str, Any]) -> Network:
        """The network; `reading` are further arguments of `cwda.load`.

        Raises
        ------
        CwdaError
            If it cannot be read.
        """
        from cwda.loading import load

        return load(self.source(), **reading)

    def load_model(self, arch: str | None, weights_key: str | None = None) -> nn.Module:
        """The network as a module that can run.

        Raises
        ------
        CwdaError
            If it cannot be read, or its architecture is not known.
        """
        from cwda.loading import load_model

        return load_model(self.source(), arch=arch, weights_key=weights_key)

    def architectures(self, weights_key: str | None = None) -> list[str]:
        """The names for --arch whose keys and shapes the file has.

        Raises
        ------
        CwdaError
            If it cannot be read.
        """
        from cwda.loading.runnable import architectures

        return architectures(self.source(), weights_key)

    def source(self) -> str:
        """What `cwda.load` takes for it.

        Raises
        ------
        CwdaError
            If it can be none.
        """
        from cwda.loading import ModelName
        from cwda.zoo.names import is_known

        if self.text in ("", "-"):
            raise CwdaError(f"{self.text!r} is not a source; give a file, a folder or a name")
        if not self.is_name:
            return self.text
        if os.path.exists(self.text) and not is_known(self.text):
            raise CwdaError(f"{self.text} is a file, not the name of a model; leave --model out")
        return ModelName(self.text)


@dataclass(frozen=True, eq=False)
class Prunable:
    """A network that `cwda prune` can prune.

    Attributes
    ----------
    words : str
        What is typed for it.
    call : str
        What gives its module in Python.
    model : Module
        That module.
    shape : tuple of int
        That of a batch of one image.
    """

    words: str
    call: str
    model: nn.Module
    shape: tuple[int, ...]


@dataclass
class Sources:
    """The networks that a command line names.

    Attributes
    ----------
    entries : sequence of Entry
        Files and names; the built-in network if there are none.
    layers : str or None
        Glob patterns of the layers wanted.
    reading : dict
        Further arguments of `cwda.load`.
    failed : int
        How many sources gave no result so far.
    """

    entries: Sequence[Entry]
    layers: str | None = None
    reading: dict[str, Any] = field(default_factory=dict)
    failed: int = 0
    _origins: dict[str, Entry] = field(default_factory=dict)
    _selections: set[str] = field(default_factory=set)
    _reported: set[str] = field(default_factory=set)

    def load(self) -> list[Network]:
        """Load every source; one that cannot be read is reported and does not lose the others.

        Raises
        ------
        CwdaError
            If a pattern of `layers` matches no layer of any of them.
        SystemExit
            With `BAD_INPUT`, if none can be read.
        """
        from cwda.layers import distinct

        loaded = []
        for entry in self.entries or [Entry(_DEFAULT_MODEL, True)]:
            try:
                loaded.append((entry, entry.load(self.reading)))
            except CwdaError as error:
                self.fail(error)
        self._require_matches([network for _, network in loaded])
        selected = []
        for entry, network in loaded:
            try:
                selected.append((entry, self.selected(network), len(network)))
            except CwdaError as error:
                self.fail(error)
        if not selected:
            raise SystemExit(BAD_INPUT)
        networks = distinct([network for _, network, _ in selected])
        for network, (entry, _, layers) in zip(networks, selected, strict=True):
            self._origins[network.name] = entry
            if len(network) < layers:
                self._selections.add(network.name)
        return networks

    def _require_matches(self, networks: Sequence[Network]) -> None:
        """Refuse a pattern that matches nothing, where the others would hide it."""
        patterns = (self.layers or "").split(",")
        if not networks or len(patterns) < 2:
            return
        for pattern in filter(None, map(str.strip, patterns)):
            problems = [_mismatch(network, pattern) for network in networks]
            if all(problems):
                raise CwdaError(problems[0])

    def origin(self, network: Network) -> Entry:
        """What on the command line a loaded network stems from."""
        return self._origins[network.name]

    def pattern(self, network: Network) -> str:
        """The pattern of the layers wanted, where it leaves layers out; else empty."""
        return self.layers or "" if network.name in self._selections else ""

    def typed(
        self, most: int | None = None, *, of: Network | None = None, whole: bool = False
    ) -> str:
        """The sources, and the options about them, as they are typed after another verb.

        Sources that could not be read are left out.

        Parameters
        ----------
        most : int, optional
            So many sources at most.
        of : Network, optional
            Only the source of this network.
        whole : bool
            All its layers, whatever was wanted.
        """
        default = [Entry(_DEFAULT_MODEL, False)]
        entries = (list(self._origins.values()) or self.entries or default)[:most]
        if of is not None and of.name in self._origins:
            entries = [self._origins[of.name]]
        words = [word for entry in entries for word in entry.words]
        options = {"--layers": None if whole else self.layers} | {
            f"--{name.replace('_', '-')}": self.reading.get(name)
            for name in ("groups", "transposed", "layout", "weights_key")
        }
        for name, value in options.items():
            if isinstance(value, dict):
                for pattern, each in value.items():
                    words += [name, f"{pattern}={each}"]
            elif value is not None:
                words += [name, value]
        return " ".join(map(shlex.quote, words))

    def prunable(self, network: Network, arch: str | None) -> Prunable:
        """The source as `cwda prune` takes it, and its module.

        Raises
        ------
        WeightsError
            If weights are NaN or infinite.
        CwdaError
            If no module can be made of the source, which `cwda prune` needs.
        """
        from cwda.models.input_shape import usual_input_shape
        from cwda.pruning.finite import require_finite

        entry, key = self._origins.get(network.name), self.reading.get("weights_key")
        if entry is None:
            raise CwdaError("it stands in no file that could be read again")
        if file := _WEIGHTS_ONLY.get(network.provenance.format):
            raise CwdaError(f"{file} holds none; load the weights into one")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `cwda prune` says what is left out
            arch, model = _with_arch(entry, arch, key)
        require_finite(model)
        shape = usual_input_shape(model)
        if shape is None:
            raise CwdaError(
                f"the images that {type(model).__name__} takes are not known; give it their shape "
                "by --input-shape, or use the module in Python"
            )
        options = {"--arch": arch, "--weights-key": key}
        words = [word for name, value in options.items() if value for word in (name, value)]
        named = [
            f"{name}={value!r}" for name, value in (("arch", arch), ("weights_key", key)) if value
        ]
        return Prunable(
            " ".join(map(shlex.quote, [*entry.words, *words])),
            f"cwda.load_model({', '.join([repr(entry.text), *named])})",
            model,
            (1, *shape),
        )

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
        if str(error) not in self._reported:
            say(error)
        self._reported.add(str(error))
        self.failed += 1

    def finish(self) -> None:
        """End with `BAD_INPUT` if a source gave no result."""
        if self.failed:
            raise SystemExit(BAD_INPUT)


def as_word(path: str | Path) -> str:
    """A path as it is typed: one that begins like an option has its folder before it.

    Examples
    --------
    >>> as_word("-x.pth"), as_word("x.pth")
    ('./-x.pth', 'x.pth')
    """
    return f"./{path}" if str(path).startswith("-") else str(path)


def _with_arch(entry: Entry, arch: str | None, key: str | None) -> tuple[str | None, nn.Module]:
    """The module of a source, and the architecture that has to be named for it.

    Raises
    ------
    CwdaError
        If it is not known.
    """
    try:
        return arch, entry.load_model(arch, key)
    except CwdaError:
        is_file = not entry.is_name and os.path.exists(entry.text)
        names = entry.architectures(key) if is_file and arch is None else []
        if len(names) != 1:
            raise
        return names[0], entry.load_model(names[0], key)


def one_source(entries: Sequence[Entry]) -> Entry:
    """The only source of a verb that takes one.

    Raises
    ------
    click.UsageError
        If there is none, or several.
    """
    if len(entries) != 1:
        raise click.UsageError(f"give one SOURCE to prune, not {len(entries)}")
    return entries[0]


def _require_some(entries: Sequence[Entry]) -> None:
    """End before libraries are loaded where every source is the path of a file that is not there.

    Raises
    ------
    SystemExit
        With `BAD_INPUT`.
    """
    missing = [entry for entry in entries if not entry.is_name and _is_missing(entry.text)]
    if not missing or len(missing) < len(entries):
        return
    for entry in missing:
        say(f"{entry.text}: no such file; check the path")
    raise SystemExit(BAD_INPUT)


def _is_missing(text: str) -> bool:
    """Whether a text can be nothing but a path, of which there is no file."""
    path = os.path.expanduser(text)
    is_path = re.search(r"[/\\]|^~|^\.", text) or text.lower().endswith(_ENDINGS)
    return (
        bool(is_path) and ":" not in text and not any(map(os.path.exists, (path, f"{path}.index")))
    )


def _mismatch(network: Network, pattern: str) -> str:
    """Why a pattern selects nothing; empty if it does."""
    try:
        network.select(pattern)
    except CwdaError as error:
        return str(error)
    return ""


def source_arguments(*, several: bool = True) -> Decorator:
    """Add the arguments SOURCE and the option --model, handed on as `entries`."""
    metavar = "[SOURCE]..." if several else "[SOURCE]"

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.argument("paths", nargs=-1, metavar=metavar, shell_complete=complete_sources)
        @option(
            "--model",
            "Name of a model, even if a file has the same name. See `cwda models`."
            + " Repeatable." * several,
            into="models",
            multiple=True,
            metavar="NAME",
            shell_complete=complete_models,
        )
        @functools.wraps(command)
        def with_entries(
            *args: Any, paths: tuple[str, ...], models: tuple[str, ...], **kwargs: Any
        ) -> Any:
            entries = [Entry(path, False) for path in paths]
            entries += [Entry(name, True) for name in models]
            _require_some(entries)
            return command(*args, entries=entries, **kwargs)

        return with_entries

    return decorate


weights_key_option = option(
    "--weights-key",
    "Part of a checkpoint to read where it holds several sets of weights, such as 'ema'.",
    metavar="KEY",
)


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments and options of `Sources`, handed on as `sources`."""

    @source_arguments()
    @option("--layers", "Only layers whose name matches, such as 'layer3.*,conv1'.", metavar="GLOB")
    @option(
        "--groups",
        "Number of groups of the layers that match, if the file does not record it. Repeatable.",
        multiple=True,
        type=Assignment("GLOB=N", "'*.conv2=32'"),
    )
    @option(
        "--transposed",
        "Layers that are transposed convolutions, if the file does not record it.",
        metavar="GLOB",
    )
    @option(
        "--layout",
        "Order of the axes of kernels, such as HWIO, if the file does not record it. Repeatable.",
        into="layouts",
        multiple=True,
        metavar="[GLOB=]ORDER",
    )
    @weights_key_option
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
        reading: dict[str, Any] = {
            "groups": {pattern: int(number) for pattern, number in groups},
            "transposed": transposed,
            "weights_key": weights_key,
        }
        if layouts:
            reading["layout"] = _layout(layouts)
        return command(*args, sources=Sources(entries, layers, reading), **kwargs)

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
