"""`load`: any source of trained weights to a `Network`."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from torch import nn

from cwda.checkpoints.folders import checkpoint_in
from cwda.checkpoints.formats import without_suffix
from cwda.checkpoints.shards import read_checkpoint, without_number
from cwda.containers.mapped import map_file, sha256
from cwda.containers.tensors import printable
from cwda.convolutions.axes.arrange import Layouts
from cwda.convolutions.network import network_from
from cwda.convolutions.options import Options, checked_name, checked_options
from cwda.errors import CwdaError, SourceError, UnreadableError, reason_of
from cwda.layers import Network, Provenance
from cwda.loading.in_memory import in_memory
from cwda.loading.modules.content import content_of_module, with_blueprint
from cwda.loading.source import ModelName, Source
from cwda.loading.wrong_types import require_no_address
from cwda.torch_files.distributed import METADATA
from cwda.zoo import names as zoo

__all__ = ["is_path", "load", "name_of_file", "one_line"]

_LOG = logging.getLogger(__name__)


def load(
    source: Source,
    *,
    name: str | None = None,
    groups: Mapping[str, int] | None = None,
    transposed: str | None = None,
    weights_key: str | None = None,
    layout: Layouts | None = None,
) -> Network:
    """The convolution weights of a trained network, with what was left out and assumed.

    Nothing in a file is ever executed or imported; see ``docs/extraction.md``.

    Parameters
    ----------
    source : str, Path, Module, ExportedProgram, mapping, array, ConvLayer or Network
        The name of a model (``resnet20-cifar10``, ``resnet18``, ``resnet18:IMAGENET1K_V1``,
        ``timm:NAME``, ``hf:ORG/REPO`` or ``hf:ORG/REPO/FILE``); a file of one of the
        formats in ``docs/extraction.md``, or a folder or index of sharded weights; a
        module; an exported program; a state dict; an array N x k^2 x N' (channels, kernel
        positions, filters). A file in the working directory comes before a model of the
        same name, and a line of the log says so; a model comes before a folder: write
        ``./resnet18`` for the folder.
    name : str, optional
        Name of the network; by default the model's name or the file's stem.
    groups : mapping, optional
        Number of groups by glob pattern of layer names, such as ``{"*.conv2": 32}``, where the
        source does not say.
    transposed : str, optional
        Glob patterns of transposed convolutions, separated by commas, such as ``"up*,dec*"``.
    weights_key : str, optional
        Dotted path of the state dict to take where a file holds several, such as ``ema``.
    layout : str or mapping, optional
        Order in which the kernels' axes are stored, where it is not recognised: ``"OIHW"``
        (PyTorch), ``"HWIO"`` (TensorFlow, JAX), ``"OHWI"`` (MLX), or any text with one O, one
        I and one to three letters of the kernel; or such texts by glob pattern of layer names,
        as ``{"backbone_3d.*": "ODHWI"}``.

    Returns
    -------
    Network

    Raises
    ------
    SourceError
        If the source is unknown, missing or cannot be reached.
    UnreadableError
        If it holds no convolution that can be read.

    Examples
    --------
    >>> import torch
    >>> from cwda.loading import load
    >>> net = load({"stem.weight": torch.zeros(8, 3, 3, 3), "head.weight": torch.zeros(10, 8)})
    >>> net["stem"]
    ConvLayer('stem', 8 filters of 3 channels, kernel 3x3)
    >>> net.assumptions
    ('the layer: not transposed: the source does not say', 'the layer: groups = 1: ...')
    """
    options, name = checked_options(groups, transposed, weights_key, layout), checked_name(name)
    if isinstance(source, str | Path):
        return _named(source, name, options)
    return in_memory(source, name, options)


def _named(source: str | Path, name: str | None, options: Options) -> Network:
    require_no_address(source)
    if is_path(source):
        return _from_path(Path(source).expanduser(), name, options)
    text = str(source)
    entry = zoo.find(text)
    if entry is None:
        raise zoo.unknown(text)
    if entry.module is not None:
        content = content_of_module(entry.module)
        return network_from(
            content, name or text, Provenance(entry.origin, content.format), options
        )
    assert entry.path is not None
    network = _from_path(entry.path, name or text, options, entry.blueprint)
    return replace(network, provenance=replace(network.provenance, source=entry.origin))


def is_path(source: str | Path) -> bool:
    """Whether a source is a path rather than the name of a model; where it is both, a file is.

    Which of the two is taken is logged as a warning.
    """
    if not isinstance(source, str):
        return True
    if isinstance(source, ModelName):
        return False
    is_file, is_folder = os.path.isfile(source), os.path.isdir(source)
    if (is_file or is_folder) and not _looks_like_path(source) and zoo.is_known(source):
        taken, left = ("file", "model") if is_file else ("model", "folder")
        _LOG.warning(
            "%s: the %s of this name is read, not the %s%s",
            *(printable(source), taken, left, "" if is_file else f"; write ./{source} for it"),
        )
        return is_file
    if os.path.isfile(f"{source}.index"):  # a checkpoint of TensorFlow
        return True
    return is_file or is_folder or (_looks_like_path(source) and not zoo.is_prefixed(source))


def _looks_like_path(text: str) -> bool:
    return bool(re.search(r"[/\\]|^~|^\.", text)) or without_suffix(text) != text


def _from_path(
    path: Path, name: str | None, options: Options, blueprint: nn.Module | None = None
) -> Network:
    """The network of a file, or of the shards that an index names."""
    with one_line(path):
        path = checkpoint_in(path) if path.is_dir() else path
        with _collector_paused():
            return _read(path, name, options, blueprint)


@contextlib.contextmanager
def one_line(path: Path) -> Iterator[None]:
    """Turn whatever reading a file raises into one line that names it."""
    shown = printable(str(path))
    try:
        yield
    except CwdaError as error:
        raise type(error)(f"{shown}: {error}") from None
    except (FileNotFoundError, UnicodeEncodeError):  # no file has a name that cannot be encoded
        raise SourceError(f"{shown}: no such file; check the path") from None
    except PermissionError:
        raise SourceError(f"{shown}: permission denied; make the file readable") from None
    except OSError as error:
        raise UnreadableError(
            f"{shown}: cannot be read ({error.strerror or error}); check the file"
        ) from None
    except (MemoryError, OverflowError):
        raise UnreadableError(
            f"{shown}: its weights do not fit into memory, or the file is damaged"
        ) from None
    except Exception as error:
        # Damage may reach code, ours or a library's, that did not expect it.
        detail = f"{type(error).__name__}: {reason_of(error)}"
        raise UnreadableError(
            f"{shown}: cannot be read ({detail}); download or copy the file again"
        ) from error


def _read(path: Path, name: str | None, options: Options, blueprint: nn.Module | None) -> Network:
    path, content = read_checkpoint(path)
    digest = _digest(path, content.files)
    if blueprint is not None:
        content = with_blueprint(content, blueprint)
    _LOG.info("%s: %s, %d tensors", path, content.format, len(content.tensors))
    provenance = Provenance(str(path), content.format, digest)
    return network_from(content, name or name_of_file(path), provenance, options)


def name_of_file(path: Path) -> str:
    """The name of the network in a file: that of its folder, or its own without an ending."""
    of_folder = path.name in (METADATA, "data.pkl")
    name = path.parent.name if of_folder else without_number(path.name)
    return printable(without_suffix(name))


def _digest(path: Path, others: list[Path]) -> str:
    """SHA-256 of a file, or of it followed by the digests of the shards it names."""
    if not others:
        return sha256(path)
    digest = hashlib.sha256(map_file(path).data[:])
    for other in others:
        digest.update(sha256(other).encode())
    return digest.hexdigest()


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """No garbage collection: large files are millions of objects, none of which is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
