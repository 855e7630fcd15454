"""Whatever a forward pass does: pruned channels are zero where they are read, or cannot go."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cwda.coupling import couple
from cwda.errors import CwdaError, PlanError, SelectionError, TracingError
from cwda.pruning import make_plan, masked, remove
from cwda.scoring import collect
from cwda.tracing import count
from tests.helpers.forward_passes import (
    FIXED,
    FOLLOWED,
    IMAGE,
    Between,
    Lora,
    NormedConv,
    between,
    layer,
)
from tests.helpers.models import built


def _images(seed=5):
    return torch.randn(2, *IMAGE[1:], generator=torch.Generator().manual_seed(seed))


def _output(model, images):
    found = copy.deepcopy(model).eval()(images)
    return found["out"] if isinstance(found, dict) else found


def _read_by_layers(model):
    """What each convolution and linear layer is given, by hooks."""
    seen = {}
    for name, part in model.named_modules():
        if isinstance(part, nn.modules.conv._ConvNd | nn.Linear):
            part.register_forward_pre_hook(
                lambda _, given, name=name: seen.setdefault(name, []).append(given[0].detach())
            )
    with torch.no_grad():
        model.eval()(_images())
    return seen


def _assert_zero_where_read(model, coupling, plan):
    marked = coupling.channels(plan.pruned)
    seen = _read_by_layers(masked(model, plan, coupling))
    looked = 0
    for read in coupling.reads:
        for values in seen.get(read.layer, []):
            if values.shape[read.axis] == len(read.channels):
                planes = values.movedim(read.axis, 0)[marked[read.channels]]
                looked += len(planes)
                assert (planes == 0).all(), read.layer
    assert looked


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_is_followed_is_masked_and_removed(name):
    model = built(FOLLOWED[name])
    coupling = couple(model, IMAGE)
    for filters in coupling.filters:
        reason = coupling.reason(filters)
        assert not reason or "output of the network" in reason, (filters, reason)
    plan = make_plan(model, "l2", 0.5, coupling)
    _assert_zero_where_read(model, coupling, plan)
    found = remove(model, plan, coupling)
    with torch.no_grad():
        one, other = (_output(m, _images()) for m in (masked(model, plan, coupling), found.model))
        assert not torch.allclose(one, _output(model, _images()))
    assert torch.allclose(one, other, atol=1e-5)
    assert plan.after == found.after == count(found.model, IMAGE)
    assert plan.before == count(model, IMAGE)


@pytest.mark.parametrize("name", FIXED)
def test_what_cannot_be_made_zero_is_fixed_with_the_reason(name):
    make, reason = FIXED[name]
    model = built(make)
    coupling = couple(model, IMAGE)
    found = coupling.reason("layer" if name == "own group norm" else "first")
    assert reason in found
    assert found
    assert not coupling.reason("second")


def test_numbers_catch_what_rules_miss(monkeypatch):
    from cwda.coupling import rules

    # a rule that says a sigmoid keeps zeros
    monkeypatch.setattr(rules.Call, "at_zero", lambda self: True)
    model = built(between(lambda m, x: torch.sigmoid(x)))
    assert "masked, it is not zero where second reads it" in couple(model, IMAGE).reason("first")


def test_a_branch_of_zeros_is_not_taken_for_absent():
    # until it is trained the branch adds nothing, so that masks of `layer` alone would seem right
    found = couple(built(layer(lambda: Lora(8, 8, 3))), IMAGE)
    assert ("layer", "layer.up") in found.groups


def test_a_masked_model_that_has_changed_is_refused():
    model = built(layer(lambda: NormedConv(8, 8, 3)))
    coupling = couple(model, IMAGE)
    plan = make_plan(model, "l2", 0.5, coupling)
    model.layer.activation = torch.sigmoid
    with pytest.raises(PlanError, match="not zero where second reads them; the model has changed"):
        masked(model, plan, coupling)


def test_one_parameter_in_two_layers_counts_and_is_cut_once():
    model = built(FOLLOWED["tied"])
    scores = {name: torch.arange(8.0) for name in ("stem", "one", "two")}
    plan = make_plan(model, scores | {"two": torch.arange(8.0).flip(0)}, 0.25, IMAGE)
    assert set(plan.pruned["one"]) == set(plan.pruned["two"])
    twin = masked(model, plan, IMAGE)
    assert twin.two.weight is twin.one.weight
    zero = [j for j in range(8) if not twin.one.weight[j].any()]
    assert zero == sorted(plan.pruned["one"])
    slim = remove(model, plan, IMAGE).model
    assert slim.two.weight is slim.one.weight
    assert plan.after.parameters == sum(p.numel() for p in slim.parameters())


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda m, x: F.relu(x) if x.max() > 0 else x, "depends on the values of its input"),
        (lambda m, x: x * float(x.sum()), "depends on the values of its input"),
        (lambda m, x: m.absent(x), "no attribute 'absent'"),
    ],
)
def test_what_cannot_be_traced_names_the_line(forward, message):
    with pytest.raises(TracingError, match=message) as caught:
        couple(built(between(forward)), IMAGE)
    assert "\n" not in str(caught.value)


def test_several_inputs_are_refused_truthfully():
    class Two(Between):
        def forward(self, x, y):
            return super().forward(x + y)

    with pytest.raises(TracingError, match="takes 2 inputs"):
        couple(built(lambda: Two(lambda m, x: x)), IMAGE)


def test_random_numbers_and_hostile_layers_give_one_line():
    model = built(between(lambda m, x: F.dropout(x, 0.5, training=True)))
    plan = make_plan(model, "l2", 0.5, IMAGE)
    with pytest.raises(CwdaError, match="apply the plan as masks instead"):
        remove(model, plan, IMAGE)

    class Counts(nn.Conv2d):
        """Refuses to run with other sizes than those it was made for."""

        def forward(self, x):
            if x.shape[1] != 8:
                raise ValueError("8 channels, please")
            return super().forward(x)

    model = built(layer(lambda: Counts(8, 8, 3)))
    with pytest.raises(CwdaError, match="8 channels, please"):
        remove(model, make_plan(model, "l2", 0.5, IMAGE), IMAGE)


def test_the_model_is_left_as_it_was():
    def keeps(m, x):
        m.seen = [x]
        m.last_value = x
        return x

    model = built(between(keeps)).train()
    model(_images())
    before, state = set(vars(model)), copy.deepcopy(model.state_dict())
    seen = model.last_value
    plan = make_plan(model, "l2", 0.5, IMAGE)
    remove(model, plan, IMAGE)
    assert set(vars(model)) == before
    assert model.last_value is seen
    assert model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("part", [lambda w: w, lambda w: w[0]], ids=["whole", "filter"])
def test_sizes_asked_of_a_weight_fix_what_it_reads(part):
    model = built(between(lambda m, x: x / part(m.second.weight).numel() ** 0.5))
    assert "is asked of second.weight" in couple(model, IMAGE).reason("first")


def test_what_training_alone_uses_is_told():
    class Auxiliary(Between):
        def forward(self, x):
            y = super().forward(x)
            return (y, self.aux(self.first(x))) if self.training else y

    model = built(lambda: Auxiliary(lambda m, x: x, aux=nn.Conv2d(8, 2, 1)))
    plan = make_plan(model, "l2", 0.5, IMAGE)
    with pytest.warns(RuntimeWarning, match="does not run in training mode"):
        remove(model, plan, IMAGE)


def test_scripted_layers_are_passed_by():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, but people have such models
        scripted = torch.jit.script(nn.ReLU())
        model = built(lambda: nn.Sequential(nn.Conv2d(3, 8, 3), scripted, *_two()))
        found = couple(model, IMAGE)
    assert "enters 1 (RecursiveScriptModule)" in found.reason("0")
    assert not found.reason("2")


def _two():
    return nn.Conv2d(8, 8, 1), nn.Conv2d(8, 2, 1)


def test_layers_without_sizes_and_compiled_ones_are_refused():
    with torch.random.fork_rng(devices=[]):
        lazy = nn.Sequential(nn.LazyConv2d(8, 3), nn.Conv2d(8, 2, 1))
    compiled = built(layer(nn.Identity))
    compiled.first = torch.compile(compiled.first)
    with pytest.raises(TracingError, match=r"0\.weight of Sequential has no size yet; run"):
        couple(lazy, IMAGE)
    with pytest.raises(TracingError, match="first of Between is compiled"):
        couple(compiled, IMAGE)


def test_what_is_no_network_to_prune_is_refused_in_one_line():
    with pytest.raises(SelectionError, match="it reaches the output"):
        make_plan(built(lambda: nn.Sequential(nn.Conv2d(3, 4, 1))), "l2", 0.5, IMAGE)
    with pytest.raises(SelectionError, match="one example input is needed"):
        couple(built(layer(nn.Identity)), (torch.zeros(IMAGE), torch.zeros(IMAGE)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, but people have such models
        scripted = torch.jit.script(nn.Flatten())
    with pytest.raises(TracingError, match="TorchScript"):
        couple(scripted, IMAGE)


def test_statistics_of_a_network_whose_code_looks_at_sizes():
    model = built(FOLLOWED["chunks"])  # it makes a list of the parts of a tensor
    found = collect(model, "activations", data=_images(), device="cpu")
    wanted = F.relu(model.first(_images())).double().mean((0, 2, 3))
    assert torch.allclose(found.layers["first"].activations.mean, wanted)
    plan = make_plan(model, "mean_activation", 0.5, IMAGE, data=_images(), device="cpu")
    assert len(plan.pruned["first"]) == 4


def test_cuts_equal_those_of_torch_pruning():
    tp = pytest.importorskip("torch_pruning")
    model = built(layer(lambda: nn.Conv2d(8, 8, 3, groups=8)))
    plan = make_plan(model, "l2", 0.5, IMAGE)
    twin = copy.deepcopy(model)
    graph = tp.DependencyGraph().build_dependency(twin, torch.zeros(IMAGE))
    for name in ("first", "second"):
        part = twin.get_submodule(name)
        graph.get_pruning_group(part, tp.prune_conv_out_channels, sorted(plan.pruned[name])).prune()
    slim = remove(model, plan, IMAGE).model
    for (name, ours), theirs in zip(
        slim.state_dict().items(), twin.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name
