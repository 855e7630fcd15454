"""Masks: exact zeros, given back, kept through training."""

import pytest
import torch

from cwda.coupling import couple
from cwda.errors import PlanError
from cwda.loading import load
from cwda.models import cifar_resnet
from cwda.pruning import Masks, make_plan, masked, select
from tests.helpers.models import Gated, Grouped, Vgg, built, resnet20

CIFAR = (1, 3, 32, 32)
IMAGE = (1, 3, 16, 16)


def _images(shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def _same(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_filter_bias_and_batchnorm_are_zero_and_nothing_else_changes():
    model = built(Vgg)
    plan = make_plan(model, "l2", 0.5, IMAGE)
    twin = masked(model, plan, IMAGE)
    pruned = list(plan.pruned["features.0"])
    kept = [i for i in range(8) if i not in pruned]
    conv, norm = twin.features[0], twin.features[1]
    for tensor in (conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean):
        assert (tensor[pruned] == 0).all()
        assert (tensor[kept] != 0).all()
    assert _same(twin.head, model.head)


def test_masked_channels_are_zero_all_along_the_residual_stream():
    model = resnet20()
    coupling = couple(model, CIFAR)
    plan = make_plan(model, "l1", 0.5, coupling)
    twin = masked(model, plan, coupling)
    seen = {}
    for name in ("layer1.1", "layer2.2", "layer3.1"):
        twin.get_submodule(name).register_forward_hook(
            lambda _module, _input, output, name=name: seen.__setitem__(name, output)
        )
    with torch.no_grad():
        twin(_images((2, 3, 32, 32)))
    for block, output in seen.items():
        pruned = sorted(plan.pruned[f"{block}.conv2"])
        assert pruned
        assert (output[:, pruned] == 0).all()
        kept = [c for c in range(output.shape[1]) if c not in pruned]
        assert output[:, kept].abs().sum() > 0


def test_a_block_gives_every_weight_back():
    model = resnet20()
    before, images = _state(model), _images((2, 3, 32, 32))
    plan = make_plan(model, "gm", 0.4, CIFAR)
    with torch.no_grad():
        whole = model(images)
        with Masks(model, plan, CIFAR):
            assert not torch.equal(model(images), whole)
        assert torch.equal(model(images), whole)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_enforced_masks_hold_through_training():
    model = resnet20().train()
    coupling = couple(model, CIFAR)
    plan = make_plan(model, "l2", 0.5, coupling)
    masks = Masks(model, plan, coupling)
    masks.enforce()
    free = model.layer1[0].conv1.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-2)
    for step in range(3):
        optimizer.zero_grad()
        images = _images((4, 3, 32, 32), seed=step)
        torch.nn.functional.cross_entropy(model(images), torch.arange(4)).backward()
        optimizer.step()
        masks.enforce()
    assert not torch.equal(model.layer1[0].conv1.weight, free)
    again = masked(model.eval(), plan, coupling)  # masking once more changes nothing
    assert _same(again, model)
    with torch.no_grad():
        assert torch.equal(again(_images((2, 3, 32, 32))), model(_images((2, 3, 32, 32))))


def test_transposed_and_grouped_convolutions_lose_their_outputs():
    model = built(Grouped)
    plan = make_plan(model, "l2", 0.5, IMAGE)
    twin = masked(model, plan, IMAGE)
    pruned = list(plan.pruned["up"])
    assert (twin.up.weight[:, pruned] == 0).all()
    assert (twin.up.weight != 0).any(dim=(0, 2, 3)).sum() == 8 - len(pruned)
    assert (twin.grouped.weight[list(plan.pruned["grouped"])] == 0).all()


def test_a_plan_that_does_not_fit_is_refused():
    model = resnet20()
    with pytest.raises(PlanError, match="tied to a pruned one"):
        Masks(model, select(load(model), "l2", 0.3), CIFAR)
    with pytest.raises(PlanError, match="no convolution"):
        Masks(built(Vgg), make_plan(model, "l2", 0.3, CIFAR), IMAGE)
    with pytest.raises(PlanError, match="cannot be pruned: it reaches the output"):
        Masks(built(Gated), select(load(built(Gated)), "l2", 0.5), IMAGE)
    with pytest.raises(PlanError, match="has no layer"):
        Masks(torch.nn.Flatten(), make_plan(model, "l2", 0.3, CIFAR), couple(model, CIFAR))


@pytest.mark.gpu
def test_masks_on_cuda():
    model = cifar_resnet(20).cuda()
    coupling = couple(model, CIFAR)
    plan = make_plan(model, "l2", 0.5, coupling)
    with Masks(model, plan, coupling):
        assert (model.conv1.weight[list(plan.pruned["conv1"])] == 0).all()
