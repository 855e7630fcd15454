"""Keras files: names, kinds, groups and values as the models have them."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cwda.errors import CwdaError, UnreadableError
from cwda.loading import load

h5py = pytest.importorskip("h5py")

DATA = Path(__file__).resolve().parent / "data"
FILES = json.loads((DATA / "keras_files.json").read_text())


def expected(kind, name, groups, kernel):
    """Filters (filters, channels, *kernel), groups and transposition, by plain loops."""
    first, last = kernel.shape[-2:]
    filters = []
    if kind.startswith("Depthwise") or name.endswith("depthwise_kernel"):
        for channel in range(first):
            filters += [kernel[..., channel, m][None] for m in range(last)]
        return np.stack(filters), first, False
    if "Transpose" in kind:
        for j in range(first):
            filters.append(np.stack([kernel[..., j, channel] for channel in range(last)]))
        return np.stack(filters), 1, True
    for j in range(last):
        filters.append(np.stack([kernel[..., channel, j] for channel in range(first)]))
    return np.stack(filters), groups, False


def assert_equal(network, rows):
    assert sorted(layer.name for layer in network) == sorted(row[0] for row in rows)
    for name, kind, groups, start, shape in rows:
        kernel = np.arange(start, start + np.prod(shape), dtype="float32").reshape(shape)
        weight, groups, transposed = expected(kind, name, groups, kernel)
        layer = network[name]
        assert (layer.groups, layer.transposed) == (groups, transposed), name
        assert (layer.weight.numpy() == weight).all(), name


def without_names(path, target):
    """A file as earlier versions of Keras 3 wrote it: the layers' own names are not stated."""

    def clean(_, item):
        item.attrs.pop("name", None)

    if path.suffix == ".h5":
        shutil.copy(path, target)
        with h5py.File(target, "a") as file:
            file.visititems(clean)
        return
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        weights = io.BytesIO(source.read("model.weights.h5"))
        with h5py.File(weights, "a") as file:
            file.visititems(clean)
        archive.writestr("config.json", source.read("config.json"))
        archive.writestr("model.weights.h5", weights.getvalue())


@pytest.mark.parametrize("name", FILES)
def test_files_of_real_keras(name):
    assert_equal(load(DATA / name), FILES[name])


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".keras")])
def test_archives_of_earlier_versions(tmp_path, name):
    without_names(DATA / name, tmp_path / name)
    assert_equal(load(tmp_path / name), FILES[name])


def test_order_is_the_models():
    for name in ("keras-counted.keras", "keras-nested.keras", "keras-counted.h5"):
        assert [layer.name for layer in load(DATA / name)] == [row[0] for row in FILES[name]]


def test_what_the_configuration_states_is_not_assumed():
    for name in ("keras-counted.keras", "keras-nested.keras", "keras-nested.h5"):
        assert load(DATA / name).assumptions == ()


def test_attributes_tell_kinds_with_what_was_assumed(tmp_path):
    path = tmp_path / "m.weights.h5"
    without_names(DATA / "keras-attributes.weights.h5", path)
    network = load(path)
    assert network["blocks.up"].weight.shape == (4, 6, 2, 2)
    assert network["blocks.up"].transposed
    assert network["blocks.dw"].groups == 2
    assert network["blocks.seq"].weight.shape == (3, 2, 5)
    notes = " ".join(network.assumptions)
    for layer, note in [("up", "transposed"), ("dw", "depthwise"), ("seq", "EinsumDense")]:
        assert any(f"blocks.{layer}" in a and note in a for a in network.assumptions), notes
    assert [entry.name for entry in network.skipped] == ["blocks.mix.0"]
    assert "dense layer" in network.skipped[0].reason


def test_layers_that_two_models_share_are_counted_once():
    network = load(DATA / "keras-nested.h5")
    reasons = {entry.name: entry.reason for entry in network.skipped}
    assert reasons == {"middle.shared.kernel": "the layer shared stored again"}


def test_kernels_of_attention_are_not_convolutions():
    skipped = load(DATA / "keras-wrapped.keras").skipped
    assert len(skipped) == 4
    assert {entry.reason for entry in skipped} == {
        "belongs to MultiHeadAttention, not to a convolution"
    }


# Files as other versions write them


def write(path, datasets):
    """A file with an array at each path, its numbers going up by one."""
    with h5py.File(path, "w") as file:
        for name, shape in datasets.items():
            numbers = np.arange(np.prod(shape, dtype=int), dtype="float32")
            file[name] = numbers.reshape(shape)
    return path


