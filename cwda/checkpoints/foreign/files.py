"""Files that are not read: what their content shows them to be, and what to do instead.

A line of the table suffices where a format begins with bytes of its own; the others are told
by a function, and the name of the file only where the content has nothing characteristic.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

from cwda.checkpoints.foreign.protobuf import protobuf_kind
from cwda.checkpoints.foreign.text import TF_CHECKPOINT, TF_JS, text_kind

__all__ = ["describe", "describe_protobuf"]

_ORBAX = (
    "restore its folder with orbax.checkpoint, flatten it with "
    "flax.traverse_util.flatten_dict(..., sep='.') and save it with safetensors or numpy.savez"
)
_ORIGINAL = "give the original weights"
_ONNX = "export the model to ONNX and give that"

#: Offset and bytes that tell a format, what it is, and what to do.
_MAGIC: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"version https://git-lfs", "a Git LFS pointer, not the weights", "run `git lfs pull`"),
    (0, b"\x89PNG", "a PNG image", "give a file with trained weights"),
    (0, b"\xff\xd8\xff", "a JPEG image", "give a file with trained weights"),
    (0, b"GIF8", "a GIF image", "give a file with trained weights"),
    (0, b"%PDF", "a PDF document", "give a file with trained weights"),
    (0, b"7z\xbc\xaf", "a 7z archive", "unpack it and give the file inside"),
    (0, b"Rar!", "a RAR archive", "unpack it and give the file inside"),
    (0, b"\x28\xb5\x2f\xfd", "zstd-compressed", "unpack it and give the file inside"),
    (0, b"\x04\x22\x4d\x18", "lz4-compressed", "unpack it and give the file inside"),
    (0, b"\x7fELF", "a compiled library", _ORIGINAL),
    (0, b"GGUF", "a GGUF file, whose weights are mostly quantised", _ORIGINAL),
    *((0, magic, "a GGML file, whose weights are mostly quantised", _ORIGINAL)
      for magic in (b"lmgg", b"fmgg", b"tjgg", b"algg")),
    (4, b"TFL3", "a TensorFlow Lite file, whose weights are fused",
     "give the Keras model it was made from, or convert it with tf2onnx"),
    (4, b"CIR0", "a Circle file of the ONE compiler", _ORIGINAL),
    (4, b"ORTM", "an ONNX Runtime file (.ort)", "give the .onnx file it was made from"),
    (64, b"\xef\xbe\xad\xde", "the data of a Core ML package",
     "give the model it was converted from"),
    *((0, magic, "a part of an orbax checkpoint of JAX", _ORBAX)
      for magic in (b"\x0c\xdb\x3a\x2a", b"\x0c\xdb\x20\xde", b"\x0c\xdb\x1d\xe8")),
    (4, b"MSL2", "a MindSpore Lite file", _ORIGINAL),
    (4, b"ET1", "an ExecuTorch program (.pte)", "give the PyTorch weights it was made from"),
    (0, b"ftrt", "a TensorRT engine, whose weights are compiled for one GPU",
     "give the .onnx file or the weights it was built from"),
    (0, b"RKNN", "a Rockchip file (.rknn)", "give the model it was converted from"),
    (0, b"IMOD", "an Ascend offline model (.om)", "give the model it was converted from"),
    (0, b"\x01HEF", "a Hailo file (.hef)", "give the model it was compiled from"),
    (0, b"KMDL", "a Kendryte file (.kmodel)", "give the model it was compiled from"),
    (0, b"LDMK", "a Kendryte file (.kmodel)", "give the model it was compiled from"),
    (0, b"\x12\x01" + b"\0" * 14, "an MXNet file of parameters",
     "load it with mxnet.nd.load and save the arrays with numpy.savez"),
    (0, b"MATLAB 7.3 MAT-file", "a Matlab 7.3 file",
     "load it with h5py and save its arrays with numpy.savez"),
    (0, b"MATLAB", "a Matlab file",
     "load it with scipy.io.loadmat and save its arrays with numpy.savez"),
    *((0, magic, "an R data file", "save the arrays as .npz, with reticulate and numpy.savez")
      for magic in (b"RDX2\n", b"RDX3\n", b"X\n\0\0\0", b"RDA3\n")),
    (0, b"HDF5-based Julia Data", "a Julia file (.jld2)",
     "load it in Julia and save its arrays with NPZ.npzwrite"),
    (0, b"7767517\n", "the description of an NCNN network, without its weights",
     "give the .onnx file or the weights it was converted from"),
    (0, b"\xdd\x85\x76\x00", "the description of an NCNN network, without its weights",
     "give the .onnx file or the weights it was converted from"),
    (0, b"4\n1\n3\nV 1\n", "a Lua Torch7 file in text form",
     "load it in Torch7 and save it in binary form, then convert that with the torchfile package"),
)  # fmt: skip

_Told = tuple[str, str]


def describe(data: memoryview, path: Path) -> str:
    """What a file that no reader takes seems to be and what to do, in one line.

    Empty if nothing tells.
    """
    told = (
        _by_magic(data)
        or text_kind(bytes(data[:4096]))
        or next(filter(None, (tell(data) for tell in _TELLS)), None)
        or _by_name(data, path)
    )
    return _line(*told) if told else ""


def describe_protobuf(data: memoryview, path: Path) -> str:
    """The line for a file that begins as ONNX does but is a message of another kind, or empty."""
    told = protobuf_kind(data, path)
    return _line(*told) if told else ""


def _line(what: str, remedy: str) -> str:
    return f"this is {what}; {remedy}"


def _by_magic(data: memoryview) -> _Told | None:
    for offset, magic, what, remedy in _MAGIC:
        if bytes(data[offset : offset + len(magic)]) == magic:
            return what, remedy
    # The footer of TensorFlow's tables.
    if bytes(data[-8:]) == b"\x57\xfb\x80\x8b\x24\x75\x47\xdb":
        return "a TensorFlow checkpoint (a table of its variables)", TF_CHECKPOINT
    return None


def _torch7(data: memoryview) -> _Told | None:
    """Lua Torch7 in binary: an object (4) with a version, or a table (3) of entries."""
    if len(data) < 24:
        return None
    kind, index, length = struct.unpack("<iii", data[:12])
    as_object = kind == 4 and length == 3 and bytes(data[12:14]) == b"V "
    key = int.from_bytes(data[12:16], "little")
    as_table = kind == 3 and 0 < length < 1 << 24 and key in (1, 2, 3, 4)
    if index != 1 or not (as_object or as_table):
        return None
    return (
        "a Lua Torch7 file",
        "convert it with the torchfile package, or with torch.utils.serialization.load_lua of "
        "PyTorch 0.4, and save the state dict",
    )


def _paddle(data: memoryview) -> _Told | None:
    """Tensors of Paddle, one after the other: versions and levels of 0, then a description."""
    if len(data) < 24 or bytes(data[:16]) != b"\0" * 16:
        return None
    length = int.from_bytes(data[16:20], "little")
    if not (4 <= length <= 100 and data[20] == 8 and data[22] == 0x10):
        return None
    return (
        "a Paddle file of parameters without names (.pdiparams)",
        "give the .pdparams file of paddle.save, or convert the model with paddle2onnx",
    )


def _msgpack(data: memoryview) -> _Told | None:
    """A map of msgpack whose first key is a word, as flax writes it."""
    start = {0xDE: 3, 0xDF: 5}.get(data[0], 1 if 0x81 <= data[0] <= 0x8F else 0)
    if not start or len(data) < start + 3:
        return None
    first = data[start]
    begin, length = start + 1, first & 0x1F
    if first == 0xD9:
        begin, length = start + 2, data[start + 1]
    elif not 0xA1 <= first <= 0xBF:
        return None
    key = bytes(data[begin : begin + length])
    if len(key) < length or not (key.isascii() and key.decode("ascii").isprintable()):
        return None
    return (
        "a msgpack file, as flax writes it",
        "load it with flax.serialization.msgpack_restore, flatten it with "
        "flax.traverse_util.flatten_dict(..., sep='.') and save it with safetensors or numpy.savez",
    )


def _darknet(data: memoryview) -> _Told | None:
    """Three numbers of a version, then the images seen, then plain float32."""
    if len(data) < 24 or len(data) % 4:
        return None
    if struct.unpack("<iii", data[:12]) not in {(0, 1, 0), (0, 2, 0), (0, 2, 5)}:
        return None
    return "a Darknet file (.weights), which names no layer", _DARKNET


_DARKNET = "convert it and its .cfg file to PyTorch or ONNX, and give that"


def _other_protobuf(data: memoryview) -> _Told | None:
    return protobuf_kind(data, None)


_TELLS: tuple[Callable[[memoryview], _Told | None], ...] = (
    _torch7, _paddle, _darknet, _other_protobuf, _msgpack,
)  # fmt: skip

#: Endings of formats whose content is plain numbers, or a message like any other.
_NAMES: dict[str, _Told] = {
    ".weights": ("a Darknet file (.weights), which names no layer", _DARKNET),
    ".engine": ("a TensorRT engine", "give the .onnx file or the weights it was built from"),
    ".plan": ("a TensorRT engine", "give the .onnx file or the weights it was built from"),
    ".trt": ("a TensorRT engine", "give the .onnx file or the weights it was built from"),
    ".mnn": ("an MNN file", "give the model it was converted from"),
    ".om": ("an Ascend offline model (.om)", "give the model it was converted from"),
    ".caffemodel": ("a damaged Caffe model", "download or copy the file again"),
    ".tflite": ("a damaged TensorFlow Lite file", "download or copy the file again"),
    ".params": ("a file of parameters that is not MXNet's", _ORIGINAL),
    ".msgpack": ("a damaged msgpack file", "download or copy the file again"),
}
_SHARD_OF_TENSORFLOW = re.compile(r"\.data-\d{5}-of-\d{5}$")


def _by_name(data: memoryview, path: Path) -> _Told | None:
    if _SHARD_OF_TENSORFLOW.search(path.name):
        return "the data of a TensorFlow checkpoint", TF_CHECKPOINT
    if path.name == "manifest.ocdbt":
        return "a part of an orbax checkpoint of JAX", _ORBAX
    if path.name == "weight.bin" and "com.apple.CoreML" in path.parts:
        return "the data of a Core ML package", "give the model it was converted from"
    if path.suffix.lower() == ".bin":
        if path.with_suffix(".xml").is_file():
            return "the data of an OpenVINO network", "give the model it was converted from"
        if path.with_suffix(".param").is_file():
            return "the data of an NCNN network", "give the model it was converted from"
        if re.fullmatch(r"group\d+-shard\d+of\d+", path.stem):
            return (
                "the data of a TensorFlow.js model",
                TF_JS,
            )
    return _NAMES.get(path.suffix.lower())
