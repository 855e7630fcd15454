"""Safetensors, Keras and numpy files, written by their own libraries."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cwda.checkpoints.formats import read_file
from cwda.errors import SourceError, UnreadableError
from cwda.keras_files.layout import keras1_ordering
from cwda.loading import load, load_model


def random(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


# safetensors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_safetensors(tmp_path, dtype):
    state = {"a.weight": random(4, 3, 3, 3, dtype=dtype), "b.weight": random(4, 4, 3, dtype=dtype)}
    save_file(state | {"c.bias": random(3)}, tmp_path / "m.anything")
    network = load(tmp_path / "m.anything")
    assert network.provenance.format == "safetensors"
    for layer in network:
        assert layer.weight.dtype == dtype
        assert torch.equal(layer.weight, state[f"{layer.name}.weight"])


def sharded(folder):
    save_file({"a.weight": random(4, 3, 3, 3)}, folder / "x-1.safetensors")
    save_file({"b.weight": random(4, 4, 3, 3)}, folder / "x-2.safetensors")
    index = {"weight_map": {"a.weight": "x-1.safetensors", "b.weight": "x-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder / "model.safetensors.index.json"


def test_sharded_safetensors_by_index_and_by_folder(tmp_path):
    index = sharded(tmp_path)
    by_index, by_folder = load(index), load(tmp_path)
    assert [layer.name for layer in by_index] == ["a", "b"]
    assert by_index.name == "model"
    assert by_index.provenance.format == "sharded"
    assert by_index.provenance == by_folder.provenance
    save_file({"b.weight": random(4, 4, 3, 3) + 1}, tmp_path / "x-2.safetensors")
    assert load(index).provenance.sha256 != by_index.provenance.sha256


def test_sharded_pickles(tmp_path):
    torch.save({"a.weight": random(4, 3, 3, 3)}, tmp_path / "p-1.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"a.weight": "p-1.bin"}}))
    assert len(load(index)) == 1


def test_broken_shards(tmp_path):
    index = sharded(tmp_path)
    save_file({"c.weight": random(1)}, tmp_path / "x-2.safetensors")
    with pytest.raises(UnreadableError, match=r"lack 1 tensors, such as b\.weight"):
        load(index)
    (tmp_path / "x-2.safetensors").unlink()
    with pytest.raises(SourceError, match=r"x-2\.safetensors is missing"):
        load(index)
    index.write_text("[]")
    with pytest.raises(UnreadableError, match="weight_map"):
        load(index)


@pytest.mark.parametrize(
    "name",
    ["model-{}-of-00003.safetensors", "pytorch_model-{}-of-00003.bin", "m.fp16-{}-of-00003.pt",
     "m-{}-of-00003.fp16.safetensors"],
)  # fmt: skip
@pytest.mark.parametrize("first", [0, 1])
def test_shards_without_an_index(tmp_path, name, first):
    states = [{f"{key}.weight": random(4, 3, 3, 3)} for key in "abc"]
    shards = [tmp_path / name.format(f"{first + n:05}") for n in range(3)]
    for state, shard in zip(states, shards, strict=True):
        (save_file if name.endswith("safetensors") else torch.save)(state, shard)
    whole = load(tmp_path)
    assert [layer.name for layer in whole] == ["a", "b", "c"]
    assert whole.name in ("model", "pytorch_model", "m.fp16", "m")
    for shard in shards:
        network = load(shard)
        assert len(network) == 3
        assert network.provenance == whole.provenance
        assert "put together from all shards" in network.assumptions[0]
    shards[1].unlink()
    for source in (tmp_path, shards[0], shards[2]):
        with pytest.raises(SourceError, match=f"one of 3 shards, and {shards[1].name} is missing"):
            load(source)


def test_a_shard_beside_its_index(tmp_path):
    index = sharded(tmp_path)
    network = load(tmp_path / "x-2.safetensors")
    assert [layer.name for layer in network] == ["a", "b"]
    assert network.provenance == load(index).provenance
    assert "put together from all shards" in network.assumptions[0]
    save_file({"other.weight": random(4, 3, 3, 3)}, tmp_path / "other.safetensors")
    assert [layer.name for layer in load(tmp_path / "other.safetensors")] == ["other"]


def test_shards_by_processor_are_refused(tmp_path):
    for n in (1, 2):
        torch.save({"a.weight": random(4, 3, 3, 3)}, tmp_path / f"m-0000{n}-of-00002.pt")
    with pytest.raises(UnreadableError, match=r"several shards hold a\.weight"):
        load(tmp_path)


def test_networks_that_run_are_put_together_too(tmp_path):
    state = load_model("resnet20-cifar10").state_dict()
    for number, part in enumerate([list(state)[:50], list(state)[50:]], 1):
        shard = {name: state[name] for name in part}
        torch.save(shard, tmp_path / f"pytorch_model-0000{number}-of-00002.bin")
    for source in (tmp_path, tmp_path / "pytorch_model-00002-of-00002.bin"):
        loaded = load_model(source).state_dict()
        assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_folders_with_one_and_several_checkpoints(tmp_path):
    with pytest.raises(SourceError, match="without a checkpoint"):
        load(tmp_path)
    save_file({"a.weight": random(4, 3, 3, 3)}, tmp_path / "one.safetensors")
    assert len(load(tmp_path)) == 1
    save_file({"a.weight": random(4, 3, 3, 3)}, tmp_path / "two.safetensors")
    with pytest.raises(SourceError, match=r"2 checkpoints \(one\.safetensors, two"):
        load(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b'{"a.weight": 3}',
        b'{"a.weight": {"dtype": "F32", "shape": [1, 1, 1], "data_offsets": [0, 8]}}',
        b'{"a.weight": {"dtype": "F32", "shape": [1, 1, -1], "data_offsets": [0, 4]}}',
        b'{"a.weight": {"dtype": "F32", "shape": [1, 1, 4e9], "data_offsets": [0, 4]}}',
        b'{"a.weight": {"dtype": "F32", "shape": [1, 1, 9], "data_offsets": [0, 36]}}',
        b'{"a":' + b"[" * 200_000,
        b"{\xff}",
    ],
)
def test_damaged_safetensors_headers(tmp_path, header):
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    with pytest.raises(UnreadableError):
        load(path)


@pytest.mark.parametrize("length", [200_000_000, 2**39])
def test_huge_safetensors_headers_are_refused(tmp_path, length):
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}      ")
    with pytest.raises(UnreadableError, match=r"bytes long|cut off"):
        load(path)


# numpy


def test_npz_and_npy(tmp_path):
    conv, paper = random(4, 3, 3, 3).numpy(), random(3, 9, 4).numpy()
    np.savez(tmp_path / "m.npz", **{"a/weight": conv, "c": conv[0, 0]})
    np.savez_compressed(tmp_path / "packed.npz", **{"a/weight": conv})
    for name in ("m.npz", "packed.npz"):
        network = load(tmp_path / name)
        assert [layer.name for layer in network] == ["a"]
        assert (network["a"].weight.numpy() == conv).all()
    np.savez(tmp_path / "paper.npz", mine=paper, x_test=conv)
    network = load(tmp_path / "paper.npz")
    assert [layer.name for layer in network] == ["mine"]
    assert (network["mine"].array == paper).all()
    assert any("N x k^2 x N'" in note for note in network.assumptions)


def test_names_of_weights_in_an_npz_decide_about_all_arrays(tmp_path):
    others = {
        "block/query/bias": (12, 4, 16),
        "rel_table": (12, 49, 49),
        "x": (5, 28, 28, 1),
        "c/kernel/Adam:0": (3, 3, 3, 8),
        "c/kernel/Momentum": (3, 3, 3, 8),
        "c/kernel/ExponentialMovingAverage:0": (3, 3, 3, 8),
    }
    arrays = {name: np.ones(shape, np.float32) for name, shape in others.items()}
    kernel = random(3, 3, 3, 8).numpy()
    np.savez(tmp_path / "m.npz", **{"c/kernel:0": kernel}, **arrays)
    network = load(tmp_path / "m.npz")
    assert [layer.name for layer in network] == ["c"]
    assert (network["c"].weight.numpy() == kernel.transpose(3, 2, 0, 1)).all()
    reasons = [entry.reason for entry in network.skipped]
    assert sum(reason == "optimizer state" for reason in reasons) == 2
    assert sum("moving average" in reason for reason in reasons) == 1
    assert sum("not named" in reason for reason in reasons) == 3


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("code", ["<f4", ">f8", "<f2"])
def test_npy_orders(tmp_path, order, code):
    array = np.asarray(random(5, 9, 4).numpy().astype(code), order=order)
    np.save(tmp_path / "m.npy", array)
    assert (load(tmp_path / "m.npy").layers[0].array == array).all()


def test_npz_with_a_huge_announced_shape(tmp_path):
    head = io.BytesIO()
    shape = (1_000_000, 9, 1_000_000)
    np.lib.format.write_array_header_1_0(
        head, {"shape": shape, "fortran_order": False, "descr": "<f4"}
    )
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("a.npy", head.getvalue() + b"\0" * 100)
    with pytest.raises(UnreadableError, match="cut off"):
        load(tmp_path / "m.npz")


# Keras


def keras_layer(name, kind, **config):
    return {"class_name": kind, "config": {"name": name, **config}}


def keras_config(layers):
    return json.dumps({"class_name": "Functional", "config": {"name": "m", "layers": layers}})


def test_keras_two_classes(tmp_path):
    h5py = pytest.importorskip("h5py")
    kernels = {
        "conv": ("Conv2D", "kernel", (3, 5, 2, 8), {"groups": 2}),
        "line": ("Conv1D", "kernel", (5, 3, 8), {}),
        "deep": ("DepthwiseConv2D", "depthwise_kernel", (3, 3, 4, 2), {}),
        "up": ("Conv2DTranspose", "kernel", (3, 5, 6, 4), {}),
        "attention": ("MultiHeadAttention", "kernel", (8, 2, 4), {}),
        "lstm": ("ConvLSTM2D", "kernel", (3, 3, 4, 16), {}),
    }
    rng = np.random.default_rng(0)
    values = {n: rng.standard_normal(k[2]).astype("float32") for n, k in kernels.items()}
    with h5py.File(tmp_path / "m.h5", "w") as file:
        layers = [keras_layer(n, k[0], **k[3]) for n, k in kernels.items()]
        file.attrs["model_config"] = keras_config(layers)
        file.attrs["keras_version"] = "2.9.0"
        for name, (_, leaf, _, _) in kernels.items():
            file[f"model_weights/{name}/{name}/{leaf}:0"] = values[name]
        file["optimizer_weights/Adam/conv/kernel/m:0"] = values["conv"]
    network = load(tmp_path / "m.h5")
    found = {layer.name: layer for layer in network}
    assert set(found) == {"conv", "line", "deep", "up"}
    for n, c, i, j in [(7, 1, 2, 4), (0, 0, 0, 0)]:
        assert found["conv"].weight[n, c, i, j] == values["conv"][i, j, c, n]
    assert found["conv"].groups == 2
    assert found["line"].weight[7, 2, 4] == values["line"][4, 2, 7]
    assert found["deep"].groups == 4
    assert found["deep"].weight[3 * 2 + 1, 0, 1, 2] == values["deep"][1, 2, 3, 1]
    assert found["up"].transposed
    assert found["up"].weight[5, 3, 2, 4] == values["up"][2, 4, 5, 3]
    assert {entry.reason for entry in network.skipped} == {
        "optimizer state",
        "belongs to MultiHeadAttention, not to a convolution",
        "belongs to ConvLSTM2D, not to a convolution",
    }


def test_keras_three_archive(tmp_path):
    h5py = pytest.importorskip("h5py")
    kernel = np.random.default_rng(0).standard_normal((3, 3, 4, 8)).astype("float32")
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers/conv2d/vars/0"] = kernel
        file["layers/conv2d/vars/1"] = np.zeros(8)
        file["layers/dense/vars/0"] = np.zeros((8, 2))
        file["optimizer/vars/2"] = kernel
    for mode in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "m.keras", "w", mode) as archive:
            archive.writestr("metadata.json", "{}")
            archive.writestr("config.json", keras_config([keras_layer("first", "Conv2D")]))
            archive.writestr("model.weights.h5", weights.getvalue())
        network = load(tmp_path / "m.keras")
        assert network.provenance.format == "keras"
        assert [layer.name for layer in network] == ["first"]
        assert (network.layers[0].weight.numpy() == kernel.transpose(3, 2, 0, 1)).all()
        assert [entry.reason for entry in network.skipped] == ["optimizer state"]


def test_keras_links_and_foreign_data_are_not_followed(tmp_path):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret.bin").write_bytes(b"\1" * 4 * 4 * 9 * 4)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kernel"] = np.ones((3, 3, 4, 4), "float32")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["conv/kernel"] = np.ones((3, 3, 4, 4), "float32")
        file["link/kernel"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "kernel")
        file.create_dataset(
            "foreign/kernel", (3, 3, 4, 4), "f4", external=[(str(tmp_path / "secret.bin"), 0, 576)]
        )
        file.create_dataset("huge/kernel", (3, 3, 10**6, 10**6), "f4", chunks=(3, 3, 64, 64))
    network = load(tmp_path / "m.h5")
    assert len(network) == 1
    reasons = {entry.name: entry.reason for entry in network.skipped}
    assert "not followed" in reasons["link/kernel"]
    assert "another file" in reasons["foreign/kernel"]
    assert "announces" in reasons["huge/kernel"]


@pytest.mark.parametrize(
    ("stated", "kernels", "expected"),
    [
        ("th", [((3, 3, 4, 8), 8)], "th"),
        (None, [((3, 3, 4, 8), 8)], "tf"),
        (None, [((8, 4, 3, 3), 8)], "th"),
        (None, [((3, 3, 16, 12), None)], "tf"),
        (None, [((12, 16, 3, 3), None), ((3, 3, 3, 3), 3)], "th"),
    ],
)
def test_ordering_of_keras_one(stated, kernels, expected):
    assert keras1_ordering(stated, kernels)[0] == expected


def test_format_is_told_by_content_alone(tmp_path):
    """Every format under a wrong name."""
    torch.save({"a.weight": random(4, 3, 3, 3)}, tmp_path / "m.onnx")
    save_file({"a.weight": random(4, 3, 3, 3)}, tmp_path / "m.h5")
    np.save(tmp_path / "x.npy", random(4, 3, 3, 3).numpy())
    (tmp_path / "x.npy").rename(tmp_path / "m.pth")
    kinds = {name: read_file(tmp_path / name).format for name in ("m.onnx", "m.h5", "m.pth")}
    assert kinds == {"m.onnx": "torch zip", "m.h5": "safetensors", "m.pth": "npy"}


@pytest.mark.parametrize("length", [0x178, 0x5E78, 0x9C78, 0xDA78, 0x4178, 0x088B1F])
def test_safetensors_whose_length_is_another_format_s_magic_number(tmp_path, length):
    entry = {"conv.weight": {"dtype": "F32", "shape": [8, 3, 3, 3], "data_offsets": [0, 864]}}
    header = json.dumps(entry).encode().ljust(length)
    path = tmp_path / "m.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + header + bytes(864))
    assert load(path)["conv"].weight.shape == (8, 3, 3, 3)
