"""Axis orders: files of other libraries than PyTorch, the option, and what must stay unturned."""

from __future__ import annotations

import itertools
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from cwda.convolutions.axes.layouts import Order, parse_order
from cwda.errors import SourceError
from cwda.loading import load


def values(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape).astype("float32")


def in_order(weight, letters):
    """A weight (outputs, inputs, *kernel) stored in another order, by a plain loop."""
    kernel = "DHW"[5 - weight.ndim :]
    own = "OI" + kernel
    letters = letters.replace("K", kernel)
    stored = np.empty([weight.shape[own.index(letter)] for letter in letters], weight.dtype)
    for position in itertools.product(*map(range, weight.shape)):
        stored[tuple(position[own.index(letter)] for letter in letters)] = weight[position]
    return stored


def notes(network):
    """What is assumed besides groups and transposition."""
    return [note for note in network.assumptions if "does not say" not in note]


RESNET = {
    "Conv_0": values(16, 3, 7, 7),
    "Block_0.Conv_0": values(16, 16, 3, 3),
    "Block_0.Conv_1": values(24, 16, 1, 1),
    "Block_1.Conv_0": values(24, 24, 3, 3),
}


def stored_as(path, letters, leaf, separator, **header):
    """RESNET in a file of arrays, with biases and a linear layer."""
    arrays = {"head.bias": values(10), f"head.{leaf}": values(10, 24)}
    for name, weight in RESNET.items():
        arrays[f"{name}.{leaf}"] = in_order(weight, letters)
        arrays[f"{name}.bias"] = values(len(weight))
    arrays = {key.replace(".", separator): array for key, array in arrays.items()}
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        save_file(arrays, path, metadata=header or None)
    return path


@pytest.mark.parametrize(
    ("name", "letters", "leaf", "separator", "header", "told"),
    [
        ("a.npz", "KIO", "kernel", "/", {}, "the name (kernel)"),
        ("a.npz", "OKI", "weight", ".", {}, "the shapes"),  # mlx.core.savez
        ("a.npz", "KIO", "weights", "/", {}, "the name (weights)"),  # TF-Slim
        ("a.npz", "KIO", "w", "/", {}, "the shapes"),  # Haiku
        ("a.safetensors", "KIO", "kernel", ".", {}, "the name (kernel)"),
        ("a.safetensors", "KIO", "kernel", ",", {}, "the name (kernel)"),
        ("a.safetensors", "KIO", "kernel", ".", {"format": "flax"}, "format: flax"),
        ("a.safetensors", "OKI", "weight", ".", {"format": "mlx"}, "format: mlx"),
        ("a.safetensors", "OKI", "weight", ".", {}, "the shapes"),
        ("a.safetensors", "OKI", "weight", ".", {"format": "pt"}, "against the file's header"),
        ("a.safetensors", "OIK", "weight", ".", {"format": "mlx"}, "against the file's header"),
        ("a.safetensors", "OIK", "weight", ".", {"format": "pt"}, ""),
        ("a.safetensors", "OIK", "weight", ".", {}, ""),
        ("a.npz", "OIK", "weight", ".", {}, ""),
        ("a.npz", "OIK", "kernel", ".", {}, "the shapes"),
    ],
)
def test_files_of_other_libraries(tmp_path, name, letters, leaf, separator, header, told):
    network = load(stored_as(tmp_path / name, letters, leaf, separator, **header))
    assert {layer.name for layer in network} == set(RESNET)
    for layer in network:
        assert (layer.weight.numpy() == RESNET[layer.name]).all()
        assert (layer.groups, layer.transposed) == (1, False)
    assert len(notes(network)) == bool(told)
    assert told in " ".join(notes(network))


def test_shards_keep_the_header_of_their_files(tmp_path):
    save_file({"a.weight": values(64, 3, 3, 3)}, tmp_path / "1.safetensors", {"format": "mlx"})
    save_file({"b.weight": values(64, 1, 1, 32)}, tmp_path / "2.safetensors", {"format": "mlx"})
    (tmp_path / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a.weight": "1.safetensors", "b.weight": "2.safetensors"}}'
    )
    network = load(tmp_path)
    assert [layer.weight.shape for layer in network] == [(64, 3, 3, 3), (64, 32, 1, 1)]
    assert (network["a"].weight.numpy() == values(64, 3, 3, 3).transpose(0, 3, 1, 2)).all()


