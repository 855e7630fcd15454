"""Files as Keras 1 to 3 write them, made with h5py."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest

from cwda.keras_files.ordering import keras1_ordering
from cwda.loading import load


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
