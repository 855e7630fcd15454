"""Plans: ties, minima and budgets; files."""

import json
import math

import numpy as np
import pytest
import torch

from cwda.coupling import couple
from cwda.errors import CriterionError, CwdaError, PlanError, SelectionError, WeightsError
from cwda.loading import load
from cwda.pruning import Plan, make_plan, masked, overlap, select
from cwda.scoring import scores
from tests.helpers.models import Behind, Gated, Grouped, Joined, Vgg, built, resnet20, vision

CIFAR = (1, 3, 32, 32)
IMAGE = (1, 3, 16, 16)


@pytest.fixture(scope="module")
def model():
    return resnet20()


@pytest.fixture(scope="module")
def coupling(model):
    return couple(model, CIFAR)


def test_without_ties_a_plan_is_what_select_takes():
    model = built(Vgg)
    for strategy in ("layerwise", "global"):
        plan = make_plan(model, "l2", 0.4, IMAGE, strategy=strategy, minimum=0)
        assert plan.pruned == select(load(model), "l2", 0.4, strategy=strategy).pruned
        assert plan.shares["filters"] == plan.achieved


def test_tied_filters_go_together_by_their_mean_score(model, coupling):
    plan = make_plan(model, "l1", 0.5, coupling)
    table = scores(load(model), ["l1"]).table.groupby("layer")["score"]
    scored = {name: values.tolist() for name, values in table}
    stream = ["conv1", *(f"layer1.{j}.conv2" for j in range(3))]
    middle = [f"layer2.{j}.conv2" for j in range(3)]
    last = [f"layer3.{j}.conv2" for j in range(3)]
    means = []
    for c in range(64):  # a plain loop over the residual stream of the last stage
        parts = [scored[name][c] for name in last]
        parts += [scored[name][c - 16] for name in middle if 16 <= c < 48]
        parts += [scored[name][c - 24] for name in stream if 24 <= c < 40]
        means.append(sum(parts) / len(parts))
    room = {3: 32, 2: 16, 1: 8}
    taken = []
    for c in np.argsort(means, kind="stable").tolist():
        stages = [3] + [2] * (16 <= c < 48) + [1] * (24 <= c < 40)
        if all(room[stage] for stage in stages):
            taken.append(c)
            for stage in stages:
                room[stage] -= 1
    assert plan.pruned["layer3.0.conv2"] == tuple(taken)
    assert plan.pruned["conv1"] == tuple(c - 24 for c in taken if 24 <= c < 40)
    assert coupling.channels(plan.pruned).sum() == len(taken) + sum(
        len(plan.pruned[f"layer{i}.{j}.conv1"]) for i in (1, 2, 3) for j in range(3)
    )


def test_layerwise_no_layer_loses_more_than_its_share(model, coupling):
    plan = make_plan(model, "gm", 0.3, coupling)
    for layer, pruned in plan.pruned.items():
        assert len(pruned) <= math.floor(0.3 * plan.n_filters[layer])
    assert 0.25 < plan.achieved <= 0.3


@pytest.mark.parametrize("strategy", ["layerwise", "global"])
@pytest.mark.parametrize("measure", ["parameters", "flops"])
def test_a_budget_is_met_with_the_fewest_channels(model, coupling, strategy, measure):
    plan = make_plan(model, "l2", 0.4, coupling, strategy=strategy, measure=measure)
    assert plan.achieved == plan.shares[measure] >= 0.4
    if strategy == "global":  # without its last channel it would not be met
        taken = {name: list(pruned) for name, pruned in plan.pruned.items()}
        marked = coupling.channels(taken)
        smaller = []
        for channel in np.flatnonzero(marked):
            fewer = marked.copy()
            fewer[channel] = False
            smaller.append(plan.before.saved(coupling.without(fewer))[measure])
        assert min(smaller) < 0.4
    else:
        assert plan.achieved < 0.5


def test_a_global_threshold_leaves_the_minimum_and_flags_the_layer():
    model = built(Vgg)
    given = {
        name: torch.linspace(1, 2, len(rows)) * (0.01 if name == "features.0" else 1)
        for name, rows in couple(model, IMAGE).filters.items()
    }
    plan = make_plan(model, given, 0.5, IMAGE, strategy="global", minimum=2)
    assert len(plan.pruned["features.0"]) == 6
    assert plan.flagged == ("features.0",)
    assert "kept at the minimum: features.0" in repr(plan)
    assert plan.table.set_index("layer")["flagged"].tolist() == [True, False, False]
    assert plan.achieved == 0.5
    free = make_plan(model, given, 0.5, IMAGE, strategy="global", minimum=0)
    assert free.emptied == ("features.0",)
    assert free.flagged == ()


