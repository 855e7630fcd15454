"""Criteria as importances of Torch-Pruning: scores of groups, and whole pruners."""

import copy

import numpy as np
import pytest
import torch
import torch_pruning as tp
from scipy.spatial.distance import cdist
from torch import nn
from torch.nn import functional as F

import cwda
from cwda.errors import CriterionError, CwdaError
from cwda.scoring import collect, scores

IMAGE = (1, 3, 8, 8)


class Net(nn.Module):
    """A residual sum, a concatenation, depthwise, grouped and transposed, and a hidden layer."""

    def __init__(self):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.residual = nn.Conv2d(8, 8, 3, padding=1)
        self.side = nn.Conv2d(8, 4, 1)
        self.up = nn.ConvTranspose2d(12, 6, 2, stride=2)
        self.hidden, self.head = nn.Linear(6, 10), nn.Linear(10, 3)

    def forward(self, x):
        x = F.relu(self.bn(self.stem(x)))
        x = F.relu(x + self.residual(F.relu(self.depthwise(x))))
        x = F.relu(self.up(torch.cat([x, F.relu(self.side(x))], 1)))
        return self.head(F.relu(self.hidden(x.mean(dim=(2, 3)))))


@pytest.fixture
def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Net().eval()
        nn.init.uniform_(model.bn.weight)
    return model


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, *IMAGE[1:], generator=generator), torch.tensor([0, 1, 2, 0, 1, 2])


def group_of(model, name, channels=None):
    layer = model.get_submodule(name)
    graph = tp.DependencyGraph().build_dependency(model, example_inputs=torch.zeros(IMAGE))
    prune = graph.get_pruner_of_module(layer).prune_out_channels
    outputs = getattr(layer, "out_channels", None) or layer.out_features
    return graph.get_pruning_group(layer, prune, list(channels or range(outputs)))


def rows(model, name):
    layer = model.get_submodule(name)
    weight = layer.weight.detach().double()
    return (weight.transpose(0, 1) if name == "up" else weight).flatten(1).numpy()


def test_a_layer_on_its_own_has_the_scores_of_its_formula(net):
    for name in ("side", "up"):
        expected = cdist(rows(net, name), rows(net, name)).sum(0)
        found = cwda.importance("gm", normalizer=None)(group_of(net, name))
        np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=name)
        found = cwda.importance("gm")(group_of(net, name))
        np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-6, err_msg=name)


def test_coupled_layers_are_averaged_and_readers_do_not_count(net):
    expected = sum(cdist(rows(net, name), rows(net, name)).sum(0) for name in ("stem", "residual"))
    found = cwda.importance("gm", normalizer=None)(group_of(net, "stem"))
    np.testing.assert_allclose(found, expected / 2, rtol=1e-6)
    largest = cwda.importance("gm", normalizer=None, group_reduction="max")(group_of(net, "stem"))
    assert (largest >= found).all()


def test_some_channels_have_the_scores_that_they_have_among_all(net):
    whole = cwda.importance("gm", normalizer=None)(group_of(net, "stem"))
    part = cwda.importance("gm", normalizer=None)(group_of(net, "stem", [6, 1, 3]))
    np.testing.assert_allclose(part, whole[[6, 1, 3]], rtol=1e-6)


def test_equals_torch_prunings_own_norm_of_the_first_layer(net):
    theirs = tp.importance.GroupMagnitudeImportance(p=1, group_reduction="first", normalizer=None)
    ours = cwda.importance("l1", group_reduction="first", normalizer=None)
    for name in ("stem", "side", "up", "hidden"):
        group = group_of(net, name)
        np.testing.assert_allclose(ours(group), theirs(group), rtol=1e-5, err_msg=name)


def test_statistics_are_those_of_the_model(net, images):
    table = scores(net, ["taylor_l2", "bn_gamma"], data=images, device="cpu").table

    def of(criterion, layer):
        return table.query("criterion == @criterion and layer == @layer")["score"].to_numpy()

    taylor = cwda.importance("taylor_l2", data=images, device="cpu", normalizer=None)
    found = taylor(group_of(net, "stem"))
    expected = (of("taylor_l2", "stem") + of("taylor_l2", "residual")) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # of the coupled layers only the stem has a BatchNorm, which needs no images
    gamma = cwda.importance("bn_gamma", normalizer=None)(group_of(net, "stem"))
    np.testing.assert_allclose(gamma, of("bn_gamma", "stem"), rtol=1e-6)


def test_a_group_without_scores_is_left_and_the_reason_told(net):
    gamma = cwda.importance("bn_gamma")
    with pytest.warns(RuntimeWarning, match=r"'bn_gamma'\) gives no scores.*: side.*no"):
        assert gamma(group_of(net, "side")) is None
    with pytest.warns(RuntimeWarning, match=r"hidden.*of convolutions, not of a Linear"):
        assert gamma(group_of(net, "hidden")) is None