def config(*layers):
    entries = [
        {"class_name": kind, "config": {"name": name, **options}} for kind, name, options in layers
    ]
    return json.dumps({"class_name": "Functional", "config": {"name": "m", "layers": entries}})


def archive(path, datasets, configuration):
    weights = io.BytesIO()
    write(weights, datasets)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", configuration)
        file.writestr("model.weights.h5", weights.getvalue())
    return path


def test_keras_2_13_counts_layers_with_weights_twice(tmp_path):
    text = config(
        ("InputLayer", "in", {}),
        ("Conv2D", "a", {"filters": 4, "kernel_size": [3, 3], "groups": 2}),
        ("Activation", "r", {}),
        ("Conv2D", "b", {"filters": 4, "kernel_size": [3, 3], "groups": 1}),
        ("Conv2D", "c", {"filters": 4, "kernel_size": [3, 3], "groups": 4}),
    )
    root = "_layer_checkpoint_dependencies"
    kernels = {"conv2d": 2, "conv2d_2": 4, "conv2d_4": 1}
    datasets = {f"{root}/{name}/vars/0": (3, 3, n, 4) for name, n in kernels.items()}
    network = load(archive(tmp_path / "m.keras", datasets, text))
    assert [(layer.name, layer.groups) for layer in network] == [("a", 2), ("b", 1), ("c", 4)]
    del datasets[f"{root}/conv2d_2/vars/0"]  # stored before, under another model
    network = load(archive(tmp_path / "m.keras", datasets, text))
    assert [(layer.name, layer.groups) for layer in network] == [("a", 2), ("c", 4)]


def test_operations_are_not_counted_as_layers(tmp_path):
    text = json.loads(config(("Conv2D", "a", {}), ("Conv2D", "b", {"groups": 2})))
    operation = {"module": "keras.src.ops.nn", "class_name": "Conv2D", "config": {"name": "op"}}
    text["config"]["layers"].insert(0, operation)
    datasets = {"layers/conv2d/vars/0": (1, 1, 4, 4), "layers/conv2d_1/vars/0": (1, 1, 2, 4)}
    network = load(archive(tmp_path / "m.keras", datasets, json.dumps(text)))
    assert [(layer.name, layer.groups) for layer in network] == [("a", 1), ("b", 2)]


def test_layers_kept_in_the_configuration_of_a_custom_layer(tmp_path):
    inner = {"class_name": "Conv2D", "config": {"name": "x", "groups": 2}}
    many = [{"class_name": "Conv2DTranspose", "config": {"name": f"t{i}"}} for i in range(2)]
    text = config(("Holder", "holder", {"inner": inner, "many": many}))
    root = "layers/holder"
    datasets = {
        f"{root}/vars/0": (3,),
        f"{root}/inner/vars/0": (3, 3, 4, 4),
        f"{root}/many/conv2d_transpose/vars/0": (2, 2, 4, 8),
        f"{root}/many/conv2d_transpose_1/vars/0": (2, 2, 2, 4),
    }
    network = load(archive(tmp_path / "m.keras", datasets, text))
    shapes = {layer.name: tuple(layer.weight.shape) for layer in network}
    assert shapes == {
        "holder.inner": (4, 4, 3, 3),
        "holder.many.t0": (4, 8, 2, 2),
        "holder.many.t1": (2, 4, 2, 2),
    }
    assert network["holder.inner"].groups == 2


def test_a_class_derived_from_a_convolution(tmp_path):
    options = {"filters": 8, "kernel_size": [3, 3], "groups": 4}
    text = config(("StandardizedConv", "s", options), ("Block", "b", options))
    datasets = {
        "layers/standardized_conv/vars/0": (3, 3, 2, 8),
        "layers/standardized_conv/vars/1": (8,),
        "layers/block/vars/0": (5, 5, 8, 16),
        "layers/block/inner/vars/0": (3, 3, 16, 4),
        "layers/block/inner/vars/1": (4,),
    }
    network = load(archive(tmp_path / "m.keras", datasets, text))
    assert network["s"].groups == 4
    assert {layer.name for layer in network} == {"s", "b", "b.inner"}
    assert any("does not fit its shape" in note for note in network.assumptions)


