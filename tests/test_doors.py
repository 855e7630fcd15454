"""Every public function takes whatever `cwda.load` takes, and refuses the rest in one line."""

from __future__ import annotations

import inspect
import math
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import cwda
from cwda import coupling, figures  # noqa: F401 (coupling is named below)
from cwda.layers import Network, Provenance
from cwda.models.data import ImageData
from cwda.models.train import Recipe
from cwda.study import RunState, Standing, StudyResult
from tests.figures.gallery import GALLERY
from tests.helpers.small_nets import alive, plain
from tests.helpers.small_nets import images as labelled
from tests.helpers.small_surveys import survey

RNG = torch.Generator().manual_seed(0)
WEIGHTS = {
    "0.weight": torch.randn(16, 8, 3, 3, generator=RNG),
    "1.weight": torch.randn(16, 16, 3, 3, generator=RNG),
}
ONE = {"conv.weight": WEIGHTS["0.weight"]}

#: Functions that go through the layers of a network, with what else they need.
OF_A_NETWORK = {
    "advise": {"criteria": ["l1", "l2"]},
    "applicability": {"criteria": ["l2"]},
    **{f"conditions.{condition.name}": {} for condition in cwda.conditions.BUILT_IN},
    "check": {"conditions": ["mean", "epsilon"]},
    "describe": {},
    "scoring.dispersion": {"criteria": ["l2"]},
    "comparison.geometry": {"rungs": ["block"]},
    "global_pruning": {"criteria": ["l2"], "ratios": 0.5, "rungs": ["block"]},
    "theory.predict": {"rungs": ["block"]},
    "scores": {"criteria": ["l1", "l2"]},
    "reliability": {"criteria": ["l1", "l2"]},
    "textbook": {},
    "similarity": {"criteria": ["l1", "l2"], "ratios": 0.5},
    "theory.simulate": {"criteria": ["l1", "l2"], "rungs": ["block"], "draws": 39},
}
#: Functions of one layer.
OF_A_LAYER = [
    "conditions.block_covariance",
    "conditions.joint_normality",
    "conditions.normality",
    "figures.covariance",
    "figures.covariance_blocks",
    "figures.filter_image",
    "figures.qq",
    "figures.score_histogram",
    "theory.fit_layer",
]


