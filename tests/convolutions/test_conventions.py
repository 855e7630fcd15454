"""Names by the habits of one library, plain lists of arrays, compressed files, object arrays."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import zlib

import numpy as np
import pytest
import torch

from cwda.errors import UnreadableError
from cwda.loading import load


def array(*shape, dtype="float32"):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


W1, B1, W2, B2 = array(16, 3, 3, 3), array(16), array(32, 16, 5, 5), array(32)
TAIL = [array(512, 10), array(10)]


def pickled(folder, value, protocol=2):
    path = folder / "m.pkl"
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return load(path)


# Paddle


class PaddleTensor:
    """Pickled as Paddle 2 and 3 pickle a tensor of a nested object."""

    def __init__(self, name, value):
        self.pair = (name, value)

    def __reduce__(self):
        return tuple, (self.pair,)


@pytest.mark.parametrize("protocol", [2, 4])
def test_static_names_of_paddle(tmp_path, protocol):
    up = array(32, 8, 2, 2)
    state = {
        "conv2d_0.w_0": W1,
        "conv2d_0.b_0": B1,
        "batch_norm_0.w_0": B1,
        "linear_0.w_0": TAIL[0],
        "conv2d_transpose_0.w_0": up,
        "conv2d_0.w_0_moment1_0": W1,
        "StructuredToParameterName@@": {"conv.weight": "conv2d_0.w_0"},
    }
    network = pickled(tmp_path, state, protocol)
    assert [layer.name for layer in network] == ["conv2d_0", "conv2d_transpose_0"]
    assert torch.equal(network["conv2d_0"].weight, torch.from_numpy(W1))
    assert torch.equal(network["conv2d_transpose_0"].weight, torch.from_numpy(up).transpose(0, 1))
    assert {entry.name: entry.reason for entry in network.skipped} == {
        "conv2d_0.w_0_moment1_0": "optimizer state"
    }


@pytest.mark.parametrize(
    "value",
    [(("conv2d_0.w_0", W1),), ("conv2d_0.w_0", W1), PaddleTensor("conv2d_0.w_0", W1)],
    ids=["tuple in a tuple", "tuple", "reduced"],
)
def test_nested_dictionaries_of_paddle(tmp_path, value):
    network = pickled(tmp_path, {"model": {"0.weight": value}, "epoch": 3})
    assert [layer.name for layer in network] == ["0"]
    assert torch.equal(network["0"].weight, torch.from_numpy(W1))


# lists


LISTS = {
    "list": ([W1, B1, W2, B2, *TAIL], ["0", "2"]),
    "tuple": ((W1, B1, W2, B2, *TAIL), ["0", "2"]),
    "without biases": ([W1, W2, *TAIL], ["0", "1"]),
    "batch normalisation": ([W1, B1, B1, B1, B1, W2], ["0", "5"]),
    "one layer": ([W1, B1], ["0"]),
    "layer by layer": ([[W1, B1], [W2, B2]], ["0", "1"]),
    "numbers": ({0: W1, 1: B1, 2: W2}, ["0", "2"]),
    "params": ({"param_0": W1, "param_1": B1, "param_2": W2}, ["param_0", "param_2"]),
    "beside other things": ({"params": [W1, B1, W2], "epoch": 3}, ["0", "2"]),
    "by layer": ({"conv1": [W1, B1], "conv2": {"weights": W2}}, ["conv1", "conv2"]),
    "depthwise": ([W1, array(16, 1, 3, 3), array(8, 16, 1, 1)], ["0", "1", "2"]),
    "groups": ([array(96, 3, 3, 3), array(64, 48, 3, 3)], ["0", "1"]),
    "pairs": ([("stem.weight", W1), ("stem.bias", B1), ("head.weight", W2)], ["stem", "head"]),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("protocol", [0, 2])
def test_lists_of_arrays(tmp_path, name, protocol):
    value, names = LISTS[name]
    network = pickled(tmp_path, value, protocol)
    assert [layer.name for layer in network] == names
    if name not in ("groups", "depthwise"):
        kernels = [W1, W2]
        for layer, kernel in zip(network, kernels, strict=False):
            assert torch.equal(layer.weight, torch.from_numpy(kernel))
    if name != "pairs":
        assert any("position in a list" in note for note in network.assumptions)


def test_lists_that_torch_saved(tmp_path):
    torch.save([torch.from_numpy(W1), torch.from_numpy(B1)], tmp_path / "m.pth")
    assert torch.equal(load(tmp_path / "m.pth")["0"].weight, torch.from_numpy(W1))


def test_numbered_state_dicts_in_memory():
    network = load({0: torch.from_numpy(W1), 1: torch.from_numpy(B1), 2: torch.from_numpy(W2)})
    assert [layer.name for layer in network] == ["0", "2"]


def test_lists_beside_named_weights_are_other_things(tmp_path):
    """Such as the Fisher information of each weight, in the order of the weights."""
    state = {"conv1.weight": W1, "conv2.weight": W2}
    network = pickled(tmp_path, {"state_dict": state, "fisher": [W1, B1, W2, B2]})
    assert [layer.name for layer in network] == ["conv1", "conv2"]
    assert [entry.name for entry in network.skipped] == ["fisher.0", "fisher.2"]


def reconstruct_array(*_):
    """Named as JAX's function in the pickle below."""


