"""Small healthy files of every format, from the same weights."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tempfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.hostile import torch_formats
from cwda.checkpoints.formats import READERS
from cwda.containers.reader import Sample

__all__ = [
    "CHECKSUMMED",
    "FORMATS",
    "NAMES",
    "State",
    "file_of",
    "healthy",
    "healthy_file",
    "main_file",
]

State = Mapping[str, npt.NDArray[Any]]
"""Weights (N', N, k, k) by the name of their layer."""

#: Formats whose values are protected by checksums: what loads must be what was written.
CHECKSUMMED = {"torch zip", "TorchScript", "frozen TorchScript", "torch.export", "npz"}

#: Names of the first two layers in formats that keep none.
NAMES = {
    "npy": ("array",),
    "list": ("0", "1"),
    "frozen TorchScript": ("c0", "c1"),
}


def file_of(kind: str, folder: Path, state: State) -> Path:
    """Write the weights in a format and give the path to load."""
    return FORMATS[kind](folder, state)


@cache
def _healthy_bytes(kind: str, dtype: str) -> tuple[str, dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        path = file_of(kind, Path(folder), healthy(dtype))
        return path.name, {p.name: p.read_bytes() for p in Path(folder).iterdir()}


def healthy_file(kind: str, folder: Path) -> Path:
    """As `file_of` with the healthy weights, from memory."""
    name, files = _healthy_bytes(kind, "float32")
    for file, data in files.items():
        (folder / file).write_bytes(data)
    return folder / name


@cache
def healthy(dtype: str = "float32") -> State:
    """Two convolutions with known weights."""
    rng = np.random.default_rng(5)
    shapes = {"first": (16, 3, 3, 3), "second": (12, 16, 3, 3)}
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}


def main_file(path: Path) -> Path:
    """The file that damage should meet: the first shard where the path is an index."""
    shards = (*path.parent.glob("*-1.safetensors"), *path.parent.glob("*.distcp"))
    return next(iter(shards), path)


def _tensors(state: State) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": torch.from_numpy(value.copy()) for name, value in state.items()}


def _zip(folder: Path, state: State) -> Path:
    torch.save(_tensors(state), folder / "m.pth")
    return folder / "m.pth"


def _legacy(folder: Path, state: State) -> Path:
    torch.save(_tensors(state), folder / "m.pth", _use_new_zipfile_serialization=False)
    return folder / "m.pth"


def _pickled_module(folder: Path, state: State) -> Path:
    torch.save(torch_formats.module_of(state), folder / "m.pth")
    return folder / "m.pth"


def _script(folder: Path, state: State) -> Path:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch_formats.module_of(state)).save(str(folder / "m.pt"))
    return folder / "m.pt"


def _pickle(folder: Path, state: State) -> Path:
    content = {f"{name}.weight": value for name, value in state.items()}
    (folder / "m.pkl").write_bytes(pickle.dumps({"state_dict": content}))
    return folder / "m.pkl"


def _list(folder: Path, state: State) -> Path:
    (folder / "m.pkl").write_bytes(pickle.dumps(list(state.values()), protocol=2))
    return folder / "m.pkl"


def _compressed(folder: Path, state: State) -> Path:
    path = _pickle(folder, state)
    (folder / "m.pkl.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()
    return folder / "m.pkl.gz"


def _objects(folder: Path, state: State) -> Path:
    content = {f"{name}.weight": value for name, value in state.items()}
    np.save(folder / "m.npy", content)  # type: ignore[arg-type]
    return folder / "m.npy"


def _safetensors(folder: Path, state: State) -> Path:
    from safetensors.torch import save_file

    save_file(_tensors(state), folder / "m.safetensors")
    return folder / "m.safetensors"


def _sharded(folder: Path, state: State) -> Path:
    from safetensors.torch import save_file

    places = {}
    for number, name in enumerate(_tensors(state), 1):
        shard = f"m-{min(number, 2)}.safetensors"
        places[name] = shard
    for shard in sorted(set(places.values())):
        part = {n: t for n, t in _tensors(state).items() if places[n] == shard}
        save_file(part, folder / shard)
    index = folder / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    return index


def _npz(folder: Path, state: State) -> Path:
    np.savez(folder / "m.npz", **{f"{name}.weight": value for name, value in state.items()})
    return folder / "m.npz"


def _npy(folder: Path, state: State) -> Path:
    np.save(folder / "m.npy", next(iter(state.values())))
    return folder / "m.npy"


def _model(state: State, external: bool) -> bytes:
    import onnx

    tensors = [onnx.numpy_helper.from_array(v, f"{name}.weight") for name, v in state.items()]
    data, offset = b"", 0
    for tensor in tensors if external else []:
        raw = tensor.raw_data
        where = {"location": "m.data", "offset": str(offset), "length": str(len(raw))}
        for key, value in where.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.ClearField("raw_data")
        data, offset = data + raw, offset + len(raw)
    nodes = [onnx.helper.make_node("Conv", ["x", t.name], [t.name + ".y"]) for t in tensors]
    graph = onnx.helper.make_graph(nodes, "g", [], [], initializer=tensors)
    model: bytes = onnx.helper.make_model(graph, ir_version=8).SerializeToString()
    return model


def _onnx(folder: Path, state: State) -> Path:
    (folder / "m.onnx").write_bytes(_model(state, external=False))
    return folder / "m.onnx"


def _onnx_external(folder: Path, state: State) -> Path:
    (folder / "m.data").write_bytes(b"".join(value.tobytes() for value in state.values()))
    (folder / "m.onnx").write_bytes(_model(state, external=True))
    return folder / "m.onnx"


def _write_hdf5(target: Path | io.BytesIO, state: State, prefix: str = "") -> None:
    import h5py

    with h5py.File(target, "w") as file:
        for name, value in state.items():
            file[f"{prefix}{name}/vars/0" if prefix else f"{name}/kernel"] = value.transpose(
                2, 3, 1, 0
            )


def _hdf5(folder: Path, state: State) -> Path:
    _write_hdf5(folder / "m.h5", state)
    return folder / "m.h5"


def _keras(folder: Path, state: State) -> Path:
    stream = io.BytesIO()
    _write_hdf5(stream, state, "layers/")
    layers = [{"class_name": "Conv2D", "config": {"name": name}} for name in state]
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    with zipfile.ZipFile(folder / "m.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", stream.getvalue())
    return folder / "m.keras"


#: Variants of formats, in the order that the numbers of cases follow.
FORMATS: dict[str, Sample] = {
    "torch zip": _zip,
    "torch legacy": _legacy,
    "pickled module": _pickled_module,
    "TorchScript": _script,
    "frozen TorchScript": torch_formats.frozen,
    "torch tar": torch_formats.tar,
    "torch early": torch_formats.early,
    "torch.export": torch_formats.program,
    "torch distributed": torch_formats.distributed,
    "pickle": _pickle,
    "list": _list,
    "compressed pickle": _compressed,
    "npy of objects": _objects,
    "safetensors": _safetensors,
    "sharded": _sharded,
    "npz": _npz,
    "npy": _npy,
    "ONNX": _onnx,
    "ONNX external": _onnx_external,
    "HDF5": _hdf5,
    "Keras archive": _keras,
}
#: A reader that brings a sample of its own needs no line above.
FORMATS |= {reader.name: reader.sample for reader in READERS if reader.sample is not None}
