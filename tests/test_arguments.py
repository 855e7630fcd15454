"""Whatever takes a name takes the object that has it; a name given twice counts once."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

import cwda
from cwda import figures, scoring, theory
from cwda.arguments import as_list, choose, name_of, require_between
from cwda.conditions import BUILT_IN
from cwda.errors import CwdaError, SelectionError, close_names

L1, L2 = map(scoring.get_criterion, ("l1", "l2"))
MEAN = next(condition for condition in BUILT_IN if condition.name == "mean")


@pytest.fixture(scope="module")
def net():
    rng = torch.Generator().manual_seed(0)
    return cwda.load({f"{i}.weight": torch.randn(16, 16, 3, 3, generator=rng) for i in range(2)})


def test_names_are_texts_or_of_objects_and_count_once():
    thing = SimpleNamespace(name="thing")
    assert name_of(thing) == name_of("thing") == "thing"
    assert name_of(unnamed := SimpleNamespace(name=3)) is unnamed
    assert as_list(thing, "x") == as_list(["thing", thing], "x") == ["thing"]
    assert choose([thing, "a", "thing"], ["a", "b", "thing"], "x") == ["a", "thing"]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (3, "3"),
        (None, "None"),
        (["a", 3, None], "3"),
        (["a", ["b"]], "an object of type list"),
        ([SimpleNamespace(name=3)], "an object of type SimpleNamespace"),
    ],
)
def test_the_refusal_shows_the_first_that_is_no_name(values, shown):
    with pytest.raises(SelectionError, match=f"a thing is named by a text.*, not {shown}$"):
        as_list(values, "thing", SelectionError)


def _same_table(a, b):
    pd.testing.assert_frame_equal(a.table, b.table)


def test_criteria_are_predicted_by_name_or_as_objects(net):
    _same_table(theory.predict(net, [L2, "l1", L1]), theory.predict(net, ["l1", "l2"]))
    drawn = [theory.simulate(net, pair, draws=39) for pair in ([L1, L2], ["l1", "l2"])]
    _same_table(*drawn)
    with pytest.raises(CwdaError, match="unknown criterion 'entropy'"):
        theory.predict(net, [L1, scoring.get_criterion("entropy")])


@pytest.mark.parametrize(
    "function",
    [cwda.similarity, theory.predict, theory.simulate],
    ids=lambda function: function.__name__,
)
def test_one_criterion_named_twice_is_one(net, function):
    for twice in (["l1", "l1"], [L1, "l1"]):
        with pytest.raises(CwdaError, match="2 criteria or more are needed, not 1"):
            function(net, twice)


def test_every_door_counts_a_criterion_once(net):
    for function in (cwda.scores, cwda.scoring.dispersion, cwda.applicability, cwda.global_pruning):
        _same_table(function(net, ["l2", L2, "l1", "l2"]), function(net, [L2, "l1"]))
    assert figures.score_histograms(net, [0], ["l1", L1]).shape == (1, 1)
    assert figures.score_histograms(net, [0], "l1").shape == (1, 1)


def test_conditions_are_chosen_by_name_or_as_objects(net):
    checked = cwda.check(net, ["mean", MEAN], margins={MEAN: 0.2})
    _same_table(checked, cwda.check(net, "mean", margins={"mean": 0.2}))
    assert set(checked.table["margin"]) == {0.2}
    pd.testing.assert_frame_equal(checked.condition(MEAN), checked.condition("mean"))
    assert checked.condition_rows(MEAN) == list(checked.rows)
    with pytest.raises(CwdaError, match="unknown condition 'epsilon'"):
        checked.condition(cwda.conditions.epsilon)


def _labels(axes):
    texts = [text.get_text() for text in (axes.xaxis.label, axes.yaxis.label, axes.title)]
    legend = axes.get_legend()
    return texts + [text.get_text() for text in (legend.get_texts() if legend else [])]


@pytest.mark.parametrize(
    ("draw", "thing"),
    [
        (lambda net, x: figures.effects(cwda.check(net, ["mean"]), x), MEAN),
        (lambda net, x: figures.layer_trajectory({0: cwda.check(net, ["mean"])}, x), MEAN),
        (lambda net, x: figures.dispersion(cwda.applicability(net, ["l2"]), x), L2),
        (lambda net, x: figures.score_histogram(net[0], x), L1),
        (lambda net, x: figures.global_shares(cwda.global_pruning(net), rung=x), theory.BLOCK),
        (lambda net, x: figures.predicted_measured(_compared(net), rung=x), theory.CROSS_FITTED),
        (lambda net, x: figures.predicted_measured(_compared(net), (x, "l1")), L2),
    ],
)
def test_figures_take_the_object_and_say_its_name(net, draw, thing):
    labels = _labels(draw(net, thing))
    assert labels == _labels(draw(net, thing.name))
    assert any(thing.name in label for label in labels)


def _compared(net):
    return cwda.compare(cwda.similarity(net, ["l1", "l2"]), theory.predict(net, ["l1", "l2"]))


def test_a_pair_is_two_criteria(net):
    with pytest.raises(CwdaError, match="a pair is two criteria, not 1"):
        figures.predicted_measured(_compared(net), ("l1", L1))


@pytest.mark.parametrize(
    ("name", "known", "close"),
    [
        ("resnet20", ["resnet50", "cifar_resnet20"], ["cifar_resnet20"]),
        ("cifar_resnet", ["cifar_resnet20", "alexnet"], ["cifar_resnet20"]),
        ("l2", ["il2", "l1"], ["il2", "l1"]),
        ("nothing", ["abc"], []),
    ],
)
def test_close_names_begin_or_end_alike_before_they_look_alike(name, known, close):
    assert close_names(name, known) == close


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (50, "(exclusive), not 50; 50 % is 0.5"),
        (1.5, "(exclusive), not 1.5"),
        (0, "(exclusive), not 0"),
        ("x", "(exclusive), not 'x'"),
    ],
)
def test_a_share_that_is_none_says_what_is_meant(value, words):
    with pytest.raises(CwdaError) as found:
        require_between(value, 0, 1, "a pruning ratio")
    assert str(found.value) == f"a pruning ratio lies between 0 and 1 {words}"