def test_arrays_of_jax(tmp_path):
    """A numpy array's parts are the arguments of a function of JAX."""

    class Jax:
        def __reduce__(self):
            function, args, state = W1.__reduce__()
            return reconstruct_array, (function, args, state, {"weak_type": False})

    data = pickle.dumps({"conv.weight": Jax()}, 2)
    own = f"c{__name__}\nreconstruct_array\n".encode()
    assert own in data
    data = data.replace(own, b"cjax._src.array\n_reconstruct_array\n")
    (tmp_path / "m.pkl").write_bytes(data)
    assert torch.equal(load(tmp_path / "m.pkl")["conv"].weight, torch.from_numpy(W1))


IMAGES = {
    "images and labels": [array(50, 3, 32, 32), np.arange(50)],
    "images and float labels": [array(500, 1, 28, 28), array(500)],
    "training and test images": [array(50, 3, 32, 32), array(50, 10), array(20, 3, 32, 32)],
    "sequences of vectors": [array(2, 8, 64), array(2, 8, 64)],
    "feature maps": [array(1, 256, 14, 14), array(1, 512, 7, 7), array(1, 512, 7, 7)],
    "small patches": [array(50, 3, 8, 8), array(20, 3, 8, 8)],
    "one array": [array(50, 3, 3, 3)],
}


@pytest.mark.parametrize("name", IMAGES)
def test_lists_of_images_are_no_layers(tmp_path, name):
    with pytest.raises(UnreadableError, match="not named like"):
        pickled(tmp_path, IMAGES[name])


def test_arrays_of_the_gpu_and_of_other_libraries(tmp_path):
    """Their own functions around the array are named in the pickle and not looked up."""
    arrays = {"theano.sandbox.cuda.type": "CudaNdarray_unpickler", "cupy._core.core": "array"}
    for module, function in arrays.items():
        data = pickle.dumps([W1, B1], 2)
        inner = pickle.dumps(W1, 2)[2:-1]
        data = (
            b"\x80\x02}(X\x0b\x00\x00\x00conv.weightc" + f"{module}\n{function}\n".encode()
            + b"(" + inner + b"tRu."
        )  # fmt: skip
        (tmp_path / "m.pkl").write_bytes(data)
        assert torch.equal(load(tmp_path / "m.pkl")["conv"].weight, torch.from_numpy(W1))


# numpy


def objects(*values):
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def test_arrays_of_objects(tmp_path):
    np.save(tmp_path / "list.npy", objects(W1, B1, W2, B2))
    np.savez(tmp_path / "list.npz", weights=objects(W1, B1, W2, B2), other=B1)
    np.save(tmp_path / "dict.npy", {"conv1": [W1, B1], "conv2": {"weights": W2, "biases": B2}})
    for name, names in (("list.npy", ["0", "2"]), ("list.npz", ["0", "2"]),
                        ("dict.npy", ["conv1", "conv2"])):  # fmt: skip
        network = load(tmp_path / name)
        assert [layer.name for layer in network] == names
        assert torch.equal(network.layers[1].weight, torch.from_numpy(W2))


def test_numbered_arrays_of_an_archive(tmp_path):
    np.savez(tmp_path / "m.npz", W1, B1, W2, B2)
    network = load(tmp_path / "m.npz")
    assert [layer.name for layer in network] == ["arr_0", "arr_2"]
    assert torch.equal(network["arr_2"].weight, torch.from_numpy(W2))


# compressed


COMPRESSED = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress,
              "zlib": zlib.compress}  # fmt: skip


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_files(tmp_path, name):
    path = tmp_path / "m.pkl.z"
    whole = COMPRESSED[name](pickle.dumps({"conv.weight": W2}))
    path.write_bytes(whole)
    assert torch.equal(load(path)["conv"].weight, torch.from_numpy(W2))
    for data in (whole[: len(whole) // 2], COMPRESSED[name](b""), COMPRESSED[name](whole)):
        path.write_bytes(data)
        with pytest.raises(UnreadableError, match=name) as caught:
            load(path)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_bombs(tmp_path, name):
    (tmp_path / "m.z").write_bytes(COMPRESSED[name](b"\0" * 20_000_000))
    with pytest.raises(UnreadableError, match=r"m\.z: the .* data unfold to more than"):
        load(tmp_path / "m.z")


def test_what_is_inside_is_named(tmp_path):
    (tmp_path / "m.gz").write_bytes(gzip.compress(b"\x89PNG" + bytes(range(200))))
    with pytest.raises(UnreadableError, match=r"inside gzip data: .*PNG"):
        load(tmp_path / "m.gz")
    (tmp_path / "m.gz").write_bytes(gzip.compress(b"\x89HDF\r\n\x1a\n" + bytes(range(200))))
    with pytest.raises(UnreadableError, match=r"inside gzip data: a file of .*; unpack"):
        load(tmp_path / "m.gz")


def test_files_of_joblib_are_named(tmp_path):
    data = pickle.dumps({"a": "joblib.numpy_pickle"}, 2)
    (tmp_path / "m.pkl").write_bytes(data[:-2] + b"\x06\xff\xff.")
    with pytest.raises(UnreadableError, match="joblib"):
        load(tmp_path / "m.pkl")
