"""Binary files that are not read, recognised by their content or, failing that, by their name."""

from __future__ import annotations

import re
import struct

from cwda.checkpoints.foreign.foreign import (
    ORBAX,
    ORIGINAL,
    TF_CHECKPOINT,
    TFJS,
    Foreign,
    Glance,
    begins,
)

__all__ = ["BY_MAGIC", "BY_NAME", "BY_SHAPE", "MSGPACK"]

_TRAINED = "give a file with trained weights"
_INSIDE = "unpack it and give the file inside"
_WEIGHTS = "give the original weights"
_COMPILED = "give the model it was compiled from"
_BUILT = "give the .onnx file or the weights it was built from"
_CONVERTED = "give the .onnx file or the weights it was converted from"
_NCNN = "the description of an NCNN network, without its weights"
_AGAIN = "download or copy the file again"
_DARKNET = "a Darknet file (.weights), which names no layer"
_FROM_DARKNET = "convert it and its .cfg file to PyTorch or ONNX, and give that"


def _ends_tensorflow_table(glance: Glance) -> bool:
    return bytes(glance.data[-8:]) == b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"


#: Formats that begin with bytes of their own.
BY_MAGIC: tuple[Foreign, ...] = (
    Foreign("a Git LFS pointer, not the weights", "run `git lfs pull`",
            begins(b"version https://git-lfs")),
    Foreign("a PNG image", _TRAINED, begins(b"\x89PNG")),
    Foreign("a JPEG image", _TRAINED, begins(b"\xff\xd8\xff")),
    Foreign("a GIF image", _TRAINED, begins(b"GIF8")),
    Foreign("a PDF document", _TRAINED, begins(b"%PDF")),
    Foreign("a 7z archive", _INSIDE, begins(b"7z\xbc\xaf")),
    Foreign("a RAR archive", _INSIDE, begins(b"Rar!")),
    Foreign("zstd-compressed", _INSIDE, begins(b"\x28\xb5\x2f\xfd")),
    Foreign("lz4-compressed", _INSIDE, begins(b"\x04\x22\x4d\x18")),
    Foreign("a compiled library", _WEIGHTS, begins(b"\x7fELF")),
    Foreign("a GGUF file, whose weights are mostly quantised", _WEIGHTS, begins(b"GGUF")),
    Foreign("a GGML file, whose weights are mostly quantised", _WEIGHTS,
            begins(b"lmgg", b"fmgg", b"tjgg", b"algg")),
    Foreign("a TensorFlow Lite file, whose weights are fused",
            "give the Keras model it was made from, or convert it with tf2onnx",
            begins(b"TFL3", at=4)),
    Foreign("a Circle file of the ONE compiler", _WEIGHTS, begins(b"CIR0", at=4)),
    Foreign("an ONNX Runtime file (.ort)", "give the .onnx file it was made from",
            begins(b"ORTM", at=4), suffixes=("ort",)),
    Foreign("the data of a Core ML package", ORIGINAL, begins(b"\xef\xbe\xad\xde", at=64)),
    Foreign("a part of an orbax checkpoint of JAX", ORBAX,
            begins(b"\x0c\xdb\x3a\x2a", b"\x0c\xdb\x20\xde", b"\x0c\xdb\x1d\xe8")),
    Foreign("a MindSpore Lite file", _WEIGHTS, begins(b"MSL2", at=4)),
    Foreign("an ExecuTorch program (.pte)", "give the PyTorch weights it was made from",
            begins(b"ET1", at=4), suffixes=("pte",)),
    Foreign("a TensorRT engine, whose weights are compiled for one GPU", _BUILT, begins(b"ftrt")),
    Foreign("a Rockchip file (.rknn)", ORIGINAL, begins(b"RKNN"), suffixes=("rknn",)),
    Foreign("an Ascend offline model (.om)", ORIGINAL, begins(b"IMOD")),
    Foreign("a Hailo file (.hef)", _COMPILED, begins(b"\x01HEF"), suffixes=("hef",)),
    Foreign("a Kendryte file (.kmodel)", _COMPILED, begins(b"KMDL", b"LDMK"),
            suffixes=("kmodel",)),
    Foreign("an MXNet file of parameters",
            "load it with mxnet.nd.load and save the arrays with numpy.savez",
            begins(b"\x12\x01" + b"\0" * 14)),
    Foreign("a Matlab 7.3 file", "load it with h5py and save its arrays with numpy.savez",
            begins(b"MATLAB 7.3 MAT-file")),
    Foreign("a Matlab file", "load it with scipy.io.loadmat and save its arrays with numpy.savez",
            begins(b"MATLAB"), suffixes=("mat",)),
    Foreign("an R data file", "save the arrays as .npz, with reticulate and numpy.savez",
            begins(b"RDX2\n", b"RDX3\n", b"X\n\0\0\0", b"RDA3\n")),
    Foreign("a Julia file (.jld2)", "load it in Julia and save its arrays with NPZ.npzwrite",
            begins(b"HDF5-based Julia Data"), suffixes=("jld2",)),
    Foreign(_NCNN, _CONVERTED, begins(b"7767517\n", b"\xdd\x85\x76\x00")),
    Foreign("a Lua Torch7 file in text form",
            "load it in Torch7 and save it in binary form, then convert that with the torchfile "
            "package", begins(b"4\n1\n3\nV 1\n")),
    Foreign("a TensorFlow checkpoint (a table of its variables)", TF_CHECKPOINT,
            _ends_tensorflow_table, suffixes=("index",)),
)  # fmt: skip