def test_transformer_in_an_npz(tmp_path):
    """Attention and embeddings have three axes too, and are not convolutions."""
    attention = "Transformer/encoderblock_0/MultiHeadDotProductAttention_1"
    arrays = {f"{attention}/{part}/kernel": values(48, 3, 16) for part in ("query", "key", "value")}
    arrays |= {
        f"{attention}/out/kernel": values(3, 16, 48),
        "Transformer/posembed_input/pos_embedding": values(1, 17, 48),
        "cls": values(1, 1, 48),
        "embedding/kernel": in_order(values(48, 3, 16, 16), "KIO"),
        "embedding/bias": values(48),
    }
    np.savez(tmp_path / "vit.npz", **arrays)
    network = load(tmp_path / "vit.npz")
    assert [layer.name for layer in network] == ["embedding"]
    assert (network["embedding"].weight.numpy() == values(48, 3, 16, 16)).all()
    reasons = {entry.name.split(".")[-2]: entry.reason for entry in network.skipped[:4]}
    assert set(reasons) == {"query", "key", "value", "out"}
    assert all("attention" in reason for reason in reasons.values())
    assert len(network.skipped) == 6


FLAX = {
    "Conv_0": {"kernel": values(3, 3, 3, 16), "bias": values(16)},
    "dw": {"kernel": values(3, 3, 1, 16), "bias": values(16)},
    "Conv_1": {"kernel": values(1, 1, 16, 32), "bias": values(32)},
    "Conv_2": {"kernel": values(3, 3, 8, 32), "bias": values(32)},
    "ConvTranspose_0": {"kernel": values(2, 2, 32, 24)},
    "ConvTranspose_1": {"kernel": values(2, 2, 12, 24), "bias": values(12)},
    "Conv_3": {"kernel": values(5, 12, 20), "bias": values(20)},
    "Conv_4": {"kernel": values(3, 3, 3, 12, 6), "bias": values(6)},
}


def test_flax_depthwise_grouped_and_transposed():
    network = load({"params": FLAX})
    about = {layer.name: (layer.groups, layer.transposed) for layer in network}
    assert about == {
        "Conv_0": (1, False),
        "dw": (16, False),
        "Conv_1": (1, False),
        "Conv_2": (4, False),
        "ConvTranspose_0": (1, True),
        "ConvTranspose_1": (1, True),
        "Conv_3": (1, False),
        "Conv_4": (1, False),
    }
    for name, layer in FLAX.items():
        kernel = layer["kernel"]
        if name == "ConvTranspose_1":  # transpose_kernel=True: H, W, outputs, inputs
            kernel = kernel.swapaxes(-1, -2)
        for o, i, k in itertools.product((0, -1), (0, -1), (0, -1)):
            space = (k, *[0] * (kernel.ndim - 3))
            assert network[name].weight[(o, i, *space)] == kernel[(*space, i, o)]
    assert any("(ConvTranspose_0): transposed, by its name" in note for note in notes(network))
    assert any("(Conv_2): grouped" in note for note in notes(network))


def test_flax_in_alphabetical_order_sees_the_image_late():
    state = {
        "Block_0": {"dw": {"kernel": values(3, 3, 1, 16)}},
        "Conv_0": {"kernel": values(3, 3, 3, 16)},
    }
    assert [layer.groups for layer in load(state)] == [16, 1]


def test_haiku_and_tensorflow_exchange_the_axes_of_transposed_kernels():
    state = {
        "conv2_d": {"w": values(3, 3, 3, 16), "b": values(16)},
        "conv2_d_transpose": {"w": values(3, 3, 8, 16), "b": values(8)},
        "conv2_d_transpose_1": {"w": values(3, 3, 9, 8)},
    }
    network = load(state)
    assert [layer.transposed for layer in network] == [False, True, True]
    up = network["conv2_d_transpose_1"].weight
    assert up.shape == (9, 8, 3, 3)
    assert up[5, 7, 1, 2] == state["conv2_d_transpose_1"]["w"][1, 2, 5, 7]
    assert any("as TensorFlow stores transposed kernels" in note for note in notes(network))


