"""Writers of PyTorch's rarer formats: first files, exported programs, frozen scripts, shards."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

__all__ = [
    "archive_of_program",
    "distributed",
    "early",
    "frozen",
    "module_of",
    "program",
    "tar",
    "tar_of",
]

State = dict[str, npt.NDArray[np.generic]]


class _Early:
    """Pickled as PyTorch 0.1 pickled a tensor: its class, an empty tuple, a state."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __reduce__(self) -> Any:
        kind = {2: torch.HalfTensor, 4: torch.FloatTensor, 8: torch.DoubleTensor}
        t = self.tensor
        state = (t.storage(), t.storage_offset(), tuple(t.size()), t.stride())
        return kind[t.itemsize], (), state


def _tensors(state: State) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": torch.from_numpy(value.copy()) for name, value in state.items()}


def early(folder: Path, state: State) -> Path:
    """A legacy file of tensors with a state."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = {name: _Early(tensor) for name, tensor in _tensors(state).items()}
        torch.save(content, folder / "m.pth", _use_new_zipfile_serialization=False)
    return folder / "m.pth"


class _Persistent(pickle.Pickler):
    def persistent_id(self, value: object) -> str | None:
        return str(id(value)) if isinstance(value, torch.Tensor) else None


def tar(folder: Path, state: State) -> Path:
    """A tar file as PyTorch 0.1 wrote it."""
    (folder / "m.tar").write_bytes(tar_of(_tensors(state)))
    return folder / "m.tar"


def tar_of(content: dict[str, Any], numel: int | None = None) -> bytes:
    """The tar file of a dictionary; `numel` is announced in place of a storage's length."""
    tensors = [value for value in content.values() if isinstance(value, torch.Tensor)]
    kinds = {2: torch.HalfStorage, 4: torch.FloatStorage, 8: torch.DoubleStorage}
    storages, sizes, objects = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pickle.dump(len(tensors), storages, 2)
    pickle.dump(len(tensors), sizes, 2)
    for number, tensor in enumerate(tensors):
        pickle.dump((number, "cpu", kinds[tensor.itemsize]), storages, 2)
        storages.write(struct.pack("<q", tensor.numel() if numel is None else numel))
        storages.write(tensor.numpy().tobytes())
        pickle.dump((id(tensor), number, torch.FloatTensor), sizes, 2)
        lengths = (tensor.ndim, *tensor.shape, *tensor.stride(), 0)
        sizes.write(struct.pack(f"<{len(lengths)}q", *lengths))
    pickle.dump([], storages, 2)
    _Persistent(objects, 2).dump(content)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:", format=tarfile.PAX_FORMAT) as archive:
        for name, member in (("storages", storages), ("tensors", sizes), ("pickle", objects)):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(member.getvalue()), 1.5
            archive.addfile(info, io.BytesIO(member.getvalue()))
    return stream.getvalue()


def program(folder: Path, state: State) -> Path:
    """An archive as ``torch.export.save`` writes it, without what the reader never looks at."""
    return archive_of_program(folder, state, {})


def archive_of_program(folder: Path, state: State, changes: dict[str, Any]) -> Path:
    """The archive, with `changes` to what it says of each tensor."""
    codes = {"float16": 6, "float32": 7, "float64": 8}
    config, specs, nodes = {}, [], []
    with zipfile.ZipFile(folder / "m.pt2", "w") as archive:
        for number, (name, value) in enumerate(state.items()):
            strides = [n // value.itemsize for n in value.strides]
            meta = {
                "dtype": codes[value.dtype.name],
                "sizes": [{"as_int": n} for n in value.shape],
                "strides": [{"as_int": n} for n in strides],
                "storage_offset": {"as_int": 0},
            } | changes
            path = f"weight_{number}"
            archive.writestr(f"m/data/weights/{path}", value.tobytes())
            config[f"{name}.weight"] = {"path_name": path, "tensor_meta": meta}
            argument = {"name": f"p_{number}"}
            specs.append({"parameter": {"arg": argument, "parameter_name": f"{name}.weight"}})
            weight = {"name": "weight", "arg": {"as_tensor": argument}}
            nodes.append({"target": "torch.ops.aten.conv2d.default", "inputs": [weight]})
        module = {"graph": {"nodes": nodes}, "signature": {"input_specs": specs}}
        archive.writestr("m/models/model.json", json.dumps({"graph_module": module}))
        archive.writestr("m/data/weights/model_weights_config.json", json.dumps({"config": config}))
    return folder / "m.pt2"


def module_of(state: State) -> torch.nn.Module:
    """Convolutions with these weights, one after the other."""
    module = torch.nn.Sequential()
    for name, value in state.items():
        n_filters, channels, *kernel = value.shape
        layer = torch.nn.Conv2d(channels, n_filters, tuple(kernel), bias=False)
        layer.weight = torch.nn.Parameter(torch.from_numpy(value.copy()))
        module.add_module(name, layer)
    return module


def frozen(folder: Path, state: State) -> Path:
    """A frozen TorchScript archive, whose constants have numbers in place of names."""
    module = module_of(state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.freeze(torch.jit.script(module.eval())).save(str(folder / "m.pt"))
    return folder / "m.pt"


def distributed(folder: Path, state: State) -> Path:
    """A folder of torch.distributed.checkpoint; its metadata is the file to load."""
    import torch.distributed.checkpoint as dcp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save({"model": dict(_tensors(state))}, checkpoint_id=folder)
    return folder / ".metadata"