def _is_torch7(glance: Glance) -> bool:
    """Lua Torch7 in binary: an object (4) with a version, or a table (3) of entries."""
    data = glance.data
    if len(data) < 24:
        return False
    kind, index, length = struct.unpack("<iii", data[:12])
    as_object = kind == 4 and length == 3 and bytes(data[12:14]) == b"V "
    key = int.from_bytes(data[12:16], "little")
    as_table = kind == 3 and 0 < length < 1 << 24 and key in (1, 2, 3, 4)
    return index == 1 and (as_object or as_table)


def _is_paddle(glance: Glance) -> bool:
    """Tensors of Paddle, one after the other: versions and levels of 0, then a description."""
    data = glance.data
    if len(data) < 24 or bytes(data[:16]) != b"\0" * 16:
        return False
    length = int.from_bytes(data[16:20], "little")
    return 4 <= length <= 100 and data[20] == 8 and data[22] == 0x10


def _is_darknet(glance: Glance) -> bool:
    """Three numbers of a version, then the images seen, then plain float32."""
    data = glance.data
    if len(data) < 24 or len(data) % 4:
        return False
    return struct.unpack("<iii", data[:12]) in {(0, 1, 0), (0, 2, 0), (0, 2, 5)}


def _is_msgpack(glance: Glance) -> bool:
    """A map of msgpack whose first key is a word, as flax writes it."""
    data = glance.data
    start = {0xDE: 3, 0xDF: 5}.get(data[0], 1 if 0x81 <= data[0] <= 0x8F else 0)
    if not start or len(data) < start + 3:
        return False
    first = data[start]
    begin, length = start + 1, first & 0x1F
    if first == 0xD9:
        begin, length = start + 2, data[start + 1]
    elif not 0xA1 <= first <= 0xBF:
        return False
    key = bytes(data[begin : begin + length])
    return len(key) == length and key.isascii() and key.decode("ascii").isprintable()


#: Formats that begin with numbers which must fit together.
BY_SHAPE: tuple[Foreign, ...] = (
    Foreign("a Lua Torch7 file",
            "convert it with the torchfile package, or with torch.utils.serialization.load_lua of "
            "PyTorch 0.4, and save the state dict", _is_torch7, suffixes=("t7",)),
    Foreign("a Paddle file of parameters without names (.pdiparams)",
            "give the .pdparams file of paddle.save, or convert the model with paddle2onnx",
            _is_paddle, suffixes=("pdiparams",)),
    Foreign(_DARKNET, _FROM_DARKNET, _is_darknet),
)  # fmt: skip

#: Asked after the messages of protocol buffers, some of which could be one.
MSGPACK = Foreign(
    "a msgpack file, as flax writes it",
    "load it with flax.serialization.msgpack_restore, flatten it with "
    "flax.traverse_util.flatten_dict(..., sep='.') and save it with safetensors or numpy.savez",
    _is_msgpack,
)


def _is_bin_next_to(suffix: str, glance: Glance) -> bool:
    path = glance.path
    return path.suffix.lower() == ".bin" and path.with_suffix(suffix).is_file()


def _is_tensorflow_js(glance: Glance) -> bool:
    return re.fullmatch(r"group\d+-shard\d+of\d+\.bin", glance.path.name.lower()) is not None


#: Formats whose content is plain numbers, or a message like any other: the name decides.
BY_NAME: tuple[Foreign, ...] = (
    Foreign("the data of a TensorFlow checkpoint", TF_CHECKPOINT, lambda glance: bool(
        re.search(r"\.data-\d{5}-of-\d{5}$", glance.path.name))),
    Foreign("a part of an orbax checkpoint of JAX", ORBAX,
            lambda glance: glance.path.name == "manifest.ocdbt"),
    Foreign("the data of a Core ML package", ORIGINAL, lambda glance:
            glance.path.name == "weight.bin" and "com.apple.CoreML" in glance.path.parts),
    Foreign("the data of an OpenVINO network", ORIGINAL,
            lambda glance: _is_bin_next_to(".xml", glance)),
    Foreign("the data of an NCNN network", ORIGINAL,
            lambda glance: _is_bin_next_to(".param", glance)),
    Foreign("the data of a TensorFlow.js model", TFJS, _is_tensorflow_js),
    Foreign(_DARKNET, _FROM_DARKNET, suffixes=("weights",)),
    Foreign("a TensorRT engine", _BUILT, suffixes=("engine", "plan", "trt")),
    Foreign("an MNN file", ORIGINAL, suffixes=("mnn",)),
    Foreign("an Ascend offline model (.om)", ORIGINAL, suffixes=("om",)),
    Foreign("a damaged Caffe model", _AGAIN, suffixes=("caffemodel",)),
    Foreign("a damaged TensorFlow Lite file", _AGAIN, suffixes=("tflite",)),
    Foreign("a file of parameters that is not MXNet's", _WEIGHTS, suffixes=("params",)),
    Foreign("a damaged msgpack file", _AGAIN, suffixes=("msgpack",)),
)  # fmt: skip