class Counted:
    """Batches that can be gone through again, and how often they were."""

    def __init__(self, images):
        self.images, self.passes = images, 0

    def __iter__(self):
        self.passes += 1
        yield self.images


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("name", ["gm", "taylor_l1", "chip"])
def test_a_pruner_removes_the_least_in_steps(net, images, name, everywhere):
    data = Counted(images)
    given = {} if name == "gm" else {"data": data, "device": "cpu"}
    pruner = tp.pruner.BasePruner(
        net,
        torch.zeros(IMAGE),
        importance=cwda.importance(name, **given),
        pruning_ratio=0.5,
        iterative_steps=2,
        global_pruning=everywhere,
        ignored_layers=[net.hidden, net.head],
    )
    before = copy.deepcopy(net)
    pruner.step()
    if not everywhere:
        expected = cwda.importance(name, **given)(group_of(before, "side"))
        (kept,) = [int(expected.argmin())]
        left = [j for j in range(4) if j != kept]
        reads = before.side.weight[left].detach()
        stay = _kept(before.stem.weight.detach(), net.stem.weight.detach())
        torch.testing.assert_close(net.side.weight.detach(), reads[:, stay])
    passes = data.passes
    pruner.step()
    assert net(images[0]).shape == (6, 3)
    assert net.stem.out_channels == net.residual.out_channels
    if not everywhere:
        assert (net.stem.out_channels, net.side.out_channels, net.up.out_channels) == (4, 2, 3)
    if name != "gm":
        assert data.passes == passes + 1  # one pass for all groups of a step


def _kept(before, after):
    """Which filters of a layer are left."""
    return [j for j, row in enumerate(before) if any(torch.equal(row, one) for one in after)]


def test_statistics_given_serve_one_step(net, images):
    once = collect(net, "gradients", data=images, device="cpu")
    pruner = tp.pruner.BasePruner(
        net,
        torch.zeros(IMAGE),
        importance=cwda.importance("snip", data=once, device="cpu"),
        pruning_ratio=0.5,
        iterative_steps=2,
        ignored_layers=[net.hidden, net.head],
    )
    pruner.step()
    with pytest.raises(CriterionError, match=r"before it was pruned; give the images"):
        pruner.step()


def test_an_iterator_serves_one_step(net, images):
    pruner = tp.pruner.BasePruner(
        net,
        torch.zeros(IMAGE),
        importance=cwda.importance("snip", data=iter([images]), device="cpu"),
        pruning_ratio=0.5,
        iterative_steps=2,
        ignored_layers=[net.hidden, net.head],
    )
    pruner.step()
    with pytest.raises(CriterionError, match=r"iterator, used up by the pass of the first step"):
        pruner.step()


def test_a_criterion_of_ones_own(net):
    largest = cwda.scoring.Criterion("largest", "max_p |F_jp|", lambda f: f.values.abs().amax(1))
    found = cwda.importance(largest, normalizer=None)(group_of(net, "side"))
    np.testing.assert_allclose(found, np.abs(rows(net, "side")).max(1), rtol=1e-6)


@pytest.mark.parametrize("shift", [0, 1], ids=["negative", "both-signs"])
@pytest.mark.parametrize("normalizer", ["mean", "sum", "max", "standarization", "gaussian", None])
def test_no_normalizer_turns_negative_scores_round(net, normalizer, shift):
    def negated(filters):
        norms = torch.linalg.vector_norm(filters.values, dim=1)
        return shift * norms.mean() - norms

    criterion = cwda.scoring.Criterion("negated", "-||F_j||", negated)
    raw = cwda.importance(criterion, normalizer=None)(group_of(net, "side"))
    assert raw.min() < 0
    assert bool((raw > 0).any()) == bool(shift)
    found = cwda.importance(criterion, normalizer=normalizer)(group_of(net, "side"))
    assert found.isfinite().all()
    np.testing.assert_array_equal(found.argsort(), raw.argsort())


def test_lamp_is_refused_for_negative_scores(net):
    criterion = cwda.scoring.Criterion("negated", "-||F_j||", lambda f: -f.values.abs().sum(1))
    with pytest.raises(CriterionError, match=r"'lamp' .*'negated' are negative; take 'mean'"):
        cwda.importance(criterion, normalizer="lamp")(group_of(net, "side"))


def test_random_scores_are_those_of_the_layer_s_name(net):
    table = scores(net, ["random"]).table
    orders = set()
    for name in ("stem", "residual"):  # of 8 filters each
        found = cwda.importance("random", group_reduction="first", normalizer=None)(
            group_of(net, name)
        )
        np.testing.assert_allclose(found, table[table["layer"] == name]["score"], rtol=1e-6)
        orders.add(tuple(found.argsort().tolist()))
    assert len(orders) == 2


@pytest.mark.parametrize("wrong", [None, 3, ["l1", "l2"], "no-such", nn.Identity()])
def test_bad_criteria_are_told_in_one_line(wrong):
    with pytest.raises(CriterionError) as told:
        cwda.importance(wrong)
    assert "\n" not in str(told.value)


def test_unknown_options_are_told_before_any_pruning():
    for option in ("group_reduction", "normalizer"):
        with pytest.raises(CriterionError, match=f"unknown {option} 'means'.*did you mean 'mean'"):
            cwda.importance("l1", **{option: "means"})
    with pytest.raises(CriterionError, match="batch_size"):
        cwda.importance("l1", batch_size=0)


@pytest.mark.parametrize("function", [cwda.importance, cwda.torch_pruning.as_score])
def test_without_the_library_a_line_says_what_to_install(monkeypatch, function):
    monkeypatch.setattr("cwda.torch_pruning.library.find_spec", lambda name: None)
    with pytest.raises(CwdaError, match=r'need torch-pruning: pip install "cwda\[torch-pruning\]"'):
        function("l1")
