"""Weights of shape (C, 1, k, k): depthwise, or the first layer of an input of one channel."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import nn

from cwda.loading import load


def state(**shapes):
    return {f"{k.replace('__', '.')}.weight": torch.zeros(s) for k, s in shapes.items()}


def depthwise(network):
    return [layer.name for layer in network if layer.groups == layer.n_filters > 1]


INPUTS = {
    "two encoders": state(
        **{f"{x}__1": (32, 1, 3, 3) for x in "a"}, a__2=(64, 32, 3, 3), b__1=(32, 1, 3, 3),
        b__2=(64, 32, 3, 3),
    ),
    "kernels of two sizes": state(
        a__1=(32, 1, 3, 3), a__2=(32, 32, 3, 3), b__1=(32, 1, 5, 5), b__2=(32, 32, 5, 5),
        fuse=(64, 64, 1, 1),
    ),
    "list of encoders": state(
        e__0__1=(32, 1, 3, 3), e__0__2=(64, 32, 3, 3), e__1__1=(32, 1, 3, 3),
        e__1__2=(64, 32, 3, 3), e__2__1=(32, 1, 3, 3), e__2__2=(64, 32, 3, 3), head=(9, 192, 1, 1),
    ),
    "words": state(c__0=(100, 1, 3, 300), c__1=(100, 1, 4, 300), c__2=(100, 1, 5, 300)),
    "side by side": state(a=(32, 1, 3), b=(32, 1, 5), c=(32, 1, 7), fuse=(64, 96, 3)),
    "colour and depth": state(
        rgb__1=(64, 3, 7, 7), rgb__2=(128, 64, 3, 3), rgb__3=(64, 128, 3, 3),
        depth__1=(64, 1, 7, 7), depth__2=(128, 64, 3, 3), depth__3=(64, 128, 3, 3),
    ),
    "colour and another": state(
        rgb__1=(64, 3, 7, 7), rgb__2=(256, 64, 3, 3), d__1=(16, 1, 7, 7), d__2=(32, 16, 3, 3)
    ),
    "named as the first": state(
        rgb__0=(32, 3, 3, 3), rgb__1=(64, 32, 3, 3), thermal__0=(64, 1, 3, 3),
        thermal__1=(64, 64, 3, 3),
    ),
    "image, then wave": state(
        v__0=(64, 3, 7, 7), v__1=(512, 64, 3, 3), a__0=(512, 1, 10), a__1=(512, 512, 3)
    ),
    "disparity": state(
        f__0=(64, 3, 7, 7), f__1=(64, 64, 3, 3), u__c1=(64, 64, 1, 1), u__d1=(64, 1, 7, 7),
        u__d2=(64, 64, 3, 3),
    ),
    "after a map": state(a__0=(16, 3, 3, 3), a__1=(1, 16, 3, 3), a__2=(8, 1, 3, 3)),
    "generator and critic": {
        "g": state(a__0=(64, 9, 4, 4), a__1=(1, 64, 4, 4)), "d": state(b__0=(64, 1, 4, 4)),
    },
}  # fmt: skip


@pytest.mark.parametrize("source", INPUTS.values(), ids=INPUTS)
def test_inputs_of_one_channel(source):
    network = load(source)
    assert depthwise(network) == []
    assert any("a filter sees one channel, but" in note for note in network.assumptions)


@pytest.mark.parametrize(
    "source",
    [
        state(a=(32, 1, 3, 3), b=(32, 4, 3, 3), c=(10, 32, 1, 1)),  # groups of 4 channels
        state(a=(8, 1, 3, 3), b=(4, 8, 3, 3), c=(8, 4, 3, 3)),  # 4 channels between
        state(a=(64, 1, 3, 3), b=(3, 64, 1, 1), c=(64, 3, 1, 1)),
        state(a=(64, 1, 16), b=(64, 4, 3), c=(8, 64, 1)),
    ],
)
def test_a_few_channels_inside_a_network_are_no_image(source):
    assert depthwise(load(source)) == []


@pytest.mark.parametrize(
    ("source", "groups"),
    [
        (state(a=(32, 3, 3, 3), b=(64, 1, 3, 3), c=(64, 64, 1, 1)), [1, 32, 1]),
        (
            state(a=(8, 1, 1, 64), b=(16, 1, 22, 1), c=(16, 1, 1, 16), d=(16, 16, 1, 1)),
            [1, 8, 16, 1],
        ),
        (state(a=(32, 3, 3, 3), b=(64, 32, 1, 1), c=(64, 1, 3, 3)), [1, 1, 64]),
    ],
)
def test_several_filters_a_channel(source, groups):
    network = load(source)
    assert [layer.groups for layer in network] == groups
    assert all("groups= corrects it" in note for note in network.assumptions if "sees" in note)


def test_a_convolution_between_linear_layers_is_depthwise():
    block = {"in_proj.weight": (256, 64), "conv1d.weight": (128, 1, 4), "out.weight": (64, 128)}
    source = {f"{i}.{key}": torch.zeros(shape) for i in "012" for key, shape in block.items()}
    assert [layer.groups for layer in load(source)] == [128, 128, 128]
    words = {"embedding.weight": torch.zeros(50, 128)} | state(c__0=(128, 1, 3, 128))
    assert [layer.groups for layer in load(words)] == [1]


LAYERS = {
    "grey, then depthwise": (state(a=(16, 1, 3, 3), b=(16, 1, 3, 3), c=(32, 16, 1, 1)), ["b"]),
    "grey, of one width": (
        state(
            f__0__0=(32, 1, 3, 3), f__1__0=(32, 1, 3, 3), f__1__3=(32, 32, 1, 1),
            f__2__0=(32, 1, 3, 3), f__2__3=(32, 32, 1, 1),
        ),
        ["f.1.0", "f.2.0"],
    ),
    "two filters a channel": (
        state(conv1=(8, 1, 1, 64), conv2=(16, 1, 22, 1), conv3=(16, 1, 1, 16), c4=(16, 16, 1, 1)),
        ["conv3"],
    ),
    "called so": (state(dwconv=(8, 1, 3, 3), b=(16, 8, 1, 1)), ["dwconv"]),
}  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), LAYERS.values(), ids=LAYERS)
def test_depthwise_layers(source, expected):
    assert depthwise(load(source)) == expected


@pytest.mark.parametrize("swapped", [True, False])
def test_the_first_of_two_names_decides_nothing(swapped):
    tensor, first = torch.zeros(16, 1, 3, 3), ("x.a.weight", "z.d.weight")
    one, other = reversed(first) if swapped else first
    network = load({one: tensor, "y.c.weight": torch.zeros(16, 16, 3, 3), other: tensor})
    assert [layer.groups for layer in network] == [1, 1]


@pytest.mark.parametrize(
    "name",
    [
        *("mobilenet_v2", "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_b0", "convnext_tiny"),
        *("timm:convmixer_768_32", "timm:legacy_xception", "timm:mobileone_s0"),
        *("timm:xcit_nano_12_p8_224", "timm:twins_pcpvt_small", "timm:ghostnet_100"),
    ],
)
@pytest.mark.parametrize("in_order", [True, False], ids=["in order", "sorted"])
def test_published_networks(name, in_order):
    """Their state dicts alone, against what their modules say."""
    check_state_dict(name, in_order)


@pytest.mark.parametrize(
    "name",
    ["resnext50_32x4d", "efficientnet_b0", "convnext_atto", "mobileone_s0", "repvgg_a0",
     "edgenext_xx_small", "mobilenetv3_small_050"],
)  # fmt: skip
def test_published_networks_of_grey_images(name):
    check_state_dict(f"timm:{name}", True, in_chans=1)


def check_state_dict(name, in_order, **options):
    with torch.device("meta"):
        kind, _, model = name.rpartition(":")
        build = timm.create_model if kind else torchvision.models.get_model
        module = build(model, **options)
    parts = {n: p for n, p in module.named_modules() if isinstance(p, nn.Conv2d)}
    keys = [f"{part}.weight" for part in parts]
    source = {
        key: torch.empty(parts[key.removesuffix(".weight")].weight.shape, dtype=torch.float16)
        for key in (keys if in_order else sorted(keys))
    }
    expected = {n for n, p in parts.items() if p.groups == p.in_channels > 1}
    assert {layer.name for layer in load(source) if layer.groups > 1} == expected


def test_where_all_layers_see_one_channel_no_branch_is_named():
    source = state(a=(16, 1, 3, 3), b=(16, 1, 3, 3), c=(16, 1, 3, 3), d=(16, 1, 3, 3))
    network = load(source)
    assert depthwise(network) == []
    assert not any("branch" in note for note in network.assumptions)
    assert any("so it is in every layer" in note for note in network.assumptions)
