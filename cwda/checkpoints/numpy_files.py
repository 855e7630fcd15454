"""``.npy`` and ``.npz`` files; pickled objects in them are read as data, and never loaded."""

from __future__ import annotations

import io
import math
import re
import tokenize
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from cwda.containers.archives import Archive
from cwda.containers.mapped import MappedFile
from cwda.containers.storages import Opaque, Storage, StridedTensor
from cwda.containers.tensors import Content, NamedTensor, printable
from cwda.convolutions.recognise import is_weight_name, split_leaf
from cwda.errors import UnreadableError
from cwda.torch_files.files import objects_of

__all__ = ["MAGIC", "read_npy", "read_npz"]

MAGIC = b"\x93NUMPY"
_MAX_HEADER = 65_536
#: Arrays of three axes or more that are no kernels, as in transformers and data sets.
_OTHER = re.compile(
    r"(x|y|images?|labels?|targets?|queries|means?|stds?|var)(_(train|valid?|test|image))?\d*|"
    r"(train|valid?|test)_(x|y|images?|labels?|data)|cls|.*(embed|token).*|"
    r"(.*_)?(bias(es)?|acts|activations|feats?|masks?|table)",
    re.IGNORECASE,
)
_PAPER = "an array of three axes is taken as N x k^2 x N' (channels, positions, filters)"


def read_npy(file: MappedFile) -> Content:
    """Read a file with one array."""
    return Content("npy", _arrays(memoryview(file.data), "array", ()))


def read_npz(archive: Archive) -> Content:
    """Read a zip archive of arrays."""
    names = [name for name in archive.names if name.endswith(".npy")]
    tensors: list[NamedTensor] = []
    for name in names:
        tensors += _of_entry(archive, name)
    if any(tensor.is_conv is None and _is_named(tensor) for tensor in tensors):
        # Names that tell weights from other arrays do so for all.
        tensors = [tensor if tensor.is_conv is None else _by_name(tensor) for tensor in tensors]
    return Content("npz", tensors)


def _is_named(tensor: NamedTensor) -> bool:
    return len(tensor.shape) >= 3 and is_weight_name(tensor.name, len(tensor.shape))


def _by_name(tensor: NamedTensor) -> NamedTensor:
    """An array as it is stored, whose name decides whether it is a weight."""
    return replace(tensor.stored or tensor, is_conv=None)


def _of_entry(archive: Archive, entry: str) -> list[NamedTensor]:
    # TensorFlow counts the outputs of an operation, of which a variable has one.
    name = printable(entry.removesuffix(".npy").removesuffix(":0").replace("/", "."))
    # The values are unfolded again when they are wanted, and not kept until then.
    fetch = archive.fetch(entry)
    return _arrays(fetch(), name, (name,), fetch)


def _arrays(
    data: memoryview,
    name: str,
    container: tuple[str, ...],
    fetch: Callable[[], memoryview] | None = None,
) -> list[NamedTensor]:
    """The array, or the arrays inside an array of objects."""
    shape, fortran, dtype, start = _header(data)
    if dtype.hasobject:
        inside = objects_of(bytes(data[start:]), container)
        return inside or [_numbers(data, name, shape, fortran, dtype, start, None)]
    return [_numbers(data, name, shape, fortran, dtype, start, fetch)]


def _numbers(
    data: memoryview,
    name: str,
    shape: tuple[int, ...],
    fortran: bool,
    dtype: np.dtype[np.generic],
    start: int,
    fetch: Callable[[], memoryview] | None,
) -> NamedTensor:
    leaf = _leaf(shape, fortran, dtype, start, len(data), fetch or (lambda: data))
    if isinstance(leaf, Opaque) or len(shape) < 3:
        return NamedTensor(name, shape, leaf.dtype, leaf.read, reason=leaf.reason)
    plain = not is_weight_name(name, len(shape)) and not _OTHER.fullmatch(split_leaf(name)[1])
    if plain and len(shape) == 3:
        return _paper_array(name, leaf)
    return NamedTensor(
        name,
        shape,
        leaf.dtype,
        leaf.read,
        is_conv=True if plain and len(shape) > 3 and leaf.dtype.is_floating_point else None,
        reason=leaf.reason,
    )


def _paper_array(name: str, leaf: StridedTensor) -> NamedTensor:
    channels, positions, filters = leaf.shape
    side = math.isqrt(positions)
    kernel = (side, side) if side * side == positions else (positions,)
    shape = (filters, channels, *kernel)

    def read() -> torch.Tensor:
        return leaf.read().permute(2, 0, 1).reshape(shape).contiguous()

    return NamedTensor(
        name,
        shape,
        leaf.dtype,
        read,
        is_conv=True if leaf.dtype.is_floating_point else None,
        groups=1,
        transposed=False,
        reason=leaf.reason,
        assumption=_PAPER,
        stored=NamedTensor(name, leaf.shape, leaf.dtype, leaf.read, is_conv=True),
    )


def _header(data: memoryview) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    stream = io.BytesIO(bytes(data[:_MAX_HEADER]))
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = read(stream)
    except (
        ValueError,
        KeyError,
        SyntaxError,
        tokenize.TokenError,
        TypeError,
        RecursionError,
        MemoryError,
    ) as error:
        detail = (str(error).splitlines() or [""])[0][:80]
        raise UnreadableError(
            f"the array's header is damaged ({detail}); download or copy the file again"
        ) from None
    if not all(0 <= n < 2**62 for n in shape):
        raise UnreadableError("the array has an impossible size; download or copy the file again")
    return shape, fortran, dtype, stream.tell()


def _leaf(
    shape: tuple[int, ...],
    fortran: bool,
    dtype: np.dtype[np.generic],
    start: int,
    size: int,
    fetch: Callable[[], memoryview],
) -> StridedTensor | Opaque:
    if dtype.hasobject:
        return Opaque(shape, None, "pickled objects, which are never loaded")
    try:
        kind = torch.from_numpy(np.empty(0, dtype.newbyteorder("="))).dtype
    except (TypeError, ValueError):
        return Opaque(shape, None, f"elements of type {dtype}, which torch lacks")
    numel = math.prod(shape)
    if start + numel * kind.itemsize > size:
        raise UnreadableError(
            f"the array of shape {shape} needs {numel * kind.itemsize:,} bytes but "
            f"{size - start:,} follow: it is cut off; download or copy it again"
        )
    storage = Storage(
        kind, numel, lambda: fetch()[start:], big_endian=dtype.newbyteorder("=") != dtype
    )
    axes = list(range(len(shape))) if fortran else list(reversed(range(len(shape))))
    stride, step = [0] * len(shape), 1
    for axis in axes:
        stride[axis] = step
        step *= shape[axis]
    return StridedTensor(storage, kind, 0, shape, tuple(stride))
