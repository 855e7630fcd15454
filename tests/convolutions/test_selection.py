"""Which tensors of a state dict are convolutions, how they are called and turned."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune, spectral_norm, weight_norm

from cwda.errors import SourceError
from cwda.layers import turn
from cwda.loading import load


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


CONV = random(8, 3, 3, 3)


def conv():
    """A tensor of its own: names of one tensor are one layer."""
    return CONV.clone()


def names(network):
    return [layer.name for layer in network]


@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_prefixes_of_wrappers_are_stripped(prefix):
    state = {f"{prefix}a.weight": conv(), f"{prefix}b.0.weight": conv()}
    assert names(load(state)) == ["a", "b.0"]


@pytest.mark.parametrize("path", [(), ("state_dict",), ("net",), ("checkpoint", "model", "x")])
def test_nested_dictionaries(path):
    source = {"a.weight": conv(), "b.weight": conv()}
    for key in reversed(path):
        source = {key: source, "epoch": 3}
    assert names(load(source)) == ["a", "b"]


def test_dictionary_for_each_layer():
    assert names(load({"model": {"a": {"weight": conv()}, "b": {"kernel": conv()}}})) == ["a", "b"]
    assert names(load({"a": {"weight": conv()}})) == ["a"]


def test_list_of_state_dicts_keeps_all_with_their_index():
    assert names(load({"state_dict": [{"0.weight": conv()}, {"0.weight": conv()}]})) == [
        "0.0",
        "1.0",
    ]


def test_two_networks_in_one_file_and_weights_key():
    source = {"generator": {"a.weight": CONV}, "critic": {"a.weight": CONV + 1}}
    assert names(load(source)) == ["generator.a", "critic.a"]
    only = load(source, weights_key="critic")
    assert names(only) == ["a"]
    assert torch.equal(only["a"].weight, CONV + 1)
    assert [entry.name for entry in only.skipped] == ["generator.a.weight"]
    with pytest.raises(SourceError, match="generator, critic"):
        load(source, weights_key="judge")


@pytest.mark.parametrize("key", ["ema", "model_ema", "state_dict_ema", "ema_state_dict"])
def test_raw_weights_before_moving_averages(key):
    source = {"state_dict": {"a.weight": CONV}, key: {"a.weight": CONV + 1}}
    network = load(source)
    assert torch.equal(network["a"].weight, CONV)
    assert [(e.name, "EMA" in e.reason) for e in network.skipped] == [(f"{key}.a.weight", True)]
    assert torch.equal(load(source, weights_key=key)["a"].weight, CONV + 1)
    assert len(load({key: source[key]})) == 1  # taken where there is no other


def test_training_state_is_skipped_with_its_reason():
    source = {
        "state_dict": {
            "a.weight": conv(),
            "momentum_encoder.weight": conv(),
            "mask_head.weight": conv(),
        },
        "optimizer": {"state": {0: {"momentum_buffer": conv(), "exp_avg": conv()}}},
        "optimizer_states": [{"state": {0: {"exp_avg_sq": conv()}}}],
        "masks": {"a.weight": conv()},
        "grads": {"a.weight": conv()},
    }
    network = load(source)
    assert names(network) == ["a", "momentum_encoder", "mask_head"]
    assert [entry.reason for entry in network.skipped] == ["optimizer state"] * 3 + [
        "a mask",
        "a gradient",
    ]


def test_depthwise_is_assumed_by_shape_but_not_for_one_filter_or_the_first_layer():
    state = {
        "stem.weight": random(16, 1, 3, 3),  # sees a grey image
        "depthwise.weight": random(16, 1, 3, 3),
        "single.weight": random(1, 16, 3, 3),
        "one.weight": random(1, 1, 3, 3),
    }
    network = load(state)
    assert [layer.groups for layer in network] == [1, 16, 1, 1]
    assert any("1 of 4 layers (depthwise): depthwise" in note for note in network.assumptions)


def test_groups_by_option():
    state = {"a.weight": random(8, 3, 3, 3), "b.weight": random(8, 2, 3, 3)}
    network = load(state, groups={"b": 4})
    assert [layer.groups for layer in network] == [1, 4]
    assert not any("b" in note and "groups" in note for note in network.assumptions)
    with pytest.raises(SourceError, match="no layer matches 'c\\*'"):
        load(state, groups={"c*": 4})
    with pytest.raises(SourceError, match="cannot have 3 groups"):
        load(state, groups={"b": 3})


def test_transposed_by_option_and_by_bias():
    weight = random(4, 6, 3, 3)
    turned = weight.transpose(0, 1)
    by_option = load({"a.weight": CONV, "up.weight": weight}, transposed="up*")
    by_bias = load({"a.weight": CONV, "up.weight": weight, "up.bias": torch.zeros(6)})
    for network in (by_option, by_bias):
        assert network["up"].transposed
        assert torch.equal(network["up"].weight, turned)
    assert any("bias" in note for note in by_bias.assumptions)
    assert not load({"up.weight": weight})["up"].transposed
    with pytest.raises(SourceError, match="no layer matches"):
        load({"up.weight": weight}, transposed="down*")


@settings(deadline=None)
@given(groups=st.integers(1, 4), inputs=st.integers(1, 3), outputs=st.integers(1, 3))
def test_turned_filters_give_each_output_channel(groups, inputs, outputs):
    """Filter j alone, as an ordinary transposed convolution on its group, gives output j."""
    weight = torch.randn(
        groups * inputs,
        outputs,
        3,
        2,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(0),
    )
    x = torch.randn(
        1, groups * inputs, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    whole = F.conv_transpose2d(x, weight, groups=groups)
    filters = turn(weight, groups)
    assert filters.shape == (groups * outputs, inputs, 3, 2)
    for j, single in enumerate(filters):
        group = j // outputs
        part = x[:, group * inputs : (group + 1) * inputs]
        alone = F.conv_transpose2d(part, single.unsqueeze(1))
        torch.testing.assert_close(alone[:, 0], whole[:, j])


def factors(module, apply):
    """State dict and effective weight of a convolution with a parametrised weight."""
    apply(module)
    module(random(1, module.in_channels, 8, 8))
    return {f"a.{k}": v.detach() for k, v in module.state_dict().items()}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("filters", [1, 4])
def test_weight_norm(dim, filters):
    module = nn.Conv2d(3, filters, 3)
    state = factors(module, lambda m: weight_norm(m, dim=dim))
    state["a.weight_g"] = state["a.weight_g"] * 2
    network = load(state)
    torch.testing.assert_close(network["a"].weight, module.weight.detach() * 2)
    assert any("weight norm" in note for note in network.assumptions)
    assert network.skipped == ()


def test_weight_norm_as_parametrisation():
    module = nn.Conv2d(3, 4, 3)
    state = factors(module, nn.utils.parametrizations.weight_norm)
    torch.testing.assert_close(load(state)["a"].weight, module.weight.detach())


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
def test_spectral_norm(new):
    module = nn.Conv2d(3, 4, 3)
    apply = nn.utils.parametrizations.spectral_norm if new else spectral_norm
    state = factors(module, apply)
    module.eval()
    module(random(1, 3, 8, 8))
    torch.testing.assert_close(load(state)["a"].weight, module.weight.detach())


def test_pruned_weights_are_masked():
    module = nn.Conv2d(3, 4, 3)
    state = factors(module, lambda m: prune.l1_unstructured(m, "weight", 0.5))
    network = load(state)
    assert torch.equal(network["a"].weight, module.weight.detach())
    assert (network["a"].weight == 0).sum() == 54
    assert any("weight_mask" in note for note in network.assumptions)


def test_colliding_names_stay_unique():
    source = {"a.weight": conv(), "a.kernel": conv()}
    assert names(load(source)) == ["a", "a#2"]


def test_repeated_container_is_walked_once():
    inner = {"a.weight": CONV}
    assert names(load({"one": inner, "two": inner})) == ["a"]


@pytest.mark.parametrize("file", ["net.t7", "net.pkl", "net.PTH", "net.th.tar", "net.pdparams"])
def test_networks_are_named_without_the_ending_of_their_file(tmp_path, file):
    torch.save({"a.weight": CONV}, tmp_path / file)
    assert load(tmp_path / file).name == "net"
