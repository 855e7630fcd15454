"""Formats that are not read: one line says what a file or folder is and what to do."""

from __future__ import annotations

import io
import struct
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from cwda.errors import CwdaError, SourceError, UnreadableError
from cwda.loading import load, load_model

STATE = {"conv.weight": torch.ones(8, 3, 3, 3)}


def field(number, data):
    """A field of a message: a number, or text or a message with its length before it."""
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(number):
    out = b""
    while number >= 0x80:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def saved_model(operators=40):
    """As TensorFlow writes it: the list of operators comes first, then tags and the graph."""
    ops = b"".join(field(1, field(1, f"Op{n}") + field(2, field(1, "x"))) for n in range(operators))
    info = field(2, ops) + field(4, "serve") + field(5, "2.21.0")
    return field(1, 1) + field(2, field(1, info) + field(2, field(1, field(1, "x"))))


def core_ml(version, network=500):
    inputs = field(1, field(1, "image") + field(3, field(4, field(1, 224))))
    return field(1, version) + field(2, inputs) + field(network, field(1, field(1, "conv")))


def node(name, operator):
    return field(1, field(1, name) + field(2, operator) + field(5, field(1, "dtype")))


CAFFE_LAYER = field(1, "conv1") + field(2, "Convolution") + field(7, field(5, b"\0" * 16))
CAFFE_OLD = field(3, "conv1") + field(4, "conv1") + field(5, 4) + field(6, field(5, b"\0" * 16))
CAFFE2_OP = field(2, "conv1_w") + field(4, "GivenTensorFill") + field(5, field(1, "values"))
TORCH7 = struct.pack("<iii", 4, 1, 3) + b"V 1" + struct.pack("<i", 13) + b"nn.Sequential"
PADDLE = b"\0" * 16 + struct.pack("<i", 10) + b"\x08\x05\x10\x10\x10\x03\x10\x03\x10\x03"