def test_what_cannot_be_reached_is_said(model, coupling):
    plan = make_plan(model, "l2", 1, coupling, strategy="global")
    assert plan.achieved < 1
    assert {*plan.flagged} == {*plan.n_filters}
    assert all(len(p) == plan.n_filters[n] - 1 for n, p in plan.pruned.items() if ".conv1" in n)
    for measure in ("flops", "parameters"):
        most = make_plan(model, "l2", 1, coupling, strategy="global", measure=measure)
        assert most.pruned == plan.pruned
        assert most.achieved < 1
    assert make_plan(model, "l2", 0, coupling, measure="flops").achieved == 0


def test_layerwise_minimum():
    plan = make_plan(built(Vgg), "l2", 0.9, IMAGE, minimum=4)
    assert {name: len(p) for name, p in plan.pruned.items()} == {
        "features.0": 4,
        "features.4": 8,
        "features.8": 12,
    }
    assert len(plan.flagged) == 3


def test_groups_and_depthwise_filters_are_counted_in_full():
    plan = make_plan(built(Grouped), "l2", 0.5, IMAGE)
    assert len(plan.pruned["stem"]) == 6
    assert len({i % 4 for i in plan.pruned["stem"]}) == 2  # in each of the three groups
    assert sorted(plan.pruned["depthwise"]) == sorted(plan.pruned["grouped"])
    assert len(plan.pruned["grouped"]) == 3
    assert "output" in plan.skipped["last"]


@pytest.mark.parametrize(("combine", "expected"), [("mean", 1), ("sum", 1), ("max", 0)])
def test_ways_to_combine(combine, expected):
    model = built(Gated)
    given = {"conv": [3.0, 1, 9, 9, 9, 9, 9, 9], "excite": [3.0, 4, 9, 9, 9, 9, 9, 9]}
    plan = make_plan(model, given, 1 / 8, IMAGE, combine=combine)
    assert plan.pruned == {"conv": (expected,), "excite": (expected,)}
    assert plan.skipped["squeeze"] == "no scores"


def test_scores_from_a_table_of_any_criterion(model, coupling):
    table = scores(load(model), ["fermat"]).table
    given = {
        str(name): rows["score"].to_numpy() for name, rows in table.groupby("layer", sort=False)
    }
    one = make_plan(model, given, 0.3, coupling, label="fermat")
    assert one == make_plan(model, "fermat", 0.3, coupling)


def test_layers_without_finite_scores_are_skipped_and_hold_what_is_tied_to_them():
    model = built(Gated)
    given = {
        "conv": torch.arange(8.0),
        "excite": torch.full((8,), torch.nan),
        "squeeze": np.ones(4),
    }
    plan = make_plan(model, given, 0.5, IMAGE)
    assert list(plan.pruned) == ["squeeze"]
    assert plan.skipped["excite"] == "scores that are not finite"
    assert plan.skipped["conv"] == "tied to a layer without scores"


def test_impossible_requests():
    model = built(Joined)
    with pytest.raises(SelectionError, match="did you mean 'flops'"):
        make_plan(model, "l2", 0.3, IMAGE, measure="flop")
    with pytest.raises(SelectionError, match="did you mean 'mean'"):
        make_plan(model, "l2", 0.3, IMAGE, combine="means")
    with pytest.raises(SelectionError, match="0 or more"):
        make_plan(model, "l2", 0.3, IMAGE, minimum=-1)
    with pytest.raises(SelectionError, match=r"not 1\.5"):
        make_plan(model, "l2", 1.5, IMAGE)
    with pytest.raises(CriterionError, match="no criterion"):
        make_plan(model, "l22", 0.5, IMAGE)
    with pytest.raises(SelectionError, match="no convolution 'middle' to score"):
        make_plan(model, {"middle": np.ones(3)}, 0.3, IMAGE)
    with pytest.raises(SelectionError, match="has 4 filters, but scores of shape"):
        make_plan(model, {"left": np.ones(3)}, 0.3, IMAGE)
    with pytest.raises(SelectionError, match="no filter of Behind can be pruned"):
        make_plan(built(lambda: Behind(torch.sigmoid)), "l2", 0.3, IMAGE)


