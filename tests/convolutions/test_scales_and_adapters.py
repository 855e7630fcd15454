"""Weights that need tensors next to them: scales of one-byte weights, low-rank adapters."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from cwda.errors import UnreadableError
from cwda.loading import load

WEIGHT = torch.randn(64, 32, 3, 3, generator=torch.Generator().manual_seed(0)) * torch.linspace(
    0.1, 5, 64
).view(-1, 1, 1, 1)
LARGEST = WEIGHT.abs().amax((1, 2, 3), keepdim=True)
BLOCKS = WEIGHT.view(4, 16, 2, 16, 3, 3).abs().amax((1, 3, 4, 5))


def eight_bits(scale, integer=False):
    if integer:
        return (WEIGHT / scale).round().to(torch.int8)
    return (WEIGHT / scale).to(torch.float8_e4m3fn)


def close(layer, tolerance=0.07):
    assert layer.weight.dtype == torch.float32
    error = (layer.weight - WEIGHT).abs().amax((1, 2, 3)) / LARGEST.flatten()
    return error.max() < tolerance


@pytest.mark.parametrize(
    "name",
    ["weight_scale", "weight_scale_inv", "scale", "weight.scale", "scale_weight", "_scale"],
)
@pytest.mark.parametrize("shape", [(64, 1, 1, 1), (64,), (64, 1)])
@pytest.mark.parametrize("integer", [True, False])
def test_scales_of_filters(tmp_path, name, shape, integer):
    scale = LARGEST / (127 if integer else 448)
    state = {"a.weight": eight_bits(scale, integer), f"a.{name}": scale.reshape(shape)}
    save_file(state, tmp_path / "m.safetensors")
    for source in (state, tmp_path / "m.safetensors"):
        network = load(source)
        assert close(network["a"])
        assert "times the scales next to them, one per filter" in network.assumptions[0]
        assert network.skipped == ()


@pytest.mark.parametrize(
    "name",
    [
        "weights_scaling_factor",
        "weight_scaler",
        "weight_quantizer._scale",
        "weight_quantizer.scale",
        "kernel_scale",
        "scale_w",
        "_weight_scale",
        "deq_scale",
    ],
)
@pytest.mark.parametrize("shape", [(64, 1, 1, 1), (64,), (1, 64)])
def test_scales_by_names_of_many_quantisers(name, shape):
    scale = LARGEST / 448
    others = {"a.input_scale": torch.ones(()), "a.bias": torch.ones(64), "a.scale": torch.ones(())}
    if "weight" not in name:
        del others["a.scale"]  # of the activations, beside one that names the weight
    state = {"a.weight": eight_bits(scale), f"a.{name}": scale.reshape(shape)}
    for source in (state | others, {"m": state}):
        network = load(source)
        assert [layer.name for layer in network] == ["a"]
        assert close(network["a"])


def test_scales_in_a_dictionary_of_their_own():
    scale = LARGEST / 448
    network = load({"model": {"a.weight": eight_bits(scale)}, "scales": {"a.weight": scale}})
    assert [layer.name for layer in network] == ["a"]
    assert close(network["a"])


def test_scales_in_a_row_follow_the_filters_in_every_order_of_axes():
    weight = torch.randn(64, 64, 3) * torch.linspace(0.1, 5, 64).view(-1, 1, 1)
    scale = weight.abs().amax((1, 2), keepdim=True) / 448
    small = (weight / scale).to(torch.float8_e4m3fn)
    state = {"a.kernel": small.permute(2, 1, 0).contiguous(), "a.scale": scale.flatten()}
    network = load(state)
    assert torch.equal(network["a"].weight, small.float() * scale)
    assert "one per filter" in network.assumptions[0]


def test_scales_in_a_row_of_transposed_layers_follow_the_filters():
    weight = torch.randn(32, 32, 3, 3) * torch.linspace(0.1, 5, 32).view(1, -1, 1, 1)
    scale = weight.abs().amax((0, 2, 3), keepdim=True) / 127
    small = (weight / scale).round().to(torch.int8)
    network = load({"up.weight": small, "up.weight_scale": scale.flatten()}, transposed="up")
    torch.testing.assert_close(network["up"].weight, (small.float() * scale).transpose(0, 1))


def test_scales_of_modules_in_memory():
    part = nn.Conv2d(32, 64, 3, bias=False)
    part.weight = nn.Parameter(eight_bits(LARGEST / 448), requires_grad=False)
    part.register_buffer("weight_scale", LARGEST / 448)
    assert close(load(nn.Sequential(part))["0"])


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"weight_scale": LARGEST, "weight_scale_inv": 1 / LARGEST}, "2 scales: weight_scale, we"),
        ({"scale": LARGEST, "scale_inv": 1 / LARGEST}, "2 scales"),
        ({"weight_amax": LARGEST}, "next to it lies weight_amax, which may be a scale"),
        ({"weight.absmax": LARGEST.flatten()}, "which may be a scale"),
        ({"step": torch.ones(64)}, "next to it lies step"),
        ({"weight_scale": torch.ones(64, dtype=torch.uint8)}, "weight_scale is of type uint8"),
        ({"weight_scale": torch.ones(3)}, "3 scales for 64 x 32 x 3 x 3 weights"),
    ],
)
def test_scales_that_leave_a_doubt_are_named(others, words):
    state = {"a.weight": eight_bits(LARGEST / 448), **{f"a.{k}": v for k, v in others.items()}}
    with pytest.raises(UnreadableError, match=f"a.weight .*quantised.*{words}"):
        load(state)
    network = load({**state, "b.weight": WEIGHT})
    assert [layer.name for layer in network] == ["b"]


@pytest.mark.parametrize("name", ["weight._data", "_weight_qdata", "weight.qdata"])
@pytest.mark.parametrize("integer", [True, False])
def test_values_under_names_of_quantisers_are_named(name, integer):
    state = {f"a.{name}": eight_bits(LARGEST / 127, integer), "a.weight._scale": LARGEST}
    with pytest.raises(UnreadableError, match="quantised"):
        load(state)


def test_scales_beside_weights_that_need_none_are_no_layers():
    state = {"a.weight": WEIGHT, "a.scale_weight": LARGEST, "a.scale_w": LARGEST}
    network = load(state)
    assert [layer.name for layer in network] == ["a"]
    assert {entry.reason for entry in network.skipped} == {"a scale, not weights"}


@pytest.mark.parametrize(
    ("scale", "spread", "words"),
    [
        (WEIGHT.abs().max() / 448, lambda s: s, "one for the whole tensor"),
        (WEIGHT.abs().amax((0, 2, 3), keepdim=True) / 448, lambda s: s, "one per input channel"),
        (
            BLOCKS / 448,
            lambda s: s.repeat_interleave(16, 0).repeat_interleave(16, 1)[..., None, None],
            "one per block of 16 x 16 x 3 x 3",
        ),
    ],
)
def test_other_scales(scale, spread, words):
    quantised = (WEIGHT / spread(scale)).to(torch.float8_e4m3fn)
    network = load({"a": {"weight": quantised, "weight_scale": scale.bfloat16().float()}})
    torch.testing.assert_close(
        network["a"].weight, quantised.float() * spread(scale.bfloat16().float())
    )
    assert words in network.assumptions[0]


def test_zero_points():
    low, high = WEIGHT.amin((1, 2, 3), keepdim=True), WEIGHT.amax((1, 2, 3), keepdim=True)
    scale = (high - low) / 255
    zero = (-low / scale).round()
    state = {
        "a.weight": (WEIGHT / scale + zero).round().clamp(0, 255).to(torch.uint8),
        "a.weight_scale": scale.flatten(),
        "a.weight_zero_point": zero.flatten().to(torch.int32),
    }
    network = load(state)
    assert close(network["a"], 0.02)
    assert "less their zero points" in network.assumptions[0]
    del state["a.weight_zero_point"]
    with pytest.raises(UnreadableError, match=r"no zero point.*before quantisation"):
        load(state)


@pytest.mark.parametrize(
    "others",
    [
        {"a.weight_scale": torch.ones(50)},
        {"a.weight_scale": torch.ones(5, 7, 1, 1)},
        {"a.weight_scale": torch.ones(2, 1), "a.weight_scale_2": torch.ones(())},
        {"a.weight_scale": torch.ones(64, 1, 1, 1, device="meta")},
        {"a.weight_scale": torch.ones(64), "a.weight_zero_point": torch.ones(3)},
    ],
)
def test_scales_that_do_not_fit_refuse_the_layer_alone(others):
    state = {"a.weight": eight_bits(LARGEST / 127, True), "b.weight": WEIGHT, **others}
    network = load(state)
    assert [layer.name for layer in network] == ["b"]
    assert [e.name for e in network.skipped if "quantised" in e.reason] == ["a.weight"]


def test_without_a_scale():
    state = {
        "float.weight": eight_bits(LARGEST / 448),
        "int.weight": eight_bits(LARGEST / 127, True),
    }
    network = load(state)
    assert torch.equal(network["float"].weight, state["float.weight"].float())
    assert "8-bit floats as stored" in network.assumptions[0]
    assert "int8 without a scale; quantised" in network.skipped[0].reason


def factors(rank=4, down=(8, 3, 3), up=(16, 1, 1)):
    return torch.randn(rank, *down) / 10, torch.randn(up[0], rank, *up[1:]) / 10


BASE = torch.randn(16, 8, 3, 3)


def branch(down, up, mid=None):
    """What an adapter adds to an output, as its own convolutions compute it."""
    x = torch.randn(1, 8, 9, 9, dtype=torch.float64)
    hidden = F.conv2d(x, down.double())
    if mid is not None:
        hidden = F.conv2d(hidden, mid.double())
    return x, F.conv2d(hidden, up.double())


@pytest.mark.parametrize("tucker", [False, True])
@pytest.mark.parametrize("alpha", [2.0, None])
def test_adapters_are_added_where_their_scale_is_known(tucker, alpha):
    down, up = factors(down=(8, 1, 1) if tucker else (8, 3, 3))
    state = {"a.weight": BASE, "a.lora_down.weight": down, "a.lora_up.weight": up}
    mid = torch.randn(4, 4, 3, 3) if tucker else None
    if tucker:
        state["a.lora_mid.weight"] = mid
    if alpha is not None:
        state["a.alpha"] = torch.tensor(alpha)
    network = load(state)
    x, change = branch(down, up, mid)
    expected = F.conv2d(x, BASE.double()) + (1 if alpha is None else alpha / 4) * change
    torch.testing.assert_close(
        F.conv2d(x, network["a"].weight.double()), expected, rtol=1e-5, atol=1e-5
    )
    assert "low-rank adapter" in network.assumptions[0]
    assert network.skipped == ()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "does not state its scale"),
        ({"m.a.lora_A.other.weight": factors()[0]}, "the source has several"),
        ({"m.a.lora_magnitude_vector.default.weight": torch.ones(1, 16, 1, 1)}, "DoRA"),
        ({"m.a.lora_alpha": torch.tensor(2.0), "m.a.base_layer.weight": BASE[:5]}, "do not fit"),
    ],
)
def test_adapters_that_cannot_be_added(more, words):
    down, up = factors()
    state = {
        "m.a.base_layer.weight": BASE,
        "m.a.lora_A.default.weight": down,
        "m.a.lora_B.default.weight": up,
        "m.b.weight": BASE.clone(),
        **more,
    }
    network = load(state)
    assert [layer.name for layer in network] == ["m.a", "m.b"]
    assert torch.equal(network["m.a"].weight, state["m.a.base_layer.weight"])
    assert words in network.assumptions[0]
    assert all("low-rank adapter" in entry.reason for entry in network.skipped)


@pytest.mark.parametrize(
    "state",
    [
        {"lora_unet_a.lora_down.weight": BASE, "lora_unet_a.lora_up.weight": BASE},
        {"a.lora.down.weight": BASE, "a.lora.up.weight": BASE},
        {"a.hada_t1": BASE, "a.hada_w1_a": torch.ones(4, 4)},
        {"a.lokr_w2": BASE},
    ],
)
def test_adapters_alone_are_no_network(state):
    with pytest.raises(UnreadableError, match=r"low-rank adapter.*merged"):
        load(state)


class Adapted(nn.Module):
    """As peft's layer of a convolution keeps it."""

    def __init__(self):
        super().__init__()
        down, up = nn.Conv2d(8, 4, 3, bias=False), nn.Conv2d(4, 16, 1, bias=False)
        self.base_layer = nn.Conv2d(8, 16, 3)
        self.lora_A, self.lora_B = nn.ModuleDict({"x": down}), nn.ModuleDict({"x": up})
        self.scaling, self.active_adapters = {"x": 0.5}, ["x"]
        self.merged = False

    def forward(self, x):
        change = self.lora_B["x"](self.lora_A["x"](x)) * self.scaling["x"]
        return self.base_layer(x) + (0 if self.merged else change)