def module():
    with torch.random.fork_rng():
        model = nn.Sequential(nn.Conv2d(8, 16, 3, bias=False), nn.Conv2d(16, 16, 3, bias=False))
    model.load_state_dict(WEIGHTS)
    return model


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same network through every door."""
    path = tmp_path_factory.mktemp("doors") / "net.pth"
    torch.save(WEIGHTS, path)
    return {
        "path": str(path),
        "Path": path,
        "module": module(),
        "state dict": WEIGHTS,
        "nested state dict": {"model": WEIGHTS, "epoch": 3},
    }


def public(name):
    """The function of a dotted name within the package."""
    return attrgetter(name)(cwda)


def table_of(result):
    table = getattr(result, "table", result)
    return table.drop(columns="network")


@pytest.mark.parametrize("name", OF_A_NETWORK)
def test_functions_of_a_network_take_every_source(name, sources):
    function, options = public(name), OF_A_NETWORK[name]
    expected = table_of(function(cwda.load(WEIGHTS), **options))
    assert len(expected)
    for kind, source in sources.items():
        pd.testing.assert_frame_equal(table_of(function(source, **options)), expected, obj=kind)


def test_select_and_pruned_indices_take_every_source(sources):
    net = cwda.load(WEIGHTS)
    plan, first = cwda.pruning.select(net, "l2", 0.5), cwda.pruning.pruned_indices(net, "1", "gm")
    for source in sources.values():
        assert cwda.pruning.select(source, "l2", 0.5).pruned == plan.pruned
        assert cwda.pruning.pruned_indices(source, "1", "gm") == first


def test_names_lead_to_networks_and_models():
    built_in = cwda.load("resnet20-cifar10")
    assert cwda.describe("resnet20-cifar10").table.equals(cwda.describe(built_in).table)
    # a model is needed, not weights alone
    gamma = cwda.scores("resnet20-cifar10", ["bn_gamma"]).table
    model = cwda.load_model("resnet20-cifar10")
    rows = gamma[gamma["layer"] == "layer1.0.conv1"]
    assert np.allclose(rows["score"], model.layer1[0].bn1.weight.detach().abs().numpy())
    assert set(gamma["network"]) == {"resnet20-cifar10"}
    plan = cwda.make_plan("resnet20-cifar10", "l2", 0.5, (1, 3, 32, 32))
    assert plan == cwda.make_plan(model, "l2", 0.5, (1, 3, 32, 32))


def test_several_sources_at_once(sources):
    res = cwda.check([sources["path"], sources["module"], WEIGHTS], ["mean"])
    assert [net.name for net in res.networks] == ["net", "Sequential", "state dict"]
    res = cwda.check([WEIGHTS, WEIGHTS], ["mean"])
    assert [net.name for net in res.networks] == ["state dict", "state dict (2)"]


@pytest.mark.parametrize("name", OF_A_LAYER)
def test_functions_of_a_layer_take_what_has_one(name):
    function = public(name)
    layer = cwda.load(ONE)["conv"]
    for source in (layer, layer.array, ONE, cwda.load(ONE)):
        function(source)
    with pytest.raises(cwda.CwdaError, match=r"has 2; choose one of .* net\['0'\]"):
        function(WEIGHTS)


class Odd:
    """A type that nobody expects."""


#: What stands for no network, no name, no number.
WRONG = [
    None, 3, math.nan, True, Odd(), Odd, "", "no-such-model", Path("nofile.pth"), b"bytes",
    [], {}, set(), [None], ["no-such-model"], {"a": 1}, nn.Identity(), lambda: 0,
    np.zeros((2, 2)), np.zeros((0, 9, 4)), np.array("x"), np.array([[["x"]]]), torch.zeros(0),
]  # fmt: skip
WRONG_VALUES = [None, "x", -1, 0.5, math.nan, Odd(), [], ["x"], {}, (1, 2), b"b"]


def refusal(function, *args, **kwargs):
    """The message of a refusal, checked to be one line; empty where the call goes through."""
    message = ""
    try:
        function(*args, **kwargs)
    except cwda.CwdaError as error:
        message = str(error) or "an empty message\n"
    assert "\n" not in message, function
    return message


@pytest.mark.parametrize("name", [*OF_A_NETWORK, *OF_A_LAYER])
def test_weights_that_were_not_saved_are_missed_in_one_line(name, tmp_path):
    function, options = public(name), OF_A_NETWORK.get(name, {})
    cwda.describe(cwda.load(ONE)).save(tmp_path / "answer.json")
    network = cwda.conditions.Description.load(tmp_path / "answer.json").networks[0]
    for source in (network, network[0]):
        assert "again" in refusal(function, source, **options)


@pytest.mark.parametrize("name", [*OF_A_NETWORK, *OF_A_LAYER])
def test_wrong_sources_are_refused_in_one_line(name):
    function, options = public(name), OF_A_NETWORK.get(name, {})
    for source in WRONG:
        assert refusal(function, source, **options), source


#: Public functions, and how arguments that work are made.
CALLS = {
    **{
        name: lambda name=name: ((cwda.load(WEIGHTS),), OF_A_NETWORK[name]) for name in OF_A_NETWORK
    },
    **{name: lambda: ((cwda.load(ONE),), {}) for name in OF_A_LAYER},
    "load": lambda: ((WEIGHTS,), {}),
    "importance": lambda: (("l2",), {}),
    "torch_pruning.as_score": lambda: ((lambda group: None,), {}),
    "accuracy": lambda: ((nn.Identity(), (torch.eye(4), torch.arange(4))), {}),
    "compare": lambda: (similarities(), {}),
    "contrast": lambda: ((WEIGHTS, WEIGHTS), {"conditions": ["mean", "epsilon"]}),
    "report": lambda: ((WEIGHTS, "report.html"), {"chapters": []}),
    "read_survey": lambda: (("survey",), {}),
    "survey": lambda: (("nowhere.pth",), {"output": "survey"}),
    "calibration.calibrate": lambda: (
        (["mean"],),
        {"designs": "iid", "sizes": [cwda.calibration.Size(16, 3, 9)], "replicates": 2},
    ),
    "calibration.condense": lambda: (("calibration.jsonl", "short.jsonl"), {}),
    "calibration.read_calibration": lambda: (("calibration.jsonl",), {}),
    "calibration.sizes_of": lambda: (("iid",), {}),
    "calibration.to_markdown": lambda: ((cwda.calibration.published(),), {}),
    **{
        f"population.{name}": lambda: ((survey(),), {})
        for name in (
            "effect_quantiles",
            "generality",
            "make_reference",
            "mixed_models",
            "prediction_accuracy",
            "standings",
            "verdict_shares",
        )
    },
    "population.write_tables": lambda: ((survey(), "tables"), {}),
    "reporting.survey_report": lambda: ((survey(), "survey.html"), {}),
    "pruning.select": lambda: ((WEIGHTS, "l2", 0.5), {}),
    "pruning.pruned_indices": lambda: ((WEIGHTS, 0, "l2"), {}),
    "pruning.overlap": lambda: ((cwda.pruning.select(WEIGHTS, "l2", 0.5),) * 2, {}),
    "reporting.picture": lambda: ((figures.overview(cwda.check(WEIGHTS)), "caption", "words"), {}),
    "reproduction.reproduce": lambda: (("huang2021", ONE), {}),
    "scoring.get_criterion": lambda: (("l2",), {}),
    "scoring.register_statistic": lambda: ((cwda.scoring.NEEDS["activations"],), {}),
    "study.factor_effects": lambda: ((studied(),), {}),
    "study.plan": lambda: ((Recipe(), ["width"]), {}),
    "study.run_study": lambda: ((images(), ["width"]), {"folder": "study", "budget": 0.0}),
    "theory.expected_spearman": lambda: ((0.5, 64), {}),
    "theory.spearman_with_dead": lambda: ((0.5, 16, 12, 2), {}),
    "theory.norm_moments": lambda: ((torch.eye(9).expand(4, 9, 9),), {}),
    "theory.predict_overlap": lambda: ((np.array([[0.5]]), np.array([[0.5]]), [0.0], [64]), {}),
    "theory.predict_shares": lambda: (([cwda.theory.ScoreLaw(0.0, 0.0, 0.01)], [64], [32]), {}),
    "theory.score_law": lambda: ((cwda.theory.fit_layer(ONE), "l2"), {}),
    "theory.swap_probability": lambda: ((0.5, 0.5), {}),
    "validity": lambda: ((alive(plain),), valid_options()),
    "trajectory": lambda: (({0: ONE}, ["mean"]), {}),
    "callbacks.read_trajectory": lambda: (("effects.csv",), {}),
    "figures.trajectory": lambda: ((cwda.trajectory({0: WEIGHTS}, ["mean"]), "mean"), {}),
    "figures.layer_trajectory": lambda: (({0: cwda.check(WEIGHTS)}, "mean", "0"), {}),
    "comparison.triangle": lambda: (answers(), {}),
    "figures.overview": lambda: ((cwda.check(WEIGHTS),), {}),
    "figures.layer_effects": lambda: ((cwda.check(WEIGHTS),), {}),
    "figures.contrast": lambda: ((cwda.contrast(WEIGHTS, WEIGHTS, ["mean"]),), {}),
    "figures.network_effects": lambda: ((cwda.check(WEIGHTS),), {}),
    "figures.save": lambda: ((figures.overview(cwda.check(WEIGHTS)), "figure.svg"), {}),
    "figures.effects": lambda: ((cwda.check(WEIGHTS), "mean"), {}),
    "figures.criteria_matrix": lambda: (similarities()[:1], {}),
    "figures.similarity_map": lambda: (similarities()[:1], {}),
    "figures.score_histograms": lambda: ((WEIGHTS, ["0"], ["l2"]), {}),
    "figures.global_shares": lambda: ((cwda.global_pruning(WEIGHTS),), {}),
    "figures.dispersion": lambda: ((cwda.applicability(WEIGHTS),), {}),
    "figures.predicted_measured": lambda: ((cwda.compare(*similarities()),), {}),
}


def similarities():
    return cwda.similarity(WEIGHTS), cwda.theory.predict(WEIGHTS)


def valid_options():
    x, y = labelled(4)
    return {"criteria": ["l2"], "data": (x, y), "layers": ["3"], "draws": 100, "batch_size": 2}


def answers():
    model, criteria = alive(plain), ["l1", "l2"]
    return (
        cwda.similarity(model, criteria),
        cwda.applicability(model, criteria),
        cwda.validity(model, **valid_options()),
    )


def images():
    pixels, labels = torch.zeros(10, 3, 16, 16, dtype=torch.uint8), torch.arange(10)
    return ImageData(pixels, labels, pixels, labels)


def studied():
    """A study of two networks, tested once each."""
    standing = {"loss": 1.0, "accuracy": 50.0}
    weights = {"weights_hold": 0.5, "weights_fail": 0.5, "weights_inconclusive": 0.0}
    rows, runs = [], []
    for seed in range(2):
        which = {"factor": "base", "setting": "base", "seed": seed}
        rows.append(
            Standing(
                **which, epoch=1, **standing, network="net", condition="mean", holds=1, fails=1,
                inconclusive=0, not_applicable=0, **weights, margin=0.1, median_effect=0.1 + seed,
            )
        )  # fmt: skip
        runs.append(
            RunState(
                **which, identity=str(seed), status="done", epochs=1, **standing, kept=0.5,
                recipe="{}",
            )
        )  # fmt: skip
    return StudyResult(tuple(rows), (), level=math.nan, run_rows=tuple(runs))


def of_the_gallery(name, monkeypatch):
    """The arguments with which the gallery draws a figure."""
    calls = []
    monkeypatch.setattr(figures, name, lambda *args, **options: calls.append((args, options)))
    GALLERY[name]()
    monkeypatch.undo()
    return calls[0]


SHAPE = (1, 8, 9, 9)
#: Functions of a model that runs, with arguments that work after it.
OF_A_MODEL = {
    "load_model": lambda folder: (),
    "scoring.collect": lambda folder: (),
    "scoring.invariances": lambda folder: (),
    "coupling.couple": lambda folder: (SHAPE,),
    "make_plan": lambda folder: ("l2", 0.5, SHAPE),
    "masked": lambda folder: (cwda.make_plan(module(), "l2", 0.5, SHAPE), SHAPE),
    "remove": lambda folder: (cwda.make_plan(module(), "l2", 0.5, SHAPE), SHAPE),
    "export": lambda folder: (folder / "net.safetensors", SHAPE),
}

#: Public functions that are not called in the two tests below, and why.
NOT_CALLED = {
    "callbacks.lightning_callback": "imports its framework: tests/callbacks/test_frameworks.py",
    "callbacks.trainer_callback": "imports its framework: tests/callbacks/test_frameworks.py",
    "condition": "a decorator: test_decorators_say_what_they_need",
    "criterion": "a decorator: test_decorators_say_what_they_need",
    "experiment.run_experiment": "trains: test_experiments_and_images_say_what_they_need",
    "read_images": "needs files: test_experiments_and_images_say_what_they_need",
    "survey": "starts processes: tests/surveys/test_survey.py",
}


def functions():
    """The public functions and conditions that take arguments, each by its shortest name."""
    rooms = [name for name in cwda.__all__ if inspect.ismodule(getattr(cwda, name))]
    names = [name for name in cwda.__all__ if name not in rooms]
    names += [f"{room}.{name}" for room in rooms for name in public(room).__all__]
    found = {}
    for name in names:
        function = public(name)
        called = inspect.isfunction(function) or isinstance(function, cwda.conditions.Condition)
        if called and inspect.signature(function).parameters:
            found.setdefault(id(function), name)
    return list(found.values())


def test_every_public_function_is_called():
    """A new one needs a call above, or a reason why it has none; a figure is in the gallery."""
    drawn = [f"figures.{name}" for name in GALLERY]
    assert not {*functions()} - {*CALLS, *OF_A_MODEL, *drawn, *NOT_CALLED}
    assert not {*CALLS, *OF_A_MODEL, *NOT_CALLED} - {*functions()}


@pytest.mark.parametrize(
    "name", [name for name in functions() if name not in (*NOT_CALLED, *OF_A_MODEL)]
)
def test_wrong_values_are_refused_in_one_line(name, monkeypatch, tmp_path):
    """No argument of any public function ends in a traceback."""
    function, figure = public(name), name.rpartition(".")[2]
    args, options = CALLS[name]() if name in CALLS else of_the_gallery(figure, monkeypatch)
    monkeypatch.chdir(tmp_path)
    # As in `report` above: what is written after the arguments are taken has tests of its own.
    monkeypatch.setattr("cwda.reporting.survey.build._CHAPTERS", ())
    refused = 0
    for place, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.name in ("ax", "on_layer"):
            continue
        for value in WRONG_VALUES:
            if place < len(args):
                given = (*args[:place], value, *args[place + 1 :])
                refused += bool(refusal(function, *given, **options))
            else:
                refused += bool(refusal(function, *args, **{**options, parameter.name: value}))
    assert refused


def test_decorators_say_what_they_need():
    for value in (*WRONG_VALUES[:1], *WRONG_VALUES[2:]):
        assert "name" in refusal(cwda.criterion, value, formula="x")
    assert "name" in refusal(cwda.criterion, "", formula="x")
    for value in WRONG_VALUES[:6]:
        assert refusal(cwda.criterion, "new", formula="x", needs=value)
        assert refusal(cwda.condition, margin=1, null="", effect="", method="", needs=value)
    for value in (3, Odd(), None, "x"):
        assert "function" in refusal(cwda.criterion("new", formula="x"), value)
        made = cwda.condition(margin=1, null="", effect="", method="")
        assert "function" in refusal(made, value)
    assert {"new", ""}.isdisjoint(cwda.criteria())


def test_names_in_a_mapping_are_refused_with_the_nearest():
    assert "did you mean 'mean'" in refusal(lambda: cwda.conditions.CONDITIONS["means"])
    assert "did you mean 'mean 0.1'" in refusal(lambda: cwda.calibration.DESIGNS["mean 0.11"])
    for names in (cwda.conditions.CONDITIONS, cwda.calibration.DESIGNS):
        assert "x" not in names
        assert names.get("x") is None
    for value in (2, -1, "x", None, math.nan):
        assert "mean" in refusal(cwda.calibration.Design, "x", mean=value)


@pytest.mark.parametrize("name", OF_A_MODEL)
def test_models_are_needed_not_weights(name, tmp_path):
    function, rest = public(name), OF_A_MODEL[name](tmp_path)
    for source in (*WRONG[:14], cwda.load(WEIGHTS), WEIGHTS):
        assert refusal(function, source, *rest), source
    for place in range(len(rest)):
        for value in WRONG_VALUES:
            refusal(function, module(), *rest[:place], value, *rest[place + 1 :])


def test_models_are_read_where_a_name_is_given(tmp_path):
    name, shape = "resnet20-cifar10", (1, 3, 32, 32)
    model = cwda.load_model(name)
    plan = cwda.make_plan(name, "l2", 0.25, shape)
    assert cwda.coupling.couple(name, shape).table.equals(cwda.coupling.couple(model, shape).table)
    twin = cwda.masked(name, plan, shape)
    assert twin.conv1.weight.equal(cwda.masked(model, plan, shape).conv1.weight)
    assert cwda.remove(name, plan, shape).after == plan.after
    assert len(cwda.load(cwda.export(name, tmp_path / "net.safetensors", shape))) == 19
    assert "make_plan" in refusal(cwda.masked, model, {"conv1": [0]}, shape)
    assert "make_plan" in refusal(cwda.pruning.overlap, plan, None)


def test_accuracy_says_what_it_needs():
    images = torch.zeros(2, 3, 8, 8), torch.tensor([0, 1])
    assert "cwda.load_model" in refusal(cwda.accuracy, "resnet20-cifar10", images)
    assert "does not take images" in refusal(cwda.accuracy, nn.LayerNorm(5), images)
    assert "not give a row of class scores" in refusal(cwda.accuracy, nn.Identity(), images)


def test_selections_that_are_empty_are_told():
    net = cwda.load(WEIGHTS)
    assert "its layers are called 0, 1" in refusal(net.select, "foo*")
    assert "has no layer 'conv1'" in refusal(lambda: net["conv1"])
    assert "0 to 1" in refusal(lambda: net[7])
    res = cwda.check(net, ["epsilon", "mean"])
    assert "did you mean 'epsilon'" in refusal(res.condition, "eps")
    assert "such as {'mean': 0.1}" in refusal(cwda.check, net, margins=0.1)
    odd = cwda.load({"[mask].conv.weight": WEIGHTS["0.weight"]})
    assert len(odd.select("[mask].conv")) == 1  # a name that looks like a pattern


def test_a_network_without_layers_is_a_table_without_rows():
    empty = Network("empty", (), Provenance("", "array"))
    assert len(cwda.check(empty).table) == 0
    assert len(cwda.scores(empty)) == 0


def test_figures_show_themselves():
    net = cwda.load(ONE)
    for shown in (
        figures.overview(cwda.check(net)),
        figures.score_histograms(net, criteria=["l1", "l2"]),
        figures.global_shares(cwda.global_pruning(WEIGHTS)),
    ):
        assert shown._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["theory.predict", "applicability", "global_pruning"])
def test_a_device_that_is_not_there_is_no_fault_of_the_layers(name):
    for device in ("warp", None, -1, []):
        assert "device" in refusal(public(name), WEIGHTS, device=device)


def test_experiments_and_images_say_what_they_need(tmp_path):
    assert "ImageData" in refusal(cwda.experiment.run_experiment, module(), None)
    assert "a model that runs" in refusal(cwda.experiment.run_experiment, WEIGHTS, None)
    for value in (None, 0.5, [], "x", math.nan):
        assert "epochs" in refusal(cwda.experiment.FineTuning, epochs=value)
        assert "batch_size" in refusal(cwda.experiment.FineTuning, batch_size=value)
    for value in (None, "x", -1, {}):
        assert "momentum" in refusal(cwda.experiment.FineTuning, momentum=value)
    for source in (np.zeros(3), module(), {}, [], None):
        assert "a path is needed" in refusal(cwda.read_images, source)
    assert "samples" in refusal(cwda.read_images, tmp_path, samples=["x"])
    assert "data set" in refusal(cwda.read_images, tmp_path, dataset=1)


def test_tables_and_other_things_are_no_sources():
    table = pd.DataFrame({"a": [1.0], "b": [2.0]})
    assert "DataFrame" in refusal(cwda.check, table)
    assert "DataFrame" in refusal(cwda.check, WEIGHTS, margins=table)
    assert "weights are a tensor" in refusal(cwda.ConvLayer, "a", [1])
    assert "Axes" in refusal(figures.qq, ONE, ax=3)


def test_names_that_look_like_patterns_are_matched_in_every_option():
    state = {"a[0].conv.weight": WEIGHTS["1.weight"], "x,y.conv.weight": WEIGHTS["1.weight"] + 1}
    net = cwda.load(state, groups={"a[0].conv": 2, "x,y.conv": 4})
    assert [layer.groups for layer in net] == [2, 4]
    assert cwda.load(state, transposed="x,y.conv")["x,y.conv"].transposed
    assert [layer.name for layer in net.select("x,y.conv")] == ["x,y.conv"]
    assert "no layer matches 'b'" in refusal(cwda.load, state, transposed="a*,b")


def test_options_of_reading_are_refused_where_nothing_is_open():
    net = cwda.load(WEIGHTS)
    for source in (net, net[0], net[0].array):
        for option in ({"groups": {"*": 4}}, {"transposed": "0"}, {"weights_key": "ema"}):
            assert "nothing is open" in refusal(cwda.load, source, **option)
    assert cwda.load(WEIGHTS["0.weight"], layout="OIHW")[0].n_filters == 16