#: Content by name, and a word of the line; the names are misleading where they do not matter.
FILES = {
    "saved_model.pb": (saved_model(), "TensorFlow SavedModel"),
    "renamed.pth": (saved_model(), "TensorFlow SavedModel"),
    "frozen.pth": (node("x", "Placeholder") + node("w", "Const"), "frozen TensorFlow graph"),
    "core-ml.onnx": (core_ml(4), "Core ML"),
    "core-ml-1.bin": (core_ml(1), "Core ML"),
    "core-ml-program.bin": (core_ml(7, 502), "Core ML"),
    "core-ml-bare.bin": (field(1, 5) + field(2, b"") + field(500, b"ab"), "Core ML"),
    "caffe.bin": (field(1, "VGG_16") + field(100, CAFFE_LAYER), "Caffe model"),
    "caffe-old.bin": (field(1, "CaffeNet") + field(2, CAFFE_OLD), "Caffe model"),
    "init_net.pb": (field(1, "init") + field(2, CAFFE2_OP), "Caffe2"),
    "m.ckpt": (field(1, field(1, "conv") + field(2, field(1, 8) + field(2, "Float32"))),
               "MindSpore"),
    "m.pdmodel": (field(1, field(1, 0) + field(2, 1) + field(3, "ab")), "Paddle program"),
    "m.pdiparams": (PADDLE + b"\1" * 99, "Paddle file of parameters"),
    "m.t7": (TORCH7 + b"\0" * 99, "Torch7"),
    "table.t7": (struct.pack("<iiiii", 3, 1, 2, 2, 5) + b"model" + b"\0" * 9, "Torch7"),
    "text.t7": (b"4\n1\n3\nV 1\n13\nnn.Sequential\n", "Torch7"),
    "flax.bin": (b"\x82\xa6params\x81\xa4conv\x81\xa6kernel\xc7\x05\x01" + b"\0" * 9, "msgpack"),
    "flax-large.bin": (b"\xde\0\x20\xd9\x28" + b"k" * 40 + b"\x80" + b"\0" * 9, "msgpack"),
    "yolo": (struct.pack("<iiiq", 0, 2, 5, 32_013_312) + b"\0\0\x80\x3f" * 9, "Darknet"),
    "odd.weights": (b"\1\2\3\4\5" * 9, "Darknet"),
    "m.params": (b"\x12\x01" + b"\0" * 14 + b"\2" * 40, "MXNet"),
    "m.tflite": (b"\x1c\0\0\0TFL3" + b"\0" * 40, "TensorFlow Lite"),
    "m.pte": (b"\x1c\0\0\0ET12" + b"\0" * 40, "ExecuTorch"),
    "m.ort": (b"\x1c\0\0\0ORTM" + b"\0" * 40, "ONNX Runtime"),
    "m.plan": (b"ftrt" + b"\1" * 40, "TensorRT"),
    "m.engine": (struct.pack("<i", 9) + b'{"a": 1}' + b"ftrt", "TensorRT"),
    "m.rknn": (b"RKNN" + b"\1" * 40, "Rockchip"),
    "m.om": (b"IMOD" + b"\1" * 40, "Ascend"),
    "m.mnn": (b"\x18\0\0\0" + b"\3" * 40, "MNN"),
    "m.gguf": (b"GGUF\3\0\0\0" + b"\0" * 40, "GGUF"),
    "m.ggml": (b"lmgg" + b"\1" * 40, "GGML"),
    "v5.mat": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + b" " * 90, "scipy.io.loadmat"),
    "v7.mat": (b"MATLAB 7.3 MAT-file, Platform" + b" " * 483 + b"\x89HDF\r\n\x1a\n", "h5py"),
    "m.rds": (b"RDX3\nX\n\0\0\0\3", "R data"),
    "m.so": (b"\x7fELF\2\1" + b"\1" * 40, "compiled library"),
    "m.xml": (b'<?xml version="1.0"?>\n<net name="x" version="11"><layers/></net>', "OpenVINO"),
    "m.param": (b"7767517\n75 83\nInput data 0 1\n", "NCNN"),
    "m.ckpt.index": (b"\0" * 99 + bytes.fromhex("57fb808b247547db"), "TensorFlow checkpoint"),
    "m.ckpt.data-00000-of-00001": (b"\1\2\7\4" * 30, "TensorFlow checkpoint"),
    "checkpoint": (b'model_checkpoint_path: "model.ckpt-1"\n', "TensorFlow checkpoints"),
    "yolo.cfg": (b"[net]\nbatch=1\n", "Darknet description"),
    "model.json": (b'{"format": "layers-model", "modelTopology": {}}', "TensorFlow.js"),
    "weights_manifest.json": (b'[{"paths": ["group1-shard1of1"]}]', "TensorFlow.js"),
    "model-symbol.json": (b'{\n  "nodes": [\n {\n "op": "null",\n "name": "data"}]}', "MXNet"),
    "inference.json": (b'{"base_code":{"magic":"pir","version":4},"program":{}}', "Paddle"),
    "onnx.json": (b'{"irVersion": "10", "producerName": "pytorch"}', "ONNX model in text form"),
    "m.pbtxt": (b'ir_version: 10\nproducer_name: "pytorch"\n', "ONNX model in text form"),
    "m.onnxtxt": (b"<\n   ir_version: 10,\n", "ONNX model in text form"),
    "graph.pbtxt": (b'node {\n  name: "x"\n  op: "Placeholder"\n}\n', "TensorFlow graph"),
    "config.json": (b'{"architectures": ["ResNet"]}', "configuration of a network"),
    "keras.json": (b'{"class_name": "Functional", "config": {}}', "configuration of a Keras model"),
    "list.json": (b'{"metadata": {}, "weight_map": {}}', "index of a checkpoint"),
    "Manifest.json": (b'{"fileFormatVersion": "1.0.0", "itemInfoEntries": {}}', "Core ML"),
    "weight.bin": (b"\3\0\0\0\2" + b"\0" * 59 + b"\xef\xbe\xad\xde" + b"\0" * 60, "Core ML"),
    "manifest.ocdbt": (b"\x0c\xdb\2\0" + b"\1" * 50, "orbax"),
    "d7a1": (b"\x0c\xdb\x20\xde" + b"\1" * 50, "orbax"),
    "deploy.prototxt": (b'name: "VGG"\nlayer {\n  name: "conv1"\n}\n', "Caffe description"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_files_of_other_formats(tmp_path, name):
    data, word = FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnreadableError) as caught:
        load(tmp_path / name)
    message = str(caught.value)
    assert word in message.partition("this is ")[2]
    assert "; " in message
    assert "\n" not in message
    assert "ONNX data are damaged" not in message