@pytest.mark.parametrize("leaf", ["depthwise_weights", "depthwise_kernel"])
def test_tensorflow_depthwise_with_a_multiplier(leaf):
    kernel = values(3, 3, 32, 2)
    network = load({"a": {"weights": values(3, 3, 3, 32)}, "b_depthwise": {leaf: kernel}})
    layer = network.layers[1]
    assert (layer.groups, layer.weight.shape) == (32, (64, 1, 3, 3))
    assert layer.weight[5 * 2 + 1, 0, 1, 2] == kernel[1, 2, 5, 1]


SPCONV = {
    "backbone_3d.conv_input.0.weight": values(16, 4, 3, 3, 3),
    "backbone_3d.conv1.0.weight": values(16, 16, 3, 3, 3),
    "backbone_3d.conv2.0.weight": values(32, 16, 3, 3, 3),
    "backbone_3d.conv_out.weight": values(32, 32, 3, 1, 1),
}
FLAT = {"backbone_2d.0.weight": values(24, 64, 3, 3), "backbone_2d.3.weight": values(24, 24, 3, 3)}


@pytest.mark.parametrize("letters", ["OKI", "KIO", "OIK"])
def test_spconv_of_both_versions_beside_convolutions_of_pytorch(letters):
    state = {key: in_order(weight, letters) for key, weight in SPCONV.items()}
    network = load(state | FLAT)
    for key, weight in (SPCONV | FLAT).items():
        assert (network[key.removesuffix(".weight")].weight.numpy() == weight).all()
    assert len(notes(network)) == (letters != "OIK")


def test_single_sparse_layer():
    network = load({"conv_input.0.weight": values(16, 3, 3, 3, 5)})
    assert network.layers[0].weight.shape == (16, 5, 3, 3, 3)
    assert "O, D, H, W, I" in notes(network)[0]


def test_minkowski_engine():
    state = {
        "conv1.kernel": values(125, 3, 32),
        "bn1.bn.weight": values(32),
        "bn1.bn.running_mean": values(32),
        "block1.0.conv1.kernel": values(27, 32, 64),
        "block1.0.downsample.0.kernel": values(32, 64),  # one position: no axis for it
        "final.kernel": values(64, 20),
        "final.bias": values(1, 20),
    }
    network = load(state)
    shapes = {layer.name: layer.weight.shape for layer in network}
    assert shapes == {
        "conv1": (32, 3, 125),
        "block1.0.conv1": (64, 32, 27),
        "block1.0.downsample.0": (64, 32, 1),
        "final": (20, 64, 1),
    }
    assert network["block1.0.conv1"].weight[7, 5, 20] == state["block1.0.conv1.kernel"][20, 5, 7]
    assert network["final"].weight[7, 5, 0] == state["final.kernel"][5, 7]
    assert "K, I, O" in notes(network)[0]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"a.weight": (3, 3, 3, 3)}, "do not distinguish from H, W, I, O"),
        ({"a.weight": (3, 3, 3), "b.weight": (3, 3, 3)}, "do not distinguish from K, I, O"),
        ({"a.kernel": (3, 3, 3, 3)}, "by the name (kernel) alone"),
        ({"a.weight": (3, 3, 3, 3, 3)}, "do not distinguish from D, H, W, I, O or O, D, H, W, I"),
    ],
)
def test_shapes_that_tell_nothing_are_said(state, said):
    network = load({key: values(*shape) for key, shape in state.items()})
    assert said in notes(network)[0]


