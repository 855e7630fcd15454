"""Keras files: HDF5 of versions 1 to 3, and the ``.keras`` archive."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cwda.errors import SourceError, UnreadableError
from cwda.extract.archives import MAX_EXPANSION, Archive
from cwda.extract.json_text import parse_json
from cwda.extract.keras_layout import CONVOLUTION, Layout, keras1_ordering, layout_of
from cwda.extract.tensors import Content, NameBudget, NamedTensor, printable
from cwda.layers import Skipped

__all__ = ["read_hdf5", "read_keras_archive"]

_MAX_DEPTH = 32
#: Each takes the HDF5 library a fraction of a millisecond to open.
_MAX_MEMBERS = 20_000
_DAMAGED = "the HDF5 file is damaged ({}); download or copy it again"


@dataclass
class _Variable:
    """A dataset, its layer and what it is called there."""

    data: Any
    path: tuple[str, ...]
    kind: str = ""
    groups: int | None = None

    @property
    def leaf(self) -> str:
        return self.path[-1]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.data.shape)


@dataclass
class _File:
    """What an HDF5 file says besides its weights."""

    classes: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    version: str = ""
    skipped: list[Skipped] = field(default_factory=list)
    members: int = 0
    names: NameBudget = field(default_factory=NameBudget)


def read_hdf5(path: Path) -> Content:
    """Read a Keras file in HDF5."""
    return _read(str(path), path.stat().st_size, None)


def read_keras_archive(archive: Archive) -> Content:
    """Read a ``.keras`` archive, in which the configuration lies beside the weights."""
    weights = next(name for name in archive.names if name.endswith("model.weights.h5"))
    root = weights.removesuffix("model.weights.h5")
    config = archive.read(f"{root}config.json") if f"{root}config.json" in archive else None
    data = archive.read(weights)
    content = _read(io.BytesIO(data), len(data), config)
    return Content("keras", content.tensors, content.skipped, content.assumptions)


def _read(source: Any, size: int, config: bytes | None) -> Content:
    try:
        import h5py
    except ImportError:
        raise SourceError('Keras files need h5py: pip install "cwda[keras]"') from None
    try:
        root = h5py.File(source, "r")
        about = _about(root, config)
        return _content(list(_variables(root, about, size)), about)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        detail = (str(error).splitlines() or [""])[0][:80]
        raise UnreadableError(_DAMAGED.format(detail)) from None


def _about(root: Any, config: bytes | None) -> _File:
    about = _File()
    for group in (root, root.get("model_weights")):
        if group is None:
            continue
        about.version = about.version or _text(group.attrs.get("keras_version", ""))
        if "layer_names" in group.attrs:
            about.order = [_text(name) for name in group.attrs["layer_names"]]
    stated = config if config is not None else root.attrs.get("model_config")
    if stated is not None:
        try:
            _collect(parse_json(_text(stated).encode()), about.classes)
        except (ValueError, RecursionError):
            about.classes.clear()
    about.order = about.order or list(about.classes)
    return about


def _collect(value: Any, classes: dict[str, tuple[str, dict[str, Any]]]) -> None:
    """Class and configuration of each layer, nested models included."""
    if isinstance(value, dict):
        inner, kind = value.get("config"), value.get("class_name")
        if isinstance(inner, dict) and isinstance(kind, str):
            name = inner.get("name", value.get("name"))
            if isinstance(name, str):
                classes.setdefault(name, (kind, inner))
        for item in value.values():
            _collect(item, classes)
    elif isinstance(value, list):
        for item in value:
            _collect(item, classes)


def _variables(root: Any, about: _File, size: int) -> Iterator[_Variable]:
    found = list(_datasets(root, (), about, size))
    ranks = {name: rank for rank, name in enumerate(about.order)}

    def rank(variable: _Variable) -> tuple[int, list[Any]]:
        known = [ranks[part] for part in variable.path if part in ranks]
        natural = [
            [int(digits) if digits else 0, word]
            for part in variable.path
            for word, digits in re.findall(r"(\D+|^)(\d*)", part)
        ]
        return (known[-1] if known else len(ranks), natural)

    for variable in sorted(found, key=rank):
        _identify(variable, about)
        yield variable


def _datasets(group: Any, path: tuple[str, ...], about: _File, size: int) -> Iterator[_Variable]:
    import h5py

    if len(path) > _MAX_DEPTH:
        raise UnreadableError(f"groups are nested more than {_MAX_DEPTH} deep; refused")
    for key in group:
        here = (*path, printable(key))
        about.members += 1
        if about.members > _MAX_MEMBERS:
            raise UnreadableError(
                f"more than {_MAX_MEMBERS:,} groups and datasets, which no Keras model needs"
            )
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            about.skipped.append(Skipped("/".join(here), (), "a link, which is not followed"))
            continue
        item = group[key]
        if isinstance(item, h5py.Group):
            yield from _datasets(item, here, about, size)
        elif isinstance(item, h5py.Dataset) and item.shape is not None:
            if reason := _unsafe(item, size):
                about.skipped.append(Skipped("/".join(here), tuple(item.shape), reason))
            else:
                about.names.spend(sum(map(len, here)))
                yield _Variable(item, here)


def _unsafe(data: Any, size: int) -> str:
    if data.is_virtual or data.external:
        return "its data lie in another file, which is not opened"
    if data.dtype.kind not in "fiub":
        return f"elements of type {data.dtype}"
    limit = size * (MAX_EXPANSION if data.compression else 1)
    if data.nbytes > limit:
        return f"it announces {data.nbytes:,} bytes in a file of {size:,}"
    return ""


def _identify(variable: _Variable, about: _File) -> None:
    """Put the layer's name, its class and the variable's plain name together."""
    parts = [part for part in variable.path if part not in ("model_weights", "vars")]
    if len(parts) > 1 and parts[0] in ("layers", "_layer_checkpoint_dependencies"):
        parts = parts[1:]
    leaf = parts[-1].partition(":")[0]
    for part in reversed(parts[:-1]):
        if part in about.classes:
            variable.kind, config = about.classes[part]
            groups = config.get("groups")
            variable.groups = groups if isinstance(groups, int) and groups > 0 else None
            break
    else:
        variable.kind = _kind_of_name(parts[-2] if len(parts) > 1 else "")
    if leaf.isdigit():  # Keras 3 numbers the variables of a layer
        separable = variable.kind.startswith("Separable")
        names = (
            ["depthwise_kernel", "pointwise_kernel", "bias"] if separable else ["kernel", "bias"]
        )
        leaf = names[int(leaf)] if int(leaf) < len(names) else leaf
    if leaf == "depthwise_kernel" and variable.kind.startswith("Depthwise"):
        leaf = "kernel"  # its only one; a separable layer has two
    layer = [part for i, part in enumerate(parts[:-1]) if i == 0 or part != parts[i - 1]]
    if len(leaf) > 2 and leaf[-2:] in ("_W", "_b") and layer:  # Keras 1: layer_W
        leaf = leaf[-1]
    variable.path = (*layer, leaf)


def _kind_of_name(name: str) -> str:
    """Class behind one of Keras' automatic names, as ``conv2d_transpose_3``."""
    stem = re.sub(r"_\d+$", "", name)
    kind = "".join(word[:1].upper() + word[1:] for word in stem.split("_"))
    kind = re.sub(r"([cC])onv(olution)?([123])d", r"Conv\2\3D", kind)
    return kind if CONVOLUTION.fullmatch(kind) else ""


