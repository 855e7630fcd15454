"""HDF5 files without any sign of Keras: the order of axes is that of what was stored."""

import h5py
import numpy as np
import pytest

from cwda.loading import load

SHAPES = {"conv1.weight": (8, 3, 3, 3), "conv2.weight": (16, 8, 3, 3), "down.weight": (16, 8, 1, 1)}
BIASES = {name.replace("weight", "bias"): shape[:1] for name, shape in SHAPES.items()}


def store(path, shapes):
    random = np.random.default_rng(1)
    arrays = {name: random.standard_normal(shape, "float32") for name, shape in shapes.items()}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return arrays


@pytest.mark.parametrize("before", ["", "state_dict/", "net.backbone."])
@pytest.mark.parametrize("slash", [True, False])
@pytest.mark.parametrize("biases", [True, False])
def test_state_dicts(tmp_path, before, slash, biases):
    shapes = {**SHAPES, **(BIASES if biases else {}), "fc.weight": (10, 16), "bn.running_var": (8,)}
    named = {before + (n.replace(".", "/") if slash else n): shape for n, shape in shapes.items()}
    arrays = store(tmp_path / "m.h5", named)
    layers = load(tmp_path / "m.h5").layers
    assert [layer.name.split(".")[-1] for layer in layers] == ["conv1", "conv2", "down"]
    for layer, array in zip(layers, (a for a in arrays.values() if a.ndim == 4), strict=True):
        assert (layer.weight.numpy() == array).all()


@pytest.mark.parametrize("leaves", [("kernel", "bias"), ("w", "b"), ("W", "b")])
def test_channels_last_without_keras(tmp_path, leaves):
    weight, bias = leaves
    kernels = {f"conv{n}/{weight}": (3, 3, i, o) for n, (i, o) in enumerate([(3, 16), (16, 32)])}
    arrays = store(tmp_path / "m.h5", kernels | {"conv0/" + bias: (16,), "conv1/" + bias: (32,)})
    for layer in load(tmp_path / "m.h5"):
        stored = arrays[f"{layer.name}/{weight}"]
        assert (layer.weight.numpy() == stored.transpose(3, 2, 0, 1)).all()


def test_two_orders_in_one_file(tmp_path):
    store(tmp_path / "m.h5", {"conv/kernel": (3, 3, 3, 8), "other/weight": (64, 3, 7, 7)})
    shapes = {layer.name: tuple(layer.weight.shape) for layer in load(tmp_path / "m.h5")}
    assert shapes == {"conv": (8, 3, 3, 3), "other": (64, 3, 7, 7)}


def test_numbers_are_sorted(tmp_path):
    store(tmp_path / "m.h5", {f"layers/{n}/weight": (4, 4, 3, 3) for n in (1, 2, 10)})
    assert [layer.name for layer in load(tmp_path / "m.h5")] == ["1", "2", "10"]


def test_an_order_that_is_given(tmp_path):
    store(tmp_path / "m.h5", {"a/weight": (3, 3, 8, 16)})
    network = load(tmp_path / "m.h5", layout="HWIO")
    assert network["a"].weight.shape == (16, 8, 3, 3)
    assert not any("axes" in note or "H, W" in note for note in network.assumptions)


def test_caffe(tmp_path):
    shapes = {
        "data/conv1/0": (8, 3, 5, 5),
        "data/conv1/1": (8,),
        "data/inc/1x1/0": (12, 8, 1, 1),  # neither chained in this order nor with a bias
        "data/bn/0": (8,),
        "data/fc/0": (10, 12),
        "data/up/0": (12, 4, 2, 2),
        "data/up/1": (4,),
    }
    arrays = store(tmp_path / "m.caffemodel.h5", shapes)
    with h5py.File(tmp_path / "m.caffemodel.h5", "a") as file:
        file["diff/conv1/0"] = arrays["data/conv1/0"]
    network = load(tmp_path / "m.caffemodel.h5")
    assert [layer.name for layer in network] == ["conv1", "inc.1x1", "up"]
    assert (network["conv1"].weight.numpy() == arrays["data/conv1/0"]).all()
    assert network["up"].transposed
    assert [(entry.name, entry.reason) for entry in network.skipped] == [
        ("diff.conv1.weight", "a gradient")
    ]


def test_averages_and_keys(tmp_path):
    both = {f"{key}/{n}": s for key in ("model", "model_ema") for n, s in SHAPES.items()}
    arrays = store(tmp_path / "m.h5", both)
    for name in SHAPES:  # an average is near what it averages
        arrays[f"model_ema/{name}"] = arrays[f"model/{name}"] * 0.99
    with h5py.File(tmp_path / "m.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    assert len(load(tmp_path / "m.h5")) == 3
    average = load(tmp_path / "m.h5", weights_key="model_ema")
    assert (average["conv1"].weight.numpy() == arrays["model_ema/conv1.weight"]).all()