def test_the_odd_layer_out_is_named_and_not_turned():
    state = {f"{i}.weight": values(64, 64, 3, 3) for i in range(5)}
    network = load(state | {"odd.weight": values(3, 3, 64, 128)})
    assert network["odd"].weight.shape == (3, 3, 64, 128)
    assert (
        "(odd): axes taken as O, I, H, W, although the shape looks like H, W, I, O"
        in (notes(network)[0])
    )


@pytest.mark.parametrize(
    "shapes",
    [
        [(64, 64, 1, 1), (64, 64, 1, 1)],
        [(64, 3, 7, 7), (64, 64, 3, 3)],
        [(3, 3, 1, 1), (7, 3, 7, 7), (3, 7, 3, 3)],
        [(6, 1, 5, 5), (16, 6, 5, 5)],
        [(32, 4, 8, 8), (64, 32, 4, 4), (64, 64, 3, 3)],
        [(1024, 1, 512, 1), (128, 1024, 64, 1), (128, 128, 64, 1)],
        [(32, 1, 41, 11), (32, 32, 21, 11)],
        [(64, 1, 20, 5), (64, 1, 3, 3), (64, 64, 1, 1), (3, 64, 1, 1)],
        [(258, 1, 256), (16, 258, 1), (16, 16, 3)],
        [(512, 1, 10), (512, 512, 3), (768, 48, 128)],
        [(64, 3, 3, 7, 7), (144, 64, 1, 3, 3), (64, 144, 3, 1, 1)],
        [(32, 1, 3, 3, 1), (64, 32, 3, 3, 1), (64, 64, 3, 3, 3)],
        [(64, 256, 14, 14)],
        [(768, 3, 16, 16)],
        [(1, 64, 3, 3), (2, 64, 1, 1)],
        [(1, 1, 5), (1, 1, 7)],
    ],
)
def test_orders_of_pytorch_stay_and_nothing_is_said(shapes):
    state = {f"{i}.weight": values(*shape) for i, shape in enumerate(shapes)}
    state |= {"head.conv.weight": values(64, 64, 3, 3), "x.weight": values(8, 64, 3)}
    network = load(state)
    for layer in network:
        assert (layer.weight.numpy() == state[f"{layer.name}.weight"]).all()
    assert not [note for note in notes(network) if "axes" in note]


TEXTS = {
    "words": [(100, 1, side, 300) for side in (3, 4, 5)],
    "vectors as long as filters": [(64, 1, side, 64) for side in (1, 2, 3)],
    "static and trained": [(100, 2, side, 300) for side in (2, 3, 4)],
    "purchases": [(4, 1, 5, 1), *[(16, 1, side, 50) for side in (1, 2, 3, 4, 5)]],
    "series": [(32, 7, side) for side in (40, 20, 10)],
    "strips": [(64, 3, 3, 3), (64, 1, 1, 7), (64, 1, 7, 1), (64, 1, 1, 21)],
}