_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel", "W")


def _content(variables: list[_Variable], about: _File) -> Content:
    kernels = [v for v in variables if v.leaf in _KERNELS and len(v.shape) >= 3]
    biases = {v.path[:-1]: v.shape[0] for v in variables if v.leaf == "b" and len(v.shape) == 1}
    old = about.version.startswith("1.") or any(v.leaf == "W" for v in kernels)
    order, assumptions = "tf", []
    if old:
        stated = [config.get("dim_ordering") for _, config in about.classes.values()]
        order, why = keras1_ordering(
            next((s for s in stated if s in ("th", "tf")), None),
            [(v.shape, biases.get(v.path[:-1])) for v in kernels if len(v.shape) >= 4],
        )
        axes = "O, I, H, W" if order == "th" else "H, W, I, O"
        assumptions.append(f"kernels of Keras 1 are stored {axes}: {why}")
    elif kernels and not about.version:
        assumptions.append("kernels are stored H, W, I, O, as since Keras 2")
    tensors = [_tensor(variable, order) for variable in variables]
    return Content("keras hdf5", tensors, about.skipped, assumptions)


def _tensor(variable: _Variable, order: str) -> NamedTensor:
    shape, layout = variable.shape, Layout("th")
    is_conv: bool | None = None
    if len(shape) >= 3:
        known = bool(CONVOLUTION.fullmatch(variable.kind))
        likely = not variable.kind and (len(shape) > 3 or "conv" in ".".join(variable.path).lower())
        is_conv = variable.leaf in _KERNELS and (known or likely)
        if is_conv:
            layout = layout_of(variable.kind, variable.leaf, order)

    def read() -> torch.Tensor:
        try:
            values = variable.data[()]
        except (OSError, RuntimeError, ValueError) as error:
            detail = (str(error).splitlines() or [""])[0][:80]
            raise UnreadableError(_DAMAGED.format(detail)) from None
        return torch.from_numpy(values.astype(values.dtype.newbyteorder("=")))

    def turned_values() -> torch.Tensor:
        return layout.turn(read())

    turned = layout.shape(shape) if is_conv else shape
    name, dtype = ".".join(variable.path), _dtype(variable.data.dtype)
    return NamedTensor(
        name,
        turned,
        dtype,
        turned_values,
        is_conv=is_conv,
        groups=turned[0] // max(shape[-1], 1) if layout.depthwise else variable.groups,
        transposed=layout.transposed if is_conv else None,
        origin=variable.kind,
        stored=NamedTensor(
            name,
            shape,
            dtype,
            read,
            is_conv=is_conv,
            groups=variable.groups,
            transposed=layout.transposed if is_conv else None,
        ),
    )


def _dtype(stored: Any) -> torch.dtype | None:
    import numpy as np

    try:
        return torch.from_numpy(np.empty(0, stored.newbyteorder("="))).dtype
    except TypeError:
        return None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
