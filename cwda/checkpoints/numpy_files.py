"""``.npy`` and ``.npz`` files; pickled objects in them are read as data, and never loaded.

Headers are read by `numpy.lib.format`; the values stay in the mapped file until they are wanted.
"""

from __future__ import annotations

import io
import math
import re
import tokenize
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch

from cwda.containers.archives import Archive
from cwda.containers.mapped import MappedFile
from cwda.containers.names import is_weight_name, split_leaf
from cwda.containers.reader import Reader
from cwda.containers.tensors import Content, NamedTensor, printable
from cwda.errors import UnreadableError, reason_of
from cwda.layers import paper_kernel
from cwda.torch_files.files import objects_of

__all__ = ["NPY", "NPZ"]

_MAX_HEADER = 65_536
#: Arrays of three axes or more that are not kernels, such as in transformers and data sets.
_OTHER = re.compile(
    r"(x|y|images?|labels?|targets?|queries|means?|stds?|var)(_(train|valid?|test|image))?\d*|"
    r"(train|valid?|test)_(x|y|images?|labels?|data)|cls|.*(embed|token).*|"
    r"(.*_)?(bias(es)?|acts|activations|feats?|masks?|table)",
    re.IGNORECASE,
)
_PAPER = "an array of three axes is taken as N x k^2 x N' (channels, positions, filters)"


#: Version 3 differs in the encoding of names of fields, which weights do not have.
_VERSIONS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,
}
#: What a damaged header raises.
_FAULTS = (
    ValueError,
    KeyError,
    SyntaxError,
    tokenize.TokenError,
    TypeError,
    RecursionError,
    MemoryError,
)


def _read_npy(file: MappedFile) -> Content:
    return Content("npy", _arrays(memoryview(file.data), "array", ()))


def _read_npz(file: MappedFile) -> Content:
    assert file.archive is not None
    tensors: list[NamedTensor] = []
    for entry in _entries(file):
        tensors += _of_entry(file.archive, entry)
    if any(tensor.is_conv is None and _is_named(tensor) for tensor in tensors):
        # Names that tell weights from other arrays do so for all.
        tensors = [tensor if tensor.is_conv is None else _by_name(tensor) for tensor in tensors]
    return Content("npz", tensors)


def _entries(file: MappedFile) -> list[str]:
    """The arrays of an archive."""
    names = file.archive.names if file.archive is not None else ()
    return [name for name in names if name.endswith(".npy")]


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
    header = _header(data)
    if header.dtype.hasobject:
        if inside := objects_of(bytes(data[header.start :]), container):
            return inside
    elif header.kind is not None:
        header.require_all(len(data))
    return [_named(name, header, partial(_values, header, fetch or (lambda: data)))]


@dataclass(frozen=True)
class _Header:
    """What an array is, and where in the bytes its values begin."""

    shape: tuple[int, ...]
    order: Literal["C", "F"]
    dtype: np.dtype[np.generic]
    start: int

    @property
    def kind(self) -> torch.dtype | None:
        """Type of the elements; None where torch has none for them."""
        if self.dtype.hasobject:
            return None
        try:
            return torch.from_numpy(np.empty(0, self.dtype.newbyteorder("="))).dtype
        except (TypeError, ValueError):
            return None

    @property
    def reason(self) -> str:
        """Why it has no values that can be read; empty if it has."""
        if self.dtype.hasobject:
            return "pickled objects, which are never loaded"
        return "" if self.kind is not None else f"elements of type {self.dtype}, which torch lacks"

    def require_all(self, size: int) -> None:
        """Raise unless so many bytes hold all values."""
        needed = math.prod(self.shape) * self.dtype.itemsize
        if self.start + needed > size:
            raise UnreadableError(
                f"the array of shape {self.shape} needs {needed:,} bytes but "
                f"{size - self.start:,} follow: it is cut off; download or copy it again"
            )


def _values(header: _Header, fetch: Callable[[], memoryview]) -> torch.Tensor:
    """The values in memory of their own, in the byte order of this machine."""
    if header.reason:
        raise UnreadableError(header.reason)
    stored: np.ndarray[tuple[int, ...], np.dtype[np.generic]] = np.ndarray(
        header.shape, header.dtype, fetch(), header.start, order=header.order
    )
    return torch.from_numpy(np.array(stored, header.dtype.newbyteorder("="), order="C"))


def _named(name: str, header: _Header, read: Callable[[], torch.Tensor]) -> NamedTensor:
    """The array, and whether it is a kernel as far as its axes and name tell."""
    shape, kind = header.shape, header.kind
    tensor = NamedTensor(name, shape, kind, read, reason=header.reason)
    named = is_weight_name(name, len(shape)) or _OTHER.fullmatch(split_leaf(name)[1])
    if kind is None or len(shape) < 3 or named:
        return tensor
    is_conv = True if kind.is_floating_point else None
    return _paper_array(tensor, is_conv) if len(shape) == 3 else replace(tensor, is_conv=is_conv)


def _paper_array(stored: NamedTensor, is_conv: bool | None) -> NamedTensor:
    channels, positions, filters = stored.shape
    shape = (filters, channels, *paper_kernel(positions))
    return replace(
        stored,
        shape=shape,
        read=lambda: stored.read().permute(2, 0, 1).reshape(shape).contiguous(),
        is_conv=is_conv,
        groups=1,
        transposed=False,
        assumption=_PAPER,
        stored=replace(stored, is_conv=True),
    )


def _header(data: memoryview) -> _Header:
    stream = io.BytesIO(bytes(data[:_MAX_HEADER]))
    try:
        version = np.lib.format.read_magic(stream)
        read = _VERSIONS[version]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = read(stream)
    except _FAULTS as error:
        raise UnreadableError(
            f"the array's header is damaged ({reason_of(error)}); download or copy the file again"
        ) from None
    if not all(0 <= n < 2**62 for n in shape):
        raise UnreadableError("the array has an impossible size; download or copy the file again")
    return _Header(shape, "F" if fortran else "C", dtype, stream.tell())


NPY = Reader(
    name="npy",
    library="numpy",
    suffixes=("npy",),
    recognises=lambda file: file.head.startswith(np.lib.format.MAGIC_PREFIX),
    read=_read_npy,
    reads={"numpy": "`.npy`, `.npz`, arrays of objects with arrays inside"},
)

NPZ = Reader(
    name="npz",
    library="numpy",
    suffixes=("npz",),
    recognises=lambda file: bool(_entries(file)),
    read=_read_npz,
    reads={},
)
