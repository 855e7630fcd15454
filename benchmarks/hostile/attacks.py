"""Files that are made to harm: huge shapes, nesting, bombs, paths, pickles, a mass of layers."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.hostile.formats import State, file_of
from benchmarks.hostile.torch_formats import archive_of_program, tar_of
from cwda.convolutions.network import MAX_LAYERS

__all__ = ["ATTACKS", "CANARY", "MASSES"]

Rng = np.random.Generator
CANARY = "canary"


class Call:
    """Unpickling this by the standard library calls a function."""

    def __init__(self, function: object, *args: object) -> None:
        self.call = (function, args)

    def __reduce__(self) -> object:
        return self.call


def _call(rng: Rng, folder: Path) -> Call:
    canary = str(folder / CANARY)
    calls = (
        Call(os.system, f"touch {canary}"), Call(open, canary, "w"),
        Call(eval, f"open({canary!r}, 'w')"), Call(exec, f"open({canary!r}, 'w')"),
        Call(subprocess.Popen, ["touch", canary]), Call(os.makedirs, canary),
        Call(__import__, "antigravity"), Call(torch.load, canary), Call(os._exit, 3),
    )  # fmt: skip
    return calls[int(rng.integers(0, len(calls)))]


def _malicious(kind: str) -> Callable[[Rng, Path, State], Path]:
    def write(rng: Rng, folder: Path, state: State) -> Path:
        tensors = {f"{n}.weight": torch.from_numpy(v.copy()) for n, v in state.items()}
        content = {"x": _call(rng, folder), **tensors}
        path = folder / "m.pth"
        if kind == "pickle":
            arrays = {f"{n}.weight": v for n, v in state.items()}
            path.write_bytes(
                pickle.dumps({"x": _call(rng, folder), **arrays}, protocol=int(rng.integers(0, 6)))
            )
        elif kind == "torch tar":
            path.write_bytes(tar_of(content))
        elif kind == "npy of objects":
            path = folder / "m.npy"
            arrays = {f"{n}.weight": v for n, v in state.items()}
            np.save(path, {"x": _call(rng, folder), **arrays})  # type: ignore[arg-type]
        elif kind == "compressed pickle":
            arrays = {f"{n}.weight": v for n, v in state.items()}
            path.write_bytes(gzip.compress(pickle.dumps({"x": _call(rng, folder), **arrays})))
        elif kind == "npz":
            objects = np.empty(1, dtype=object)
            objects[0] = _call(rng, folder)
            path = folder / "m.npz"
            np.savez(path, objects=objects, **{f"{n}.weight": v for n, v in state.items()})
        elif kind == "sharded":
            torch.save(content, folder / "m-1.bin")
            path = folder / "m.bin.index.json"
            path.write_text(json.dumps({"weight_map": dict.fromkeys(tensors, "m-1.bin")}))
        else:
            torch.save(content, path, _use_new_zipfile_serialization=kind == "torch zip")
        return path

    return write


def _large(rng: Rng) -> int:
    return int(rng.choice([2**20, 2**31, 2**32, 2**40, 2**61, 2**62, 2**63 - 1]))


def _storage(numel: int) -> bytes:
    number = b"\x8a\x08" + struct.pack("<q", numel)
    return (
        b"\x80\x02}X\x0b\x00\x00\x00conv.weightctorch._utils\n_rebuild_tensor_v2\n("
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
        + number + b"tQK\x00(" + number + b"K\x01K\x01K\x01t(K\x01K\x01K\x01K\x01t\x89"
        b"ccollections\nOrderedDict\n)RtRs."
    )  # fmt: skip


def _huge_zip(rng: Rng, folder: Path, _: State) -> Path:
    with zipfile.ZipFile(folder / "m.pth", "w") as archive:
        archive.writestr("m/data.pkl", _storage(_large(rng)))
        archive.writestr("m/data/0", b"\0" * 64)
    return folder / "m.pth"


def _huge_safetensors(rng: Rng, folder: Path, _: State) -> Path:
    sizes = [_large(rng), *(int(rng.choice([0, 1, 3, 2**40])) for _ in range(3))]
    entry = {"dtype": "F32", "shape": sizes, "data_offsets": [0, _large(rng)]}
    header = json.dumps({"conv.weight": entry}).encode()
    (folder / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)
    return folder / "m.safetensors"


def _huge_npy(rng: Rng, folder: Path, _: State) -> Path:
    digits = int(rng.choice([1, 18, 40, 4000]))
    shape = f"({'9' * digits}, {_large(rng)}, 3, 3)"
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    (folder / "m.npy").write_bytes(
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 64
    )
    return folder / "m.npy"


def _huge_tar(rng: Rng, folder: Path, _: State) -> Path:
    (folder / "m.tar").write_bytes(tar_of({"conv.weight": torch.zeros(2, 2, 3, 3)}, _large(rng)))
    return folder / "m.tar"


def _huge_program(rng: Rng, folder: Path, _: State) -> Path:
    sizes = [{"as_int": int(rng.choice([0, 1, 3, 2**40]))} for _ in range(3)]
    state = {"conv": np.zeros((2, 2, 3, 3), np.float32)}
    changes = {"sizes": [{"as_int": _large(rng)}, *sizes]}
    return archive_of_program(folder, state, changes)


def _distributed(folder: Path, size: int, where: dict[str, object]) -> Path:
    """Metadata of one tensor of `size` filters, whose only chunk lies at `where`."""
    from torch.distributed.checkpoint import metadata
    from torch.distributed.checkpoint.filesystem import _StorageInfo

    path = file_of("torch distributed", folder, {"conv": np.zeros((2, 2, 3, 3), np.float32)})
    shape = torch.Size([size, 2, 3, 3])
    start = torch.Size([0, 0, 0, 0])
    chunk = metadata.ChunkStorageMetadata(offsets=start, sizes=shape)
    kept = metadata.TensorProperties(dtype=torch.float32)
    tensors = {"conv.weight": metadata.TensorStorageMetadata(kept, shape, [chunk])}
    info = {"relative_path": "__0_0.distcp", "offset": 0, "length": 100} | where
    places = {metadata.MetadataIndex("conv.weight", start): _StorageInfo(**info)}  # type: ignore[arg-type]
    whole = metadata.Metadata(state_dict_metadata=tensors, storage_data=places)  # type: ignore[arg-type]
    path.write_bytes(pickle.dumps(whole))
    return path


def _huge_distributed(rng: Rng, folder: Path, _: State) -> Path:
    return _distributed(folder, _large(rng), {"length": int(rng.choice([1, 100, 2**40, 2**62]))})


def _paths_distributed(rng: Rng, folder: Path, _: State) -> Path:
    _traps(folder)
    return _distributed(folder, 2, {"relative_path": _PLACES[int(rng.integers(0, len(_PLACES)))]})


def _gzip_bomb(rng: Rng, folder: Path, _: State) -> Path:
    inside = b"\x80\x02" + b"\0" * int(rng.choice([1 << 24, 1 << 27]))
    (folder / "m.gz").write_bytes(
        gzip.compress(gzip.compress(inside) if rng.random() < 0.3 else inside)
    )
    return folder / "m.gz"


#: Beginnings of formats that are named and refused.
_FOREIGN = (
    b"\x08\x01\x12\x20\x0a\x10\x22\x05serve",
    b"\x08\x04\x12\x08\x0a\x06\x0a\x04data\xa2\x1f\x04",
    b"\x0a\x18\x0a\x05input\x12\x0bPlaceholder\x2a\x02\x0a\x00",
    b"\x0a\x03VGG\xa2\x06\x10\x0a\x05conv1", b"\x81\xa6params\x81\xa4conv",
    b"\x04\0\0\0\1\0\0\0\3\0\0\0V 1\x0d\0\0\0nn.Sequential",
    b"\0" * 16 + b"\x0a\0\0\0\x08\x05\x10\x10\x10\x03", b"\0\0\0\0\2\0\0\0\5\0\0\0",
    b"\x1c\0\0\0TFL3", b"GGUF\3\0\0\0", b"ftrt", b"MATLAB 5.0 MAT-file",
    b"\x78\x9c", b"BZh9", b"\xfd7zXZ\0",
)  # fmt: skip


def _foreign(rng: Rng, folder: Path, _: State) -> Path:
    names = ("m.pth", "m.pb", "m.weights", "m.engine", "m.bin", "m.data-00000-of-00001", "m.npz")
    path = folder / names[int(rng.integers(0, len(names)))]
    head = _FOREIGN[int(rng.integers(0, len(_FOREIGN)))]
    path.write_bytes(head + rng.bytes(int(rng.choice([0, 9, 200, 100_000]))))
    return path


def _huge_onnx(rng: Rng, folder: Path, _: State) -> Path:
    import onnx

    tensor = onnx.TensorProto(name="w", data_type=1, raw_data=b"\0" * 64)
    tensor.dims.extend([_large(rng), int(rng.choice([0, 1, 2**40])), 3, 3])
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [], [], initializer=[tensor])
    model = onnx.helper.make_model(graph, ir_version=8)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def _huge_hdf5(rng: Rng, folder: Path, _: State) -> Path:
    import h5py

    with h5py.File(folder / "m.h5", "w") as file:
        shape = (3, 3, int(rng.choice([2**20, 2**31, 2**40])), 8)
        packed = {"compression": "gzip", "chunks": (3, 3, 64, 8)} if rng.random() < 0.5 else {}
        file.create_dataset("conv/kernel", shape, "f4", **packed)
    return folder / "m.h5"


def _deep_pickle(rng: Rng, folder: Path, state: State) -> Path:
    depth = int(rng.choice([90, 101, 5_000, 200_000]))
    codes = (b"]" * depth + b"a" * (depth - 1), b")" + b"\x85" * depth, b"(" * depth)
    path = folder / "m.pkl"
    path.write_bytes(b"\x80\x02" + codes[int(rng.integers(0, 3))] + b".")
    return path


def _deep_json(rng: Rng, folder: Path, state: State) -> Path:
    depth = int(rng.choice([500, 10_000, 1_000_000]))
    header = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    (folder / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return folder / "m.safetensors"


def _deep_torch(rng: Rng, folder: Path, state: State) -> Path:
    data = pickle.dumps({"conv.weight": 1})
    for _ in range(int(rng.integers(1, 12))):
        data = pickle.dumps(Call(torch.storage._load_from_bytes, data))
    (folder / "m.pkl").write_bytes(data)
    return folder / "m.pkl"


def _deep_onnx(rng: Rng, folder: Path, state: State) -> Path:
    def field(number: int, data: bytes) -> bytes:
        length, out = len(data), bytes([number << 3 | 2])
        while length >= 0x80:
            out, length = out + bytes([length & 0x7F | 0x80]), length >> 7
        return out + bytes([length]) + data

    graph = b""
    for _ in range(int(rng.choice([10, 17, 400]))):
        graph = field(1, field(5, field(6, graph)))
    (folder / "m.onnx").write_bytes(b"\x08\x08" + field(7, graph))
    return folder / "m.onnx"


def _deep_hdf5(rng: Rng, folder: Path, state: State) -> Path:
    import h5py

    depth = int(rng.choice([20, 33, 300]))
    with h5py.File(folder / "m.h5", "w") as file:
        file["/".join(["g"] * depth) + "/kernel"] = next(iter(state.values())).transpose(2, 3, 1, 0)
    return folder / "m.h5"


def _bomb(entry: str, pickled: bool) -> Callable[[Rng, Path, State], Path]:
    def write(rng: Rng, folder: Path, state: State) -> Path:
        size = int(rng.choice([1 << 16, 1 << 24, 1 << 28]))
        with zipfile.ZipFile(folder / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            if pickled:
                archive.writestr("m/data.pkl", _storage(size // 4))
            archive.writestr(entry, b"\0" * size)
            for number in range(int(rng.integers(0, 40))):  # entries over the same bytes
                info = archive.infolist()[-1]
                twin = zipfile.ZipInfo(f"{number}{entry}")
                for name in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                    setattr(twin, name, getattr(info, name))
                archive.filelist.append(twin)
        return folder / "m.zip"

    return write


_PLACES = ("../x", "/etc/passwd", "a/../../x", "//etc/passwd", "..", "", ".", "x\0y", "pipe",
           "\x1b[31m", "folder", "loop", "a" * 5000, "C:\\x",
           "m.safetensors.index.json")  # fmt: skip


def _traps(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to(folder / "loop")


def _paths_sharded(rng: Rng, folder: Path, state: State) -> Path:
    _traps(folder)
    path = file_of("sharded", folder, state)
    index = json.loads(path.read_text())
    first = next(iter(index["weight_map"]))
    index["weight_map"][first] = _PLACES[int(rng.integers(0, len(_PLACES)))]
    path.write_text(json.dumps(index))
    return path


def _paths_onnx(rng: Rng, folder: Path, state: State) -> Path:
    import onnx

    _traps(folder)
    path = file_of("ONNX external", folder, state)
    model = onnx.ModelProto.FromString(path.read_bytes())
    place = _PLACES[int(rng.integers(0, len(_PLACES)))]
    model.graph.initializer[0].external_data[0].value = place
    path.write_bytes(model.SerializeToString())
    return path


def _paths_hdf5(rng: Rng, folder: Path, state: State) -> Path:
    import h5py

    path = file_of("HDF5", folder, state)
    with h5py.File(path, "a") as file:
        file["soft"] = h5py.SoftLink("/" + next(iter(state)))
        file["self"] = h5py.SoftLink("/")
        file["away"] = h5py.ExternalLink("/etc/passwd", "/")
        file["hard"] = file["/"]  # a group inside itself
    return path


def _paths_special(rng: Rng, folder: Path, state: State) -> Path:
    _traps(folder)
    return folder / ("pipe", "folder", "loop", "nothing", "\ud800")[int(rng.integers(0, 5))]


def _repeated(rng: Rng, folder: Path, state: State) -> Path:
    """One tensor under very many names."""
    large = torch.zeros(256, 64, 3, 3) if rng.random() < 0.5 else torch.zeros(8, 3, 3, 3)
    count = int(rng.choice([100, 3_000, 20_000]))
    torch.save({f"{i}.weight": large for i in range(count)}, folder / "m.pth")
    return folder / "m.pth"


def _many_filters(rng: Rng, folder: Path, state: State) -> Path:
    """Matrices of all pairs of filters would take gigabytes."""
    count = int(rng.choice([4_097, 30_000, 1_000_000]))
    shape = (count, 1, 1, 1)
    np.save(folder / "m.npy", rng.standard_normal(shape, dtype=np.float32))
    return folder / "m.npy"


#: By format and kind; the writer and whether the file must load, must not, or may do either.
ATTACKS: dict[tuple[str, str], tuple[Callable[[Rng, Path, State], Path], str]] = {
    **{(k, "malicious pickle"): (_malicious(k), "same")
       for k in ("torch zip", "torch legacy", "pickle", "npz", "sharded", "torch tar",
                 "npy of objects", "compressed pickle")},
    ("torch tar", "huge shape"): (_huge_tar, "refused"),
    ("torch.export", "huge shape"): (_huge_program, "refused"),
    ("torch distributed", "huge shape"): (_huge_distributed, "refused"),
    ("torch distributed", "path trick"): (_paths_distributed, "refused"),
    ("compressed pickle", "zip bomb"): (_gzip_bomb, "refused"),
    ("any file", "other format"): (_foreign, "refused"),
    ("torch zip", "huge shape"): (_huge_zip, "refused"),
    ("safetensors", "huge shape"): (_huge_safetensors, "refused"),
    ("npy", "huge shape"): (_huge_npy, "refused"),
    ("ONNX", "huge shape"): (_huge_onnx, "refused"),
    ("HDF5", "huge shape"): (_huge_hdf5, "refused"),
    ("pickle", "deep nesting"): (_deep_pickle, "refused"),
    ("safetensors", "deep nesting"): (_deep_json, "refused"),
    ("torch legacy", "deep nesting"): (_deep_torch, "refused"),
    ("ONNX", "deep nesting"): (_deep_onnx, "refused"),
    ("HDF5", "deep nesting"): (_deep_hdf5, "any"),
    ("torch zip", "zip bomb"): (_bomb("m/data/0", True), "any"),
    ("npz", "zip bomb"): (_bomb("conv.npy", False), "refused"),
    ("Keras archive", "zip bomb"): (_bomb("model.weights.h5", False), "refused"),
    ("sharded", "path trick"): (_paths_sharded, "refused"),
    ("ONNX external", "path trick"): (_paths_onnx, "refused"),
    ("HDF5", "path trick"): (_paths_hdf5, "any"),
    ("any file", "path trick"): (_paths_special, "refused"),
    ("torch zip", "repeated data"): (_repeated, "any"),
    ("npy", "very many filters"): (_many_filters, "any"),
}  # fmt: skip

_MANY = MAX_LAYERS


def _mass(kind: str) -> Callable[[Rng, Path, State], Path]:
    def write(rng: Rng, folder: Path, state: State) -> Path:
        values = rng.standard_normal((_MANY, 8, 1, 1, 1), dtype=np.float32)
        many = {f"layers.{i}": value for i, value in enumerate(values)}
        return file_of(kind, folder, many)

    return write


#: A hundred thousand layers, once in each of these formats.
MASSES = {kind: _mass(kind) for kind in (
    "torch zip", "torch legacy", "pickle", "safetensors", "sharded", "npz", "ONNX", "HDF5",
)}  # fmt: skip