def test_a_plan_survives_its_file(tmp_path, model, coupling):
    plan = make_plan(
        model, "l2", 0.4, coupling, strategy="global", measure="flops", normalise="mean"
    )
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    assert overlap(plan, Plan.load(tmp_path / "plan.json")) == 1
    bare = select(load(model), "l1", 0.4)
    assert Plan.from_json(bare.to_json()) == bare
    assert 0 < overlap(plan, bare) < 1


def _damaged(**changes):
    plan = json.loads(make_plan(built(Joined), "l2", 0.5, IMAGE).to_json())
    return {name: value for name, value in (plan | changes).items() if value != "gone"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("9" * 5000, "not JSON"),
        ("[]", "does not say 'format'"),
        ({"format": "another"}, "does not say 'format'"),
        ({"ratio": "gone"}, "'ratio' is missing"),
        ({"more": 1}, "'more' is unknown"),
        ({"ratio": 2}, "'ratio' must be a number from 0 to 1"),
        ({"ratio": True}, "'ratio' must be"),
        ({"strategy": ["global"]}, "'strategy' must be"),
        ({"pruned": {"left": [0, 0], "right": []}}, "list of different indices"),
        ({"pruned": {"left": [1.5], "right": []}}, "list of different indices"),
        ({"pruned": {"left": [[1]], "right": []}}, "list of different indices"),
        ({"pruned": {"left": [4], "right": []}}, "left has 4 filters; there is no 4"),
        ({"pruned": {"left": [1]}}, "name different layers"),
        ({"n_filters": {"left": 0, "right": 6}}, "'n_filters' must be"),
        ({"flagged": [1]}, "'flagged' must be"),
        ({"before": {"parameters": 1}}, "'before' must be"),
        ({"before": None, "measure": "flops"}, "a ratio of flops without costs"),
        ({"minimum": -1}, "'minimum' must be"),
    ],
)
def test_damaged_files_give_one_line(tmp_path, content, message):
    path = tmp_path / "plan.json"
    if not isinstance(content, str):
        content = json.dumps(content if "format" in content else _damaged(**content))
    path.write_text(content)
    with pytest.raises(PlanError, match=message) as caught:
        Plan.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(PlanError, match="cannot be read"):
        Plan.load(tmp_path / "none.json")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match="not text"):
        Plan.load(tmp_path / "bytes")
    plan = make_plan(built(Joined), "l2", 0.5, IMAGE)
    with pytest.raises(CwdaError, match="cannot be written"):
        plan.save(tmp_path / "no" / "plan.json")


def test_a_plan_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    plan, path = make_plan(built(Joined), "l2", 0.5, IMAGE), tmp_path / "plan.json"
    plan.save(path)
    monkeypatch.setattr(Plan, "to_json", lambda self: "\udcff")  # fails while it is written
    with pytest.raises(UnicodeEncodeError):
        plan.save(path)
    assert Plan.load(path) == plan
    assert [each.name for each in tmp_path.iterdir()] == ["plan.json"]


def test_a_plan_shows_its_layers_in_a_notebook():
    shown = make_plan(built(Joined), "l2", 0.5, IMAGE)._repr_html_()
    assert "<td>left</td>" in shown
    assert "asked for" in shown


def test_densely_connected_layers_are_planned_by_exact_costs():
    model = vision("densenet121")
    plan = make_plan(model, "l1", 0.3, (1, 3, 32, 32), strategy="global", measure="flops")
    assert 0.3 <= plan.achieved < 0.305


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_not_finite_are_named(value):
    model = built(Vgg)
    plan = make_plan(model, "l2", 0.5, IMAGE)
    name, layer = next((n, p) for n, p in model.named_modules() if isinstance(p, torch.nn.Conv2d))
    layer.weight.data[1, 0, 0, :2] = value
    told = rf"layer {name}: 2 of {layer.weight.numel():,} weights are NaN or infinite; nothing can"
    coupling = couple(built(Vgg), IMAGE)
    for given in (IMAGE, coupling):
        with pytest.raises(WeightsError, match=told):
            make_plan(model, "l2", 0.5, given)
        with pytest.raises(WeightsError, match=told):
            masked(model, plan, given)


def test_other_numbers_that_are_not_finite_are_named_too():
    model = resnet20()
    model.layer1[0].bn1.running_mean[2] = torch.nan
    with pytest.raises(WeightsError, match=r"bn1: 1 of 16 values of running_mean are NaN"):
        make_plan(model, "l2", 0.5, CIFAR)