@pytest.mark.parametrize("shapes", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("kind", ["state dict", "torch", "pt", "mlx"])
def test_a_stated_order_is_believed(tmp_path, kind, shapes):
    arrays = {f"convs.{i}.weight": values(*shape) for i, shape in enumerate(shapes)}
    table = {"the_table_of_words.weight": values(500, shapes[-1][-1])}
    state = {key: torch.from_numpy(array) for key, array in (table | arrays).items()}
    if kind == "mlx":
        stored = {key: in_order(array, "OKI") for key, array in arrays.items()}
        save_file(stored | table, tmp_path / "m.safetensors", {"format": "mlx"})
    elif kind == "pt":
        save_file(arrays | table, tmp_path / "m.safetensors", {"format": "pt"})
    elif kind == "torch":
        torch.save(state, tmp_path / "m.safetensors")
    network = load(state if kind == "state dict" else tmp_path / "m.safetensors")
    for layer in network:
        assert (layer.weight.numpy() == arrays[f"{layer.name}.weight"]).all()
    assert not any("against" in note for note in network.assumptions)


@pytest.mark.parametrize("letters", ["OKI", "KIO"])
def test_a_stated_order_that_no_network_has_is_overruled(letters):
    state = {
        f"{key}.weight": torch.from_numpy(np.ascontiguousarray(in_order(weight, letters)))
        for key, weight in RESNET.items()
    }
    network = load(state)
    for layer in network:
        assert (layer.weight.numpy() == RESNET[layer.name]).all()
    assert "as the shapes show" in notes(network)[0]
    one = {"a.weight": values(32, 3, 3, 16), "b.weight": values(32, 32, 1, 1)}
    network = load({key: torch.from_numpy(array) for key, array in one.items()})
    assert network["a"].weight.shape == (32, 3, 3, 16)
    assert "(a): axes taken as O, I, H, W, although the shape looks like" in notes(network)[0]


def test_sparse_planes_beside_dense_ones():
    sparse = {"a.0.conv1": values(32, 32, 3, 3), "a.0.conv2": values(64, 32, 3, 3),
              "a.0.down": values(64, 32, 1, 1)}  # fmt: skip
    dense = {"neck.0": values(64, 64, 3, 3), "neck.1": values(8, 64, 1, 1)}
    stored = {key: in_order(weight, "OKI") for key, weight in sparse.items()} | dense
    network = load({f"{key}.weight": torch.from_numpy(array) for key, array in stored.items()})
    for layer in network:
        assert (layer.weight.numpy() == (sparse | dense)[layer.name]).all()
    assert "part of sparse convolutions" in notes(network)[0]


# an axis more than the convolution's


def state_of(**shapes):
    return {f"{k.replace('__', '.')}.weight": torch.from_numpy(values(*s))
            for k, s in shapes.items()}  # fmt: skip


@pytest.mark.parametrize(
    "state",
    [
        state_of(conv=(1, 64, 32, 3, 3)),
        state_of(conv=(1, 16, 8, 3, 3), conv__modulation=(8, 512)),
        state_of(modulated_conv=(1, 3, 8, 1, 1)),
    ],
)
def test_modulated_convolutions_lose_their_first_axis(state):
    network = load(state)
    stored = next(iter(state.values()))
    assert torch.equal(network.layers[0].weight, stored[0])
    assert any("modulated" in note for note in network.assumptions)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (state_of(a=(16, 3, 3, 3), b=(4, 64, 32, 3, 3), c=(4, 32, 3, 3, 3)), "experts"),
        ({"a": {"w": values(3, 3, 3, 64)}, "b": {"w": values(6, 3, 3, 64, 64)}}, "6 layers"),
        ({"a": {"w": values(3, 3, 3, 64)},
          "layer_stack": {"w": values(3, 3, 3, 16, 24)}}, "3 layers of a loop"),
        ({"a": {"kernel": values(3, 3, 3, 64)},
          "b": {"kernel": values(6, 3, 64, 64), "bias": values(6, 64)}}, "6 layers of a loop"),
    ],
)  # fmt: skip
def test_experts_and_loops_are_left_out_unless_layout_names_them(state, reason):
    network = load(state)
    assert [layer.name for layer in network] == ["a"]
    assert all(reason in entry.reason for entry in network.skipped)


def test_a_layout_of_volumes_is_believed():
    stack = {"b.weight": torch.from_numpy(values(4, 64, 32, 3, 3))}
    assert load(stack, layout="OIDHW").layers[0].weight.shape == (4, 64, 32, 3, 3)
    assert load(stack, layout={"b": "OIDHW"}).layers[0].weight.shape == (4, 64, 32, 3, 3)


def test_volumes_stay_volumes():
    shapes = {"a": (32, 3, 3, 7, 7), "b": (64, 32, 1, 3, 3), "c": (64, 64, 3, 1, 1),
              "d": (1, 64, 3, 3, 3), "e": (4, 64, 1, 1, 1), "f": (128, 1, 32, 4, 4),
              "g": (8, 1, 7, 3, 3)}  # fmt: skip
    network = load(state_of(**shapes))
    assert {layer.name: layer.weight.shape for layer in network} == shapes


class ModulatedConv2d(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1, 8, 8, 3, 3))


