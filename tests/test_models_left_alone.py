"""Every function that runs a model leaves it, and the process, as they were."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

import cwda
from cwda.coupling import couple
from cwda.experiment import FineTuning, run_experiment
from cwda.models import ImageData
from cwda.pruning import make_plan, masked, remove
from cwda.scoring import collect
from cwda.scoring.invariances import invariances
from cwda.tracing import count, latency
from tests.helpers.computed_weights import CLASSES, IMAGE, WAYS, images, network, state_of

EACH = ["l1", "taylor_l1", "apoz", "obd", "oracle"]


def _experiment(model, data):
    pixels, labels = (data[0] * 40 + 120).clamp(0, 255).to(torch.uint8), data[1]
    labels = torch.arange(len(labels)) % CLASSES
    run_experiment(
        model,
        ImageData(pixels, labels, pixels, labels),
        ["taylor_l1", "l1"],
        ratios=0.5,
        strategies="layerwise",
        scope="all",
        finetuning=FineTuning(epochs=1),
    )


def _plan(model):
    """A plan for the first layer, which is an ordinary one in all networks."""
    return make_plan(model, {"0": np.arange(8.0)}, 0.5, IMAGE)


def _report(model, data):
    found = {"Sequential": collect(model, "gradients", data=data)}
    with TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        cwda.report(model, page, brief=True, criteria=["l1", "taylor_l1"], data=found)


RUNS = {
    "collect": lambda model, data: collect(model, data=data, batch_size=8),
    "scores": lambda model, data: cwda.scores(model, EACH, data=data, batch_size=8),
    "similarity": lambda model, data: cwda.similarity(model, EACH, data=data, batch_size=4),
    "reliability": lambda model, data: cwda.reliability(model, EACH, data=data, batch_size=4),
    "applicability": lambda model, data: cwda.applicability(model, EACH, data=data, batch_size=4),
    "advise": lambda model, data: cwda.advise(model, EACH, data=data, batch_size=4),
    "global_pruning": lambda model, data: cwda.global_pruning(
        model, ["l1", "taylor_l1"], ratios=0.5, data=data, batch_size=4
    ),
    "validity": lambda model, data: cwda.validity(model, EACH, data=data, batch_size=8),
    "make_plan": lambda model, data: make_plan(model, "taylor_l1", 0.3, IMAGE, data=data),
    "masked": lambda model, data: masked(model, _plan(model), IMAGE),
    "remove": lambda model, data: remove(model, _plan(model), IMAGE),
    "accuracy": lambda model, data: cwda.accuracy(model, data),
    "run_experiment": _experiment,
    "report": _report,
    "check": lambda model, data: cwda.check(model),
    "couple": lambda model, data: couple(model, IMAGE),
    "invariances": lambda model, data: invariances(model, ["l1", "taylor_l1"], data=data),
    "count": lambda model, data: count(model, IMAGE),
    "latency": lambda model, data: latency(model, IMAGE, repeats=2),
}


def _require_same(before, after):
    for what, value in before.items():
        np.testing.assert_equal(after[what], value, err_msg=what)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("run", RUNS)
def test_a_model_is_left_as_it_was(run, way):
    model, data = network(way), images()
    model(data[0]).sum().backward()  # hooks keep a weight that has a gradient
    model[0].train()
    wanted = network(way)(data[0])
    before = state_of(model)
    RUNS[run](model, data)
    _require_same(before, state_of(model))
    assert torch.equal(model.eval()(data[0]), wanted)


@pytest.mark.parametrize("way", WAYS)
def test_so_it_is_by_an_importance(way):
    torch_pruning = pytest.importorskip("torch_pruning")
    model = network(way)
    graph = torch_pruning.DependencyGraph().build_dependency(model, torch.zeros(IMAGE))
    prune = graph.get_pruner_of_module(model[0]).prune_out_channels
    group = graph.get_pruning_group(model[0], prune, list(range(8)))
    before = state_of(model)
    assert cwda.importance("taylor_l1", data=images())(group).shape == (8,)
    _require_same(before, state_of(model))
