"""Which filters are tied, and which cannot be pruned."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from cwda.coupling import couple
from cwda.errors import PlanError, SelectionError, TracingError
from cwda.models import cifar_resnet
from cwda.tracing import count
from tests.helpers.models import Behind, Gated, Grouped, Joined, Twice, Vgg, built, vision

IMAGE = (1, 3, 16, 16)


def _coupling(make, shape=IMAGE):
    return couple(built(make), shape)


def index_map(found, layer, other):
    """For each filter of one layer the filter of another in the same channel, or -1."""
    place = {channel: index for index, channel in enumerate(found.filters[other].tolist())}
    return np.array([place.get(channel, -1) for channel in found.filters[layer].tolist()])


def test_residual_streams_of_a_cifar_resnet_are_tied_with_the_offset_of_the_padding():
    found = couple(cifar_resnet(20), (1, 3, 32, 32))
    streams = ["conv1", *(f"layer{i}.{j}.conv2" for i in (1, 2, 3) for j in (0, 1, 2))]
    assert found.groups[0] == tuple(streams)
    assert all(len(group) == 1 for group in found.groups[1:])
    # 16 -> 32 channels: 8 zeros before; 32 -> 64: 16 more
    assert index_map(found, "conv1", "layer1.2.conv2").tolist() == list(range(16))
    assert index_map(found, "conv1", "layer2.0.conv2").tolist() == list(range(8, 24))
    assert index_map(found, "layer2.1.conv2", "layer3.0.conv2").tolist() == list(range(16, 48))
    back = index_map(found, "layer3.2.conv2", "conv1")
    assert back.tolist() == [-1] * 24 + list(range(16)) + [-1] * 24
    assert set(index_map(found, "layer1.0.conv1", "conv1")) == {-1}
    assert not any(map(found.reason, found.filters))


def test_projection_shortcuts_tie_the_filters_of_a_stage():
    found = couple(vision("resnet18"), (1, 3, 32, 32))
    tied = {group for group in found.groups if len(group) > 1}
    assert ("conv1", "layer1.0.conv2", "layer1.1.conv2") in tied
    assert ("layer2.0.conv2", "layer2.0.downsample.0", "layer2.1.conv2") in tied
    assert len(tied) == 4


def test_depthwise_filters_go_with_the_channels_they_see():
    found = couple(vision("mobilenet_v2"), (1, 3, 32, 32))
    first, second = "features.2.conv.0.0", "features.2.conv.1.0"
    assert index_map(found, first, second).tolist() == list(range(96))
    assert (first, second) in found.groups


def test_concatenation_passes_channels_with_their_offset():
    found = _coupling(Joined)
    sites = {site.layer: site for site in found.sites}
    columns = sites["last"].columns.tolist()
    assert columns == [*found.filters["left"], *found.filters["right"]]
    assert sites["norm"].rows.tolist() == columns
    assert found.groups == (("left",), ("right",), ("last",))


def test_a_linear_head_reads_each_channel_at_all_positions():
    found = _coupling(Vgg)
    head = next(site for site in found.sites if site.layer == "head.0")
    assert head.columns.tolist() == np.repeat(found.filters["features.8"], 4).tolist()


def test_groups_lose_the_same_positions():
    found = _coupling(Grouped)
    stem, grouped = found.filters["stem"], found.filters["grouped"]
    assert len(set(stem)) == 4
    assert stem.reshape(3, 4).tolist() == [stem[:4].tolist()] * 3
    assert len(set(grouped)) == 2
    assert found.filters["depthwise"].tolist() == grouped.tolist()
    assert len(set(found.filters["up"])) == 8
    # one output channel does not make a convolution depthwise
    assert set(index_map(found, "single", "up")) == {-1}
    assert found.reason("single") == ""


def test_a_product_ties_and_a_gate_is_no_reason_to_stay():
    found = _coupling(Gated)
    assert ("conv", "excite") in found.groups
    assert found.reason("conv") == ""


def test_a_layer_used_twice_ties_its_inputs_to_its_outputs():
    found = _coupling(Twice)
    assert ("stem", "shared") in found.groups
    shared = next(site for site in found.sites if site.layer == "shared")
    assert shared.rows.tolist() == shared.columns.tolist()
    assert shared.positions == 2 * 16 * 16


def test_the_output_of_the_network_stays():
    found = _coupling(Gated)
    assert "output of the network" in found.reason("last")
    assert found.table.set_index("layer").loc["last", "prunable"] == 0


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        (torch.sigmoid, 6),  # sigmoid(0) is not 0
        (nn.Hardsigmoid(), 6),
        (lambda x: x + 1, 6),
        (lambda x: 1 - x, 6),
        (lambda x: F.pad(x, (1, 1, 1, 1), value=2.0), 6),
        (lambda x: F.softmax(x, 1), 6),  # no rule: mixes the channels
        (nn.GroupNorm(2, 6), 6),
        (nn.LocalResponseNorm(2), 6),
        (lambda x: x[:, 1:4], 3),  # another part once channels are gone
        (lambda x: x.view(1, 6, 16, 16), 6),  # a size written into the code
        (lambda x: x.reshape(x.size(0), x.size(1) // 2, -1, x.size(3)), 3),
        (lambda x: x.flip(1), 6),
        (lambda x: F.pad(x, (0, 0, 0, 0, 0, 2), value=1.0), 8),
    ],
)
def test_what_is_unknown_or_does_not_keep_zeros_fixes_its_channels(operation, after):
    found = _coupling(lambda: Behind(operation, after=after))
    assert found.reason("first")


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        (nn.Hardswish(), 6),
        (nn.PReLU(6), 6),
        (lambda x: F.leaky_relu(2 * x, 0.1) / 3, 6),
        (lambda x: F.pad(x, (1, 1, 1, 1)), 6),
        (lambda x: F.pad(x, (1, 1, 1, 1, 2, 0)), 8),
        (lambda x: F.max_pool2d(x[:, :, ::2, 1:], 2), 6),
        (lambda x: F.interpolate(x, scale_factor=2), 6),
        (lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), 6),
        (lambda x: torch.sigmoid(x) * x, 6),
        (lambda x: x / x.abs().add(1), 6),
        (lambda x: x.chunk(2, 1)[0], 3),  # each half loses the same channels
        (lambda x: torch.cat([x.relu(), x], dim=1), 12),
        (lambda x: torch.cat([x, x], 2), 6),
        (nn.BatchNorm2d(6, affine=False), 6),
        (nn.InstanceNorm2d(6, affine=True), 6),
        (nn.Sequential(nn.Sigmoid(), nn.BatchNorm2d(6)), 6),  # scale and shift are zeroed
    ],
)
def test_what_keeps_channels_and_zeros_leaves_them_prunable(operation, after):
    found = _coupling(lambda: Behind(operation, after=after))
    assert found.reason("first") == ""


def test_computed_weights_are_left_alone():
    def make():
        model = Behind(nn.ReLU())
        parametrizations.weight_norm(model.first)
        return model

    with torch.random.fork_rng(devices=[]):
        found = couple(make(), IMAGE)
    assert "first" not in found.filters


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "densenet121", "squeezenet1_1"])
def test_costs_of_the_layers_add_up_to_what_torch_counts(name):
    model = vision(name)
    found = couple(model, (1, 3, 64, 64))
    none = np.zeros(found.n_channels, dtype=bool)
    assert {slot.name for slot in found.slots} >= {name for name, _ in model.named_parameters()}
    assert sum(site.flops(none) for site in found.sites) == count(model, (1, 3, 64, 64)).flops
    assert found.without(none) == found.cost == count(model, (1, 3, 64, 64))


def test_the_model_stays_as_it_is():
    model = built(Vgg).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    couple(model, IMAGE)
    assert model.training
    assert model.features[1].training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_errors_are_one_line():
    model = cifar_resnet(20)
    with pytest.raises(TracingError, match="does not take an input of shape"):
        couple(model, (1, 4, 32, 32))
    with pytest.raises(SelectionError, match="batch first"):
        couple(model, (3,))
    found = couple(model, (1, 3, 32, 32))
    with pytest.raises(PlanError, match="no convolution 'fc'"):
        found.reason("fc")
    with pytest.raises(PlanError, match="has 16 filters; there is no 16"):
        found.channels({"conv1": (16,)})
    with pytest.raises(PlanError, match="tied to a pruned one"):
        found.channels({"conv1": (3,)})