@pytest.mark.parametrize("merged", [True, False])
def test_adapters_in_memory(merged):
    module = nn.Sequential(Adapted()).double()
    module[0].merged = merged
    layer = load(module)["0"]
    x = torch.randn(1, 8, 9, 9, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(F.conv2d(x, layer.weight, module[0].base_layer.bias), module(x))


class Merging(nn.Conv2d):
    """As loralib's first convolution: a subclass that adds the factors to its weight."""

    def __init__(self, merged=False):
        super().__init__(8, 16, 3)
        self.lora_A = nn.Parameter(torch.randn(12, 8 * 3))
        self.lora_B = nn.Parameter(torch.randn(16 * 3, 12))
        self.scaling, self.merged = 2.0, merged

    def change(self):
        return (self.lora_B @ self.lora_A).view(self.weight.shape) * self.scaling

    def forward(self, x):
        return F.conv2d(x, self.weight + (0 if self.merged else self.change()), self.bias)


class Branching(nn.Conv2d):
    """A subclass that adds what its factors make of the input."""

    def __init__(self):
        super().__init__(8, 16, 3)
        self.lora_A = nn.Conv2d(8, 4, 3, bias=False)
        self.lora_B = nn.Conv2d(4, 16, 1, bias=False)
        self.scaling = 0.5

    def forward(self, x):
        return super().forward(x) + self.lora_B(self.lora_A(x)) * self.scaling


class Injected(nn.Module):
    """As cloneofsimo/lora keeps it: the scale is a number of the module."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 16, 3)
        self.lora_down = nn.Conv2d(8, 4, 3, bias=False)
        self.lora_up = nn.Conv2d(4, 16, 1, bias=False)
        self.scale = 0.3

    @property
    def bias(self):
        return self.conv.bias

    def forward(self, x):
        return self.conv(x) + self.lora_up(self.lora_down(x)) * self.scale


@pytest.mark.parametrize("kind", [Merging, lambda: Merging(True), Branching, Injected])
def test_adapters_in_memory_are_added_once(kind):
    module = nn.Sequential(kind()).double()
    network = load(module)
    (layer,) = network.layers
    x = torch.randn(1, 8, 9, 9, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(F.conv2d(x, layer.weight, module[0].bias), module(x))
    assert "no alpha" not in str(network.assumptions)


def test_groups_of_convolutions_of_other_classes():
    class Deformable(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel_size, self.groups = (3, 3), 4
            self.weight, self.bias = nn.Parameter(torch.randn(16, 4, 3, 3)), None

    network = load(nn.Sequential(Deformable()))
    assert network["0"].groups == 4
    assert "groups" not in str(network.assumptions)


def test_adapters_of_quantised_weights_are_added_after_the_scales():
    down, up = factors(down=(32, 3, 3), up=(64, 1, 1))
    scale, state = LARGEST / 448, {"a.lora_down.weight": down, "a.lora_up.weight": up}
    state |= {"a.weight": eight_bits(scale), "a.weight_scale": scale.flatten()}
    expected = state["a.weight"].float() * scale + torch.einsum(
        "or,rikl->oikl", up[..., 0, 0], down
    )
    torch.testing.assert_close(load(state)["a"].weight, expected)