def test_slashes_and_repeated_scopes_in_names(tmp_path):
    path = write(
        tmp_path / "m.h5",
        {
            "model_weights/stem/conv/stem/conv/kernel:0": (3, 3, 3, 4),
            "model_weights/conv2d_7/conv2d_7_1/kernel:0": (3, 3, 4, 4),
            "model_weights/outer/net/outer/conv2d/kernel": (1, 1, 4, 4),
            "optimizer_weights/adam/stem/conv/kernel/m:0": (3, 3, 3, 4),
        },
    )
    with h5py.File(path, "a") as file:
        file["model_weights"].attrs["layer_names0"] = [b"outer"]  # too long for one attribute
        file["model_weights"].attrs["layer_names1"] = [b"stem/conv", b"conv2d_7"]
    network = load(path)
    assert [layer.name for layer in network] == ["outer.conv2d", "stem/conv", "conv2d_7"]
    assert [entry.reason for entry in network.skipped] == ["optimizer state"]


@pytest.mark.parametrize("root", ["", "model_weights/"])
def test_a_layer_called_vars(tmp_path, root):
    names = ("vars", "layers", "c")
    path = write(tmp_path / "m.h5", {f"{root}{n}/{n}/kernel:0": (3, 3, 4, 4) for n in names})
    with h5py.File(path, "a") as file:
        (file[root] if root else file).attrs["layer_names"] = [name.encode() for name in names]
    assert [layer.name for layer in load(path)] == list(names)


