"""The closed table: our own functions for the few names that hold tensors in a pickle.

Each takes the arguments that PyTorch's or numpy's function of that name would take and
gives a lazy tensor, a plain container or a dead record. Nothing else is ever called.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from cwda.containers.pickles import Builder, Key, Name, Record, Stateful
from cwda.containers.storages import (
    DTYPES,
    QUANTISED,
    STORAGES,
    Leaf,
    Opaque,
    Storage,
    StridedTensor,
)
from cwda.errors import UnreadableError

__all__ = ["LateTensor", "NumpyArray", "builders", "rebuild_tensor", "storage_from_id"]


class LateTensor(Stateful):
    """A tensor whose data the stream sets on it after it has been made."""

    __slots__ = ()

    def leaf(self) -> Leaf:
        """The tensor, not yet read."""
        raise NotImplementedError

    def objects(self) -> list[object] | None:
        """What it holds where its elements are objects, not numbers; else None."""
        return None


@dataclass(eq=False, slots=True)
class _NumpyDtype(Stateful):
    """A numpy type: its code as ``f4`` and the byte order set on it later."""

    code: str
    order: str = "="

    def set_state(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "=", "|"):
            self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        # Only plain numbers: no objects, no records.
        if self.code[:1] not in "fiub" or not self.code[1:].isdigit():
            raise ValueError(f"numpy type {self.code[:20]!r}")
        return np.dtype((">" if self.order == ">" else "<") + self.code)


@dataclass(eq=False, slots=True)
class NumpyArray(LateTensor):
    """A pickled numpy array, not yet read."""

    shape: tuple[int, ...] = ()
    code: _NumpyDtype | None = None
    fortran: bool = False
    data: bytes = b""
    elements: list[object] | None = None

    def set_state(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) == 5):
            raise ValueError("a numpy array's state")
        _, shape, code, fortran, data = state
        if isinstance(data, str):  # written by Python 2
            data = data.encode("latin-1")
        if isinstance(code, _NumpyDtype) and isinstance(data, bytes | bytearray):
            self.shape, self.code = _sizes(shape), code
            self.fortran, self.data = bool(fortran), bytes(data)
        elif isinstance(code, _NumpyDtype) and code.code[:1] == "O" and isinstance(data, list):
            self.shape, self.elements = _sizes(shape), data

    def objects(self) -> list[object] | None:
        """The elements of an array of objects."""
        return self.elements

    def leaf(self) -> Leaf:
        """The array as a lazy tensor."""
        if self.code is None:
            return Opaque(self.shape, None, "a numpy array of objects, not of numbers")
        try:
            numpy_dtype = self.code.numpy()
            dtype = torch.from_numpy(np.empty(0, numpy_dtype.newbyteorder("="))).dtype
        except (ValueError, TypeError):
            return Opaque(self.shape, None, "a numpy array of a type that torch lacks")
        numel = math.prod(self.shape)
        if numel * dtype.itemsize > len(self.data):
            raise UnreadableError(
                f"an array of shape {self.shape} has only {len(self.data):,} bytes; "
                "download or copy the file again"
            )
        data = memoryview(self.data)
        storage = Storage(dtype, numel, lambda: data, big_endian=numpy_dtype.byteorder == ">")
        order = range(len(self.shape)) if self.fortran else reversed(range(len(self.shape)))
        stride, step = [0] * len(self.shape), 1
        for axis in order:
            stride[axis] = step
            step *= max(self.shape[axis], 1)
        return StridedTensor(storage, dtype, 0, self.shape, tuple(stride))


@dataclass(eq=False, slots=True)
class _EarlyTensor(LateTensor):
    """A tensor or variable of PyTorch 0.1: a class called without data, then a state.

    The state of a tensor is (storage, offset, size, stride); that of a variable begins with its
    tensor, or does not matter where the tensor was an argument of the class.
    """

    data: object = None

    def set_state(self, state: object) -> None:
        """Take the data, if the state has them."""
        if isinstance(state, tuple) and len(state) == 4 and isinstance(state[0], Storage):
            self.data = rebuild_tensor(*state)
        elif isinstance(state, tuple) and len(state) == 5:
            self.data = state[0]

    def leaf(self) -> Leaf:
        """The tensor."""
        data = self.data.data if isinstance(self.data, _EarlyTensor) else self.data  # a variable's
        if isinstance(data, StridedTensor | Opaque):
            return data
        return Opaque((), None, "a tensor without data")


@dataclass(eq=False)
class _Budget:
    """Bytes that conversions may still produce, so that repeating them cannot fill memory."""

    left: int
    converted: dict[int, tuple[object, object]] = field(default_factory=dict)

    def once(self, source: object, convert: Callable[[], Any]) -> Any:
        """`convert()`, remembered by the identity of `source`."""
        if id(source) not in self.converted:
            size = len(source) if isinstance(source, str | bytes | bytearray) else 0
            self.left -= size
            if self.left < 0:
                raise UnreadableError("the pickled text is larger than the file; refused")
            self.converted[id(source)] = (source, convert())
        return self.converted[id(source)][1]


def storage_from_id(identifier: object) -> tuple[Storage, str, Any]:
    """Storage, key and view of a persistent identifier ``('storage', class, key, ...)``."""
    if not isinstance(identifier, tuple) or len(identifier) < 5 or identifier[0] != "storage":
        raise ValueError("a persistent identifier that is not a storage")
    _, kind, key, _, numel, *view = identifier
    name = kind.path.rpartition(".")[2] if isinstance(kind, Name) else str(kind)
    if name not in STORAGES or not isinstance(numel, int) or numel < 0:
        raise ValueError(f"storage type {name[:40]!r}")
    return Storage(STORAGES[name], numel), str(key), view[0] if view else None


def builders(size: int, load_nested: Callable[[bytes], Any]) -> dict[str, Builder]:
    """The closed table for one stream of `size` bytes.

    Parameters
    ----------
    size : int
        Bytes of the stream; text conversions may not produce more than twice that.
    load_nested : callable
        Reads a torch file inside a byte string.
    """
    budget = _Budget(2 * size + 1024)

    def encode(text: str, encoding: str = "utf-8", *_: Any) -> bytes:
        codecs = {"latin1": "latin-1", "latin-1": "latin-1", "utf-8": "utf-8", "utf8": "utf-8"}
        result: bytes = budget.once(text, lambda: text.encode(codecs[encoding]))
        return result

    def nested(data: bytes, *_: Any) -> Any:
        return budget.once(data, lambda: load_nested(bytes(data)))

    table: dict[str, Builder] = {
        "torch._utils._rebuild_tensor": rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": rebuild_tensor,
        "torch._utils._rebuild_tensor_v3": _tensor_v3,
        "torch._utils._rebuild_parameter": _first,
        "torch._utils._rebuild_parameter_with_state": _first,
        "torch.nn.parameter.Parameter": _parameter,
        "torch.nn.parameter.Buffer": _parameter,
        "torch.autograd.variable.Variable": _parameter,
        "torch._utils._rebuild_qtensor": _quantised,
        "torch._utils._rebuild_sparse_tensor": _sparse,
        "torch._utils._rebuild_meta_tensor_no_storage": _meta,
        "torch._utils._rebuild_device_tensor_from_numpy": _from_numpy,
        "torch.storage._load_from_bytes": nested,
        "torch.Size": _size,
        "torch.jit._pickle.restore_type_tag": _first,
        "collections.OrderedDict": _dict,
        "collections.Counter": _dict,
        "collections.defaultdict": lambda *_: {},
        "copy_reg._reconstructor": _instance,
        "copyreg._reconstructor": _instance,
        "numpy.dtype": lambda code, *_: _NumpyDtype(str(code)),
        "_codecs.encode": encode,
    }
    for holder in _HOLDERS:
        table[holder] = _first
    for builtins in ("builtins", "__builtin__"):
        table[f"{builtins}.tuple"] = _tuple
        table[f"{builtins}.list"] = table[f"{builtins}.set"] = lambda items=(): list(_tuple(items))
    for kind in _EARLY_TENSORS:
        table[f"torch.{kind}Tensor"] = table[f"torch.cuda.{kind}Tensor"] = _EarlyTensor
    for kind in ("int", "tensor", "double", "bool"):
        table[f"torch.jit._pickle.build_{kind}list"] = _first
    for root in ("numpy.core", "numpy._core"):
        table[f"{root}.multiarray._reconstruct"] = lambda *_: NumpyArray()
        table[f"{root}.numeric._frombuffer"] = _numpy_buffer
    table["torch._tensor._rebuild_from_type_v2"] = lambda function, _, args, *rest: table.get(
        getattr(function, "path", ""), _dead
    )(*args)

    def jax_array(function: Any, args: Any, state: Any, *_: Any) -> Any:
        array = table.get(getattr(function, "path", ""), _dead)(*args)
        if isinstance(array, NumpyArray):
            array.set_state(state)
        return array

    table["jax._src.array._reconstruct_array"] = jax_array
    return table


#: Classes of PyTorch's first tensors: ``torch.FloatTensor``, ``torch.cuda.FloatTensor``.
_EARLY_TENSORS = ("Float", "Double", "Half", "Long", "Int", "Short", "Char", "Byte")
#: Functions of other libraries whose first argument is the array or the dictionary itself.
_HOLDERS = (
    "theano.sandbox.cuda.type.CudaNdarray_unpickler",
    "theano.gpuarray.type.GpuArray_unpickler",
    "cupy.core.core.array",
    "cupy._core.core.array",
    "flax.core.frozen_dict.FrozenDict",
    "haiku._src.data_structures.FlatMapping",
    "haiku._src.data_structures.to_immutable_dict",
)


def _tuple(items: Any = ()) -> tuple[Any, ...]:
    return tuple(items) if isinstance(items, list | tuple) else ()


def _instance(kind: Any, _base: Any = None, state: Any = None, *_: Any) -> Record:
    """An instance as protocols 0 and 1 make them; its state follows."""
    path = kind.path if isinstance(kind, Name) else "object"
    return Record(path, () if state is None else (state,))


def _first(value: object, *_: object) -> object:
    return value


def _dead(*args: object) -> Record:
    return Record("call", args)


def _dict(pairs: Any = (), *_: Any) -> dict[Any, Any]:
    if isinstance(pairs, dict):
        return dict(pairs)
    return {k if isinstance(k, str | int) else Key(k): v for k, v in pairs}


def _size(values: Any = ()) -> tuple[int, ...]:
    return _sizes(values)


def _sizes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > 64:
        raise ValueError("a tensor's shape")
    if not all(isinstance(n, int) and 0 <= n < 2**62 for n in values):
        raise ValueError("a tensor's shape")
    return tuple(int(n) for n in values)


def rebuild_tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Leaf:
    """A view into a storage, from the arguments of ``torch._utils._rebuild_tensor``."""
    if not isinstance(storage, Storage):
        return Opaque(_sizes(size), None, "its data are kept in an unknown way")
    return _strided(storage, offset, size, stride, storage.dtype or torch.uint8)


def _tensor_v3(
    storage: Any, offset: int, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any
) -> object:
    if not isinstance(storage, Storage):
        return Opaque(_sizes(size), None, "its data are kept in an unknown way")
    element_type = DTYPES.get(dtype.path) if isinstance(dtype, Name) else None
    if element_type is None:
        return Opaque(_sizes(size), None, "its type of elements is unknown")
    return _strided(storage, offset, size, stride, element_type)


def _strided(storage: Storage, offset: int, size: Any, stride: Any, dtype: torch.dtype) -> Leaf:
    shape, steps = _sizes(size), _sizes(stride)
    if len(shape) != len(steps) or not isinstance(offset, int) or not 0 <= offset < 2**62:
        raise ValueError("a tensor's shape, strides and offset do not fit together")
    return StridedTensor(storage, dtype, offset, shape, steps)


def _parameter(data: object = None, *_: object) -> object:
    return _EarlyTensor() if data is None else data


def _quantised(storage: Any, offset: Any, size: Any, *_: Any) -> Opaque:
    dtype = storage.dtype if isinstance(storage, Storage) else None
    return Opaque(_sizes(size), dtype, QUANTISED)


def _sparse(_layout: Any, data: Any, *_: Any) -> Opaque:
    size = next((part for part in data if isinstance(part, tuple)), ())
    return Opaque(_sizes(size), None, "a sparse tensor")


def _meta(dtype: Any, size: Any, *_: Any) -> Opaque:
    return Opaque(_sizes(size), None, "a meta tensor: the file holds no values for it")


def _from_numpy(data: object, *_: object) -> object:
    # torch would convert the array to a stated type; its values are the same without.
    return data


def _numpy_buffer(data: Any, code: Any, shape: Any, order: Any = "C", *_: Any) -> NumpyArray:
    array = NumpyArray()
    array.set_state((1, shape, code, order == "F", data))
    return array