@pytest.mark.parametrize("source", ["model.ckpt-100", "v.1"])
def test_the_prefix_of_a_tensorflow_checkpoint(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{source}.index").write_bytes(b"\1" * 40)
    for given in (source, tmp_path / source):
        with pytest.raises(UnreadableError, match="this is a TensorFlow checkpoint; load it"):
            load(given)


@pytest.mark.parametrize(
    "address",
    ["http://example.com/x.pth", "https://host/a/b", "s3://bucket/m.pt", "gs://b/m.h5",
     "hf://org/repo/m.bin", Path("http://example.com/x.pth")],
)  # fmt: skip
def test_addresses(address):
    for read in (load, load_model, partial(load_model, arch="resnet18")):
        with pytest.raises(SourceError) as caught:
            read(address)
        shown = str(address).replace(":/e", "://e")
        assert str(caught.value).startswith(f"{shown}: an address, not a path; download the file")


def test_addresses_of_files_that_are_here(tmp_path, monkeypatch):
    with pytest.raises(SourceError, match="give the path alone"):
        load(f"file://{tmp_path}/m.pt")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ab:").mkdir()
    torch.save(STATE, tmp_path / "ab:" / "m.pt")
    assert len(load("ab:/m.pt")) == 1


@pytest.mark.parametrize(("beside", "word"), [(".xml", "OpenVINO"), (".param", "NCNN")])
def test_plain_data_are_told_by_the_file_beside_them(tmp_path, beside, word):
    (tmp_path / "m.bin").write_bytes(b"\1\2\3\4\5" * 20)
    with pytest.raises(UnreadableError, match="not a known checkpoint"):
        load(tmp_path / "m.bin")
    (tmp_path / f"m{beside}").write_text("x")
    with pytest.raises(UnreadableError, match=word):
        load(tmp_path / "m.bin")


@pytest.mark.parametrize("producer", ["pytorch", "", "tf2onnx", "serve"])
def test_damaged_onnx_is_called_damaged_onnx(tmp_path, producer):
    onnx = pytest.importorskip("onnx")
    weight = onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), "float32"), "w")
    conv = onnx.helper.make_node("Conv", ["x", "w"], ["y"])
    graph = onnx.helper.make_graph([conv], "g", [], [], initializer=[weight])
    for version in (1, 3, 8):
        model = onnx.helper.make_model(graph, producer_name=producer, ir_version=version)
        data = model.SerializeToString()
        for end in (12, 40, len(data) // 2, len(data) - 5):
            (tmp_path / "m.onnx").write_bytes(data[:end])
            with pytest.raises(UnreadableError, match="ONNX"):
                load(tmp_path / "m.onnx")


ARCHIVES = {
    "MAR-INF/MANIFEST.json": "TorchServe",
    ".data/extern_modules": "torch.package",
    "model.mlpackage/Manifest.json": "Core ML",
    "saved_model/saved_model.pb": "TensorFlow SavedModel",
    "nnp_version.txt": "Neural Network Libraries",
    "something.txt": "zip archive without weights",
}


@pytest.mark.parametrize("entry", ARCHIVES)
def test_archives_of_other_formats(tmp_path, entry):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr(entry, "x")
    with pytest.raises(UnreadableError, match=ARCHIVES[entry]):
        load(tmp_path / "m.zip")


# folders


def folder(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def saved(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


OTHER_FOLDERS = {
    "SavedModel": ({"saved_model.pb": b"x", "variables/variables.index": b""}, "SavedModel"),
    "checkpoints": ({"checkpoint": b"", "m.index": b"", "m.data-00000-of-00001": b""},
                    "TensorFlow checkpoints"),
    "Core ML": ({"Manifest.json": b"{}", "Data/com.apple.CoreML/m.mlmodel": b""}, "Core ML"),
    "orbax": ({"_METADATA": b"{}", "d/0": b""}, "orbax"),
    "orbax of one file": ({"manifest.ocdbt": b"", "_sharding": b""}, "orbax"),
    "ZeRO-3": ({"latest": b"step1", "step1/zero_pp_rank_0_mp_rank_00_model_states.pt": b""},
               "zero_to_fp32"),
    "DeepSpeed parts": ({"mp_rank_00_model_states.pt": b"", "mp_rank_01_model_states.pt": b""},
                        "model-parallel"),
    "Megatron parts": ({"mp_rank_00/model_optim_rng.pt": b"", "mp_rank_01/x": b""}, "Megatron"),
    "TensorFlow.js": ({"model.json": b"{}", "group1-shard1of1.bin": b""}, "TensorFlow.js"),
    "flax": ({"flax_model.msgpack": FILES["flax.bin"][0], "config.json": b"{}"}, "msgpack"),
    "fairseq": ({"checkpoint_best.pt": b"", "checkpoint_last.pt": b""}, "2 checkpoints"),
    "folders below": ({"a/b.txt": b"", "c/d.txt": b""}, "one of its folders (a, c)"),
    "notes that lead away": ({"latest": b"../..", "a/b.txt": b""}, "one of its folders"),
    "notes that lead nowhere": ({"latest": b"\0\xff\n" * 99}, "without a checkpoint"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_FOLDERS)
def test_folders_of_other_formats(tmp_path, name):
    files, word = OTHER_FOLDERS[name]
    with pytest.raises(CwdaError) as caught:
        load(folder(tmp_path / "f", files))
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


FOLDERS = {
    "DeepSpeed": {
        "latest": b"global_step10\n",
        "zero_to_fp32.py": b"",
        "global_step10/mp_rank_00_model_states.pt": saved({"module": STATE}),
        "global_step10/zero_pp_rank_0_mp_rank_00_optim_states.pt": saved({"x": 1}),
    },
    "Megatron": {
        "latest_checkpointed_iteration.txt": b"10",
        "iter_0000010/mp_rank_00/model_optim_rng.pt": saved({"model": STATE}),
    },
    "Accelerate": {
        "pytorch_model.bin": saved(STATE),
        "optimizer.bin": saved({}),
        "scheduler.bin": b"",
        "random_states_0.pkl": b"",
    },
    "one file of any name": {"weights.xyz": saved(STATE), "README.md": b"", "config.json": b"{}"},
    "a pickle": {"weights.pkl": saved(STATE), "log.txt": b""},
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_that_are_read(tmp_path, name):
    network = load(folder(tmp_path / "f", FOLDERS[name]))
    assert torch.equal(network["conv"].weight, STATE["conv.weight"])


def test_an_empty_folder(tmp_path):
    with pytest.raises(SourceError, match=r"a folder without a checkpoint; give the file itself$"):
        load(tmp_path)