KINDS = {
    # name: (kernel, bias, filters x channels, groups, transposed), None if it is none
    "x/grow": ((2, 2, 8, 16), 8, (8, 16), 1, True),
    "x/up_block": ((2, 2, 8, 16), None, (8, 16), 1, True),
    "x/up": ((2, 2, 8, 16), 16, (16, 8), 1, False),
    "x/square": ((2, 2, 8, 8), 8, (8, 8), 1, False),
    "x/deconv": ((2, 2, 8, 8), 8, (8, 8), 1, True),
    "x/spatial": ((3, 3, 8, 1), 8, (8, 1), 8, False),
    "x/multiplied": ((3, 3, 8, 2), 16, (16, 1), 8, False),
    "x/plain": ((3, 3, 8, 1), None, (8, 1), 8, False),
    "x/to_one": ((3, 3, 8, 1), 1, (1, 8), 1, False),
    "x/last": ((1, 1, 8, 1), None, (1, 8), 1, False),
    "x/seq": ((5, 8, 4), 4, (4, 8), 1, False),
    "x/temporal_conv": ((5, 8, 4), None, (4, 8), 1, False),
    "x/volume": ((3, 3, 3, 2, 4), 4, (4, 2), 1, False),
    "x/wide": ((5, 8, 4), None, None, None, None),
    "x/query": ((8, 2, 4), None, None, None, None),
    "x/output_dense": ((2, 4, 8), 8, None, None, None),
    "pos_embed": ((1, 16, 8), None, None, None, None),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_without_a_configuration(tmp_path, name):
    kernel, bias, matrix, groups, transposed = KINDS[name]
    datasets = {f"{name}/vars/0": kernel, "other/conv2d/vars/0": (3, 3, 3, 5)}
    if bias is not None:
        datasets[f"{name}/vars/1"] = (bias,)
    network = load(write(tmp_path / "m.weights.h5", datasets))
    called = name.replace("/", ".")
    if matrix is None:
        assert [entry.name for entry in network.skipped] == [f"{called}.0"]
        assert "convolution" in network.skipped[0].reason
        return
    layer = network[called]
    assert tuple(layer.weight.shape) == (*matrix, *kernel[:-2])
    assert (layer.groups, layer.transposed) == (groups, transposed)
    assert any(called in note or "all 2" in note for note in network.assumptions)


def test_channels_of_the_other_layers_tell_a_transposed_kernel(tmp_path):
    datasets = {"a": (3, 3, 3, 32), "b": (2, 2, 16, 32), "c": (3, 3, 16, 2), "d": (1, 1, 2, 7)}
    network = load(
        write(tmp_path / "m.weights.h5", {f"{k}/vars/0": v for k, v in datasets.items()})
    )
    assert network["b"].transposed
    assert network["b"].weight.shape == (16, 32, 2, 2)


def test_filters_that_see_one_channel(tmp_path):
    """A grey image's layer, and depthwise layers written as grouped ones."""

    def groups(**kernels):
        datasets = {f"layers/{name}/vars/0": shape for name, shape in kernels.items()}
        network = load(write(tmp_path / "m.weights.h5", datasets))
        return [layer.groups for layer in network]

    assert groups(conv2d=(3, 3, 8, 4), conv2d_1=(3, 3, 1, 8)) == [1, 1]
    two = {"conv2d_1": (7, 7, 1, 8), "conv2d_2": (7, 7, 1, 8)}
    assert groups(conv2d=(3, 3, 3, 8), **two) == [1, 8, 8]
    assert groups(conv2d=(3, 3, 3, 8), conv2d_transpose=(3, 3, 1, 4), **two) == [1, 1, 1, 1]


def test_variables_that_are_no_kernels(tmp_path):
    path = write(
        tmp_path / "m.weights.h5",
        {
            "conv/vars/0": (3, 3, 3, 4),
            "memory/cell/vars/0": (3, 3, 2, 20),
            "memory/cell/vars/1": (3, 3, 5, 20),
            "memory/cell/vars/2": (20,),
            "norm/vars/0": (8, 8, 4),
            "norm/vars/1": (8, 8, 4),
            "mix/vars/0": (12, 3, 4),
            "mix/vars/1": (3, 4),
            "metrics/mean/vars/0": (),
            "d_optimizer/vars/0": (3, 3, 3, 4),
        },
    )
    network = load(path)
    assert [layer.name for layer in network] == ["conv"]
    reasons = {entry.name.rpartition(".")[0]: entry.reason for entry in network.skipped}
    assert "recurrent" in reasons["memory.cell"]
    assert "normalisation" in reasons["norm"]
    assert "dense" in reasons["mix"]
    assert reasons["d_optimizer"] == "optimizer state"


@pytest.mark.parametrize("order", ["th", "tf"])
def test_transposed_and_depthwise_kernels_of_keras_1(tmp_path, order):
    text = config(
        ("Deconvolution2D", "up", {"dim_ordering": order}),
        ("SeparableConvolution2D", "sep", {"dim_ordering": order}),
        ("Convolution2D", "conv", {"dim_ordering": order}),
    )
    shapes = {"up/up_W": (2, 2, 6, 4), "conv/conv_W": (3, 3, 5, 7), "sep/sep_b": (8,)}
    shapes |= {"sep/depthwise_kernel": (3, 3, 4, 2), "sep/pointwise_kernel": (1, 1, 8, 8)}
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["model_config"] = "1.2.2", text
        for name, shape in shapes.items():
            kernel = np.arange(np.prod(shape), dtype="float32").reshape(shape)
            th = order == "th" and kernel.ndim == 4
            file[f"model_weights/{name}"] = kernel.transpose(3, 2, 0, 1) if th else kernel
    network = load(path)
    up, conv = network["up"], network["conv"]
    kernel = np.arange(2 * 2 * 6 * 4, dtype="float32").reshape(2, 2, 6, 4)
    assert up.transposed
    assert (up.weight.numpy() == kernel.transpose(3, 2, 0, 1)).all()
    assert conv.weight.shape == (7, 5, 3, 3)
    deep = network["sep.depthwise_kernel"]
    kernel = np.arange(3 * 3 * 4 * 2, dtype="float32").reshape(3, 3, 4, 2)
    assert deep.groups == 4
    assert (deep.weight[5, 0].numpy() == kernel[:, :, 2, 1]).all()


def test_two_bytes_without_a_type_are_bfloat16(tmp_path):
    numbers = np.arange(1, 9, dtype="float32").reshape(1, 1, 2, 4)
    halves = (numbers.view("uint32") >> 16).astype("uint16")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("conv2d/conv2d/kernel", data=halves.view("V2"))
    layer = load(tmp_path / "m.h5").layers[0]
    assert str(layer.weight.dtype) == "torch.bfloat16"
    assert (layer.weight.float().numpy() == numbers.transpose(3, 2, 0, 1)).all()


def test_quantised_kernels_say_so(tmp_path):
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros((3, 3, 2, 4), "int8")
        file["layers/conv2d_1/vars/0"] = np.zeros((3, 3, 2, 4), "float32")
    (entry,) = load(tmp_path / "m.weights.h5").skipped
    assert entry.reason == "quantised to int8; give the model before that"


# Several files


def test_shards(tmp_path):
    write(tmp_path / "m_00000.weights.h5", {"layers/conv2d/vars/0": (3, 3, 2, 4)})
    write(
        tmp_path / "m_00001.weights.h5",
        {"layers/conv2d/vars/1": (4,), "layers/conv2d_transpose/vars/0": (2, 2, 3, 4)},
    )
    weight_map = {
        "/layers/conv2d/vars": ["m_00000.weights.h5", "m_00001.weights.h5"],
        "/layers/conv2d_transpose/vars": "m_00001.weights.h5",
    }
    index = tmp_path / "m.weights.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    for source in (index, tmp_path, tmp_path / "m_00001.weights.h5"):
        network = load(source)
        assert [layer.name for layer in network] == ["conv2d", "conv2d_transpose"]
        assert network.provenance.format == "sharded"
    (tmp_path / "m_00000.weights.h5").unlink()
    with pytest.raises(CwdaError, match=r"m_00000\.weights\.h5 is missing"):
        load(index)
    for bad in ("../m.h5", "/m.h5"):
        index.write_text(json.dumps({"weight_map": {"/vars": bad}}))
        with pytest.raises(UnreadableError, match="outside"):
            load(index)
    for text in ("[]", '{"weight_map": 3}', "{"):
        index.write_text(text)
        with pytest.raises(UnreadableError, match="lists no shards"):
            load(index)


def test_a_folder_with_its_configuration(tmp_path):
    write(tmp_path / "model.weights.h5", {"layers/conv2d/vars/0": (3, 3, 2, 4)})
    assert load(tmp_path)["conv2d"].groups == 1
    (tmp_path / "config.json").write_text(config(("Conv2D", "mine", {"groups": 2})))
    network = load(tmp_path)
    assert network["mine"].groups == 2
    assert "config.json" in network.assumptions[0]


# Damaged and hostile configurations


@pytest.mark.parametrize(
    "options",
    [
        {"groups": 3},
        {"groups": "many"},
        {"filters": -1, "kernel_size": 3.5},
        {"filters": True, "kernel_size": {"a": 1}},
        {"layers": {"a": 1}, "layer": [1]},
    ],
)
def test_odd_configurations_lose_no_layer(tmp_path, options):
    text = config(("Conv2D", "a", options), ("Conv2D", "b", {}))
    datasets = {"layers/conv2d/vars/0": (3, 3, 2, 4), "layers/conv2d_1/vars/0": (3, 3, 2, 4)}
    network = load(archive(tmp_path / "m.keras", datasets, text))
    assert [layer.name for layer in network] == ["a", "b"]


@pytest.mark.parametrize("text", ["[]", '{"class_name": 1}', "{", "[" * 100_000, "null"])
def test_damaged_configurations(tmp_path, text):
    datasets = {"layers/conv2d/vars/0": (3, 3, 2, 4)}
    assert len(load(archive(tmp_path / "m.keras", datasets, text))) == 1


def test_deeply_nested_configuration_ends(tmp_path):
    inner = {"class_name": "Conv2D", "config": {"name": "a"}}
    for depth in range(200):
        inner = {"class_name": "Functional", "config": {"name": f"m{depth}", "layers": [inner]}}
    path = write(tmp_path / "m.h5", {"model_weights/a/a/kernel:0": (3, 3, 2, 4)})
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = json.dumps(inner)
    assert load(path)["a"].weight.shape == (4, 2, 3, 3)


def test_lists_of_names_that_repeat_without_end(tmp_path):
    path = write(tmp_path / "m.h5", {"model_weights/conv2d/kernel": (3, 3, 2, 4)})
    with h5py.File(path, "a") as file:
        group = file["model_weights/conv2d"]
        group.attrs["weight_names"] = np.array([b"x"] * 6_000)
        for number in range(100):
            file[f"again{number}"] = group
    with pytest.raises(UnreadableError, match="more than 500,000 tensors"):
        load(path)


def test_links_at_the_top_are_not_followed(tmp_path):
    write(tmp_path / "other.h5", {"x": (3,)})
    with h5py.File(tmp_path / "other.h5", "a") as file:
        file.attrs["keras_version"] = "1.2.2"
    write(tmp_path / "m.h5", {"conv2d/kernel": (3, 3, 2, 4)})
    with h5py.File(tmp_path / "m.h5", "a") as file:
        file["model_weights"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
    network = load(tmp_path / "m.h5")
    assert network["conv2d"].weight.shape == (4, 2, 3, 3)
    assert not any("Keras 1" in note for note in network.assumptions)


def test_empty_kernels_are_left_out_with_their_reason(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["keras_version"] = "2.4.0"
        file["empty/empty/kernel:0"] = np.zeros((3, 3, 0, 1), "float32")
        file["other/vars/0"] = np.zeros((0, 3, 8, 16), "float32")
        file["conv/conv/kernel:0"] = np.zeros((3, 3, 8, 16), "float32")
    network = load(tmp_path / "m.h5")
    assert [layer.n_filters for layer in network] == [16]
    assert {entry.reason for entry in network.skipped} == {"empty"}