def test_modulated_modules(tmp_path):
    network = torch.nn.Sequential(ModulatedConv2d(), torch.nn.Conv3d(3, 8, 3))
    torch.save(network, tmp_path / "m.pt")
    for source in (network, tmp_path / "m.pt"):
        assert [layer.weight.ndim for layer in load(source)] == [4, 5]


def test_projections_of_attention_and_linear_layers_in_loops():
    state = {
        "conv": values(3, 3, 3, 64), "block.query": values(3, 64, 4, 16),
        "block.key": values(3, 64, 4, 16), "block.value": values(3, 64, 4, 16),
        "block.out": values(3, 4, 16, 64), "block.Dense_0": values(3, 64, 128),
        "q_proj": values(64, 4, 16), "a.qkv": values(64, 3, 4, 16), "a.proj": values(4, 16, 64),
        "attn.q_einsum": values(8, 64, 32),
    }  # fmt: skip
    network = load({f"{name}.kernel": array for name, array in state.items()})
    assert [layer.name for layer in network] == ["conv"]
    reasons = {entry.name.removesuffix(".kernel"): entry.reason for entry in network.skipped}
    assert set(reasons) == set(state) - {"conv"}
    assert all("attention" in reason or "linear" in reason for reason in reasons.values())


def test_attention_over_one_position_is_convolution():
    parts = {part: {"kernel": values(1, 1, 64, 8)} for part in ("query", "key", "value")}
    assert len(load({"sa": parts, "conv": {"kernel": values(3, 3, 64, 64)}})) == 4


@settings(deadline=None, max_examples=60)
@given(
    letters=st.sampled_from(["OIK", "KIO", "OKI"]),
    leaf=st.sampled_from(["weight", "kernel"]),
    widths=st.lists(st.sampled_from([8, 12, 16, 20, 24, 32, 48]), min_size=1, max_size=5),
    sides=st.lists(st.sampled_from([1, 2, 3, 3, 5]), min_size=5, max_size=5),
    ndim=st.integers(3, 5),
    colours=st.sampled_from([1, 3, 4]),
    with_bias=st.booleans(),
)
def test_chains_in_any_order_are_read_right_or_the_doubt_is_said(
    letters, leaf, widths, sides, ndim, colours, with_bias
):
    state, expected, seen = {}, {}, colours
    for index, (width, side) in enumerate(zip(widths, sides, strict=False)):
        weight = values(width, seen, *[side if ndim < 5 else min(side, 3)] * (ndim - 2))
        state[f"l{index}.{leaf}"] = weight.transpose(np.argsort(Order(letters).axes(ndim)))
        if with_bias:
            state[f"l{index}.bias"] = values(width)
        expected[f"l{index}"], seen = weight, width
    network = load(state)
    right = all(
        layer.weight.shape == expected[layer.name].shape
        and (layer.weight.numpy() == expected[layer.name]).all()
        for layer in network
    )
    assert right or any("axes taken as" in note for note in notes(network))
    usual = leaf == "weight" or letters == "KIO"
    assert right or not usual or len(widths) < 3


# the option


ODD = {"a.weight": values(5, 4, 3, 2), "up.weight": values(5, 4, 3, 2)}


@pytest.mark.parametrize(
    ("layout", "axes"),
    [
        ("OIHW", (0, 1, 2, 3)),
        ("hwio", (3, 2, 0, 1)),
        ("WIO", (3, 2, 0, 1)),
        ("DHWIO", (3, 2, 0, 1)),
        ("OHWI", (0, 3, 1, 2)),
        ("IOHW", (1, 0, 2, 3)),
        ("WHIO", (3, 2, 1, 0)),
        ("HIWO", (3, 1, 0, 2)),
        ("ABIO", (3, 2, 0, 1)),
    ],
)
def test_layout_for_all_layers(layout, axes):
    network = load(ODD, layout=layout)
    for layer in network:
        assert (layer.weight.numpy() == ODD[f"{layer.name}.weight"].transpose(axes)).all()
    assert notes(network) == []


def test_layout_by_pattern_leaves_the_others_alone():
    network = load(ODD, layout={"u*": "HWIO"})
    assert network["up"].weight.shape == (2, 3, 5, 4)
    assert network["a"].weight.shape == (5, 4, 3, 2)


def test_layout_of_transposed_layers():
    """Exchanged in PyTorch's and TensorFlow's orders, as these libraries store them."""
    shapes = {
        layout: load(ODD, layout=layout, transposed="up")["up"].weight.shape
        for layout in ("OIHW", "HWIO", "OHWI")
    }
    assert shapes == {"OIHW": (4, 5, 3, 2), "HWIO": (3, 2, 5, 4), "OHWI": (5, 2, 4, 3)}


def test_layout_wins_over_headers_classes_and_conventions(tmp_path):
    save_file({"a.weight": values(8, 3, 3, 4)}, tmp_path / "m.safetensors", {"format": "mlx"})
    assert load(tmp_path / "m.safetensors", layout="HWIO")["a"].weight.shape == (4, 3, 8, 3)
    np.savez(tmp_path / "m.npz", mine=values(9, 4, 8))
    assert load(tmp_path / "m.npz")["mine"].weight.shape == (8, 9, 2, 2)
    assert load(tmp_path / "m.npz", layout="KIO")["mine"].weight.shape == (8, 4, 9)
    array = values(3, 3, 4, 8)
    assert (
        load(array, layout="HWIO").layers[0].weight.numpy() == array.transpose(3, 2, 0, 1)
    ).all()
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["conv2d/kernel:0"] = values(5, 4, 3, 2)
    assert load(tmp_path / "m.h5").layers[0].weight.shape == (2, 3, 5, 4)
    turned = load(tmp_path / "m.h5", layout="OIHW").layers[0].weight
    assert (turned.numpy() == values(5, 4, 3, 2)).all()


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("NCHW", "'NCHW' is not an order of axes"),
        ("OI", "'OI' is not an order"),
        ("OIIHW", "is not an order"),
        ("OIDHWT", "is not an order"),
        ("O,I,H,W", "is not an order"),
        ("", "is not an order"),
        ("O\nIH", "is not an order"),
        (3, "layout is int; give a text such as HWIO"),
        (["HWIO"], "layout is list"),
        ({"a": 3}, "layout int is not an order"),
        ({"z*": "HWIO"}, r"no layer matches 'z\*'; the first layers are a, up"),
        ({3: "HWIO"}, "no layer matches 3"),
    ],
)
def test_wrong_layouts_are_one_line(layout, message):
    with pytest.raises(SourceError, match=message) as caught:
        load(ODD, layout=layout)
    assert "\n" not in str(caught.value)


def test_layout_that_does_not_fit_a_layer():
    with pytest.raises(SourceError, match=r"layer 'c' of shape \(3, 4, 5\) cannot have .* HIWO"):
        load(ODD | {"c.weight": values(3, 4, 5)}, layout="HIWO")


def test_parsed_orders_name_their_axes():
    assert parse_order(" ohwi ").named(4) == "O, H, W, I"
    assert [Order("KIO").named(ndim) for ndim in (3, 4, 5)] == [
        "K, I, O",
        "H, W, I, O",
        "D, H, W, I, O",
    ]


def test_pickled_sparse_modules_are_read_by_their_shapes(tmp_path, monkeypatch):
    """A class of spconv is no promise of PyTorch's order."""
    kind = type("SubMConv3d", (torch.nn.Module,), {"__module__": "spconv"})
    library = ModuleType("spconv")
    library.SubMConv3d = kind
    monkeypatch.setitem(sys.modules, "spconv", library)
    module = kind()
    module.weight = torch.nn.Parameter(torch.from_numpy(values(16, 3, 3, 3, 4)))
    module.kernel_size, module.groups, module.transposed = [3, 3, 3], 1, False
    torch.save(torch.nn.Sequential(module, torch.nn.Conv2d(3, 8, 3)), tmp_path / "m.pt")
    for source in (tmp_path / "m.pt", module):
        assert load(source).layers[0].weight.shape == (16, 4, 3, 3, 3)
    assert load(tmp_path / "m.pt").layers[1].weight.shape == (8, 3, 3, 3)
