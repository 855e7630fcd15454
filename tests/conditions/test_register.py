"""Conditions that a user adds: they appear wherever those of the package do."""

import functools

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import cwda
from cwda import figures
from cwda.calibration import DESIGNS, PROCEDURES, Size, calibrate
from cwda.calibration.designs import alternatives
from cwda.cli.main import cwda_test
from cwda.conditions import BUILT_IN, CONDITIONS, Calibration, ConditionResult, Measurement
from cwda.conditions.condition import Formula
from cwda.reporting.blocks import Equation
from cwda.reporting.document import Document
from cwda.reporting.typesetting import html_bytes

from . import simulated

make = functools.partial(
    cwda.condition,
    margin=0.2,
    null="the weights are symmetric around 0",
    effect="absolute skewness of all weights",
    method="jackknife over filters",
)


def skewness(work):
    """Test whether the weights are symmetric."""
    weights = work.filters.double()
    value = float((weights**3).mean() / (weights**2).mean() ** 1.5)
    return Measurement(effect=abs(value), low=0, high=np.float64(abs(value) + 0.1))


@pytest.fixture
def add():
    """Adds conditions, and takes them out again afterwards."""
    before = set(CONDITIONS)
    yield lambda measure=skewness, **options: make(**options)(measure)
    for name in set(CONDITIONS) - before:
        CONDITIONS.forget(name)


@pytest.fixture(scope="module")
def net():
    return simulated.network(*(simulated.layer(n=16, name=f"c{i}", seed=i) for i in range(3)))


def test_the_package_has_its_conditions_in_one_list():
    assert list(CONDITIONS.values()) == list(BUILT_IN)
    for condition in BUILT_IN:
        assert condition.name == condition.__name__
        assert getattr(cwda.conditions, condition.name) is condition
        assert condition.calibration
        assert condition.equation
        assert condition.estimate
        assert "level : float" in condition.__doc__
        assert {*condition.short} <= {*condition.name}


def test_measured_details_are_the_documented_ones(net):
    for row in cwda.check(net):
        assert list(row.details) == list(CONDITIONS[row.condition].details)


def test_what_a_condition_changes_is_its_own(add, net):
    def careless(work):
        effect = float(work.filters.abs().mean())
        work.filters.zero_()
        work.kernels.mean.zero_()
        return Measurement(effect=effect, low=0, high=1)

    before = cwda.check(net, ["mean"]).table
    careless = add(careless)
    first, again = careless(net), cwda.check(net, [careless, "mean"])
    assert [row.effect for row in first] == [row.effect for row in again.condition_rows("careless")]
    assert again.table.query("condition == 'mean'")["effect"].tolist() == before["effect"].tolist()
    assert all(layer.weight.any() for layer in net)


def test_a_condition_has_the_kernels_that_it_names_and_no_others(add, net):
    @add
    def unnamed(work):
        return Measurement(effect=float(work.kernel("variance").sum()), low=0, high=1)

    reasons = {row.reason for row in cwda.check(net).condition_rows("unnamed")}
    assert len(reasons) == 3
    assert all("the condition must say needs='variance kernel'" in reason for reason in reasons)


def test_kernels_are_asked_for_by_their_names(add, net):
    def misspelt(work):
        work.kernel("varience")

    def private(work):
        work.kernel("__repr__")

    def crooked(work):
        return work.second_order(work.kernel("mean") + 1.0, 1.0, details={})

    def small(work):
        return work.second_order(torch.zeros(3, 3).double(), 1.0, details={})

    def own(work):
        return work.second_order(work.kernel("within"), 1.0, centred=True, details={})

    def named(work):
        return work.second_order("within", 1.0, details={})

    conditions = [add(each, needs="covariance kernel") for each in (own, named)]
    conditions += [add(each) for each in (misspelt, private, crooked, small)]
    rows = {row.condition: row for row in cwda.check(net.select("c0"), conditions)}
    for name, reason in {
        "misspelt": "no kernel is called 'varience'; did you mean 'variance'?",
        "private": "no kernel is called '__repr__'",
        "crooked": "a kernel is a symmetric matrix with zero diagonal",
        "small": "matrix in float64, not float64 of shape (3, 3)",
    }.items():
        assert reason in rows[name].reason, rows[name].reason
    assert rows["own"].pvalue == pytest.approx(rows["named"].pvalue)
    # One has values without each filter approximately, the other exactly.
    assert rows["own"].effect_high == pytest.approx(rows["named"].effect_high, rel=0.02)


def test_a_new_condition_is_tested_and_described_with_the_others(add, net):
    condition = add()
    result = cwda.check(net)
    assert list(result.summary()["condition"]) == [*(each.name for each in BUILT_IN), "skewness"]
    rows = result.condition_rows("skewness")
    assert [row.effect for row in rows] == [condition(layer).effect for layer in net]
    assert list(condition(net).table["condition"]) == ["skewness"] * 3
    assert list(cwda.describe(net).table["effect_skewness"]) == [row.effect for row in rows]
    assert "skewness" in repr(CONDITIONS)
    CONDITIONS.forget("skewness")
    assert "effect_skewness" not in cwda.describe(net).table


def test_it_is_shown_in_the_terminal(add, tmp_path):
    add(short="skew")
    torch.save({"a.weight": simulated.layer(n=16).weight}, tmp_path / "a.pth")
    shown = CliRunner().invoke(cwda_test, [str(tmp_path / "a.pth")], env={"COLUMNS": "100"})
    assert shown.exit_code == 0
    assert " skew" in next(line for line in shown.output.splitlines() if " homog " in line)
    assert "skewness" in shown.output


def test_it_is_drawn_and_has_a_chapter_of_the_report(add, net, tmp_path):
    add(equation=Formula("abs(gamma)", "the absolute value of gamma"), figure=None)
    result = cwda.check(net.select("c0"))
    heads = [label.get_text() for label in figures.overview(result).get_xticklabels()]
    assert heads[-1] == "skewness\nmargin .200"
    assert "skewness" in figures.effects(result, "skewness").get_xlabel()
    ax = figures.trajectory(cwda.trajectory({0: result, 1: result}))
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y1 <= ax.figure.bbox.height
    lines = [line for line in ax.lines if line.get_label() in CONDITIONS]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == len(CONDITIONS)
    text = cwda.report(result, tmp_path / "net.html", device="cpu").read_text()
    assert "<h2" in text
    assert "Under the null hypothesis, the weights are symmetric around 0." in text
    assert "absolute skewness of all weights" in text
    assert "<mi>𝛾</mi>" in text or "<mi>γ</mi>" in text


def test_a_faulty_equation_is_refused_in_one_line():
    document = Document("title", "subtitle", [], [Equation("abs(gamma", "unclosed")])
    with pytest.raises(cwda.CwdaError, match="cannot be typeset: unclosed delimiter") as caught:
        html_bytes(document)
    assert "\n" not in str(caught.value)


def test_objects_and_names_are_both_taken(add, net):
    condition = add()
    mixed = cwda.check(net, [condition, "variance", cwda.conditions.mean])
    assert list(mixed.summary()["condition"]) == ["variance", "mean", "skewness"]
    assert len(cwda.check(net, condition)) == len(cwda.check(net, "skewness")) == 3


def test_names_are_taken_once_and_functions_may_be_defined_anew(add):
    first = add()
    second = add()
    assert CONDITIONS["skewness"] is second
    with pytest.raises(cwda.CwdaError, match="'skewness' has been forgotten, or defined anew"):
        cwda.check(simulated.network(), first)

    def mean(work):
        return Measurement(effect=0, low=0, high=0)

    with pytest.raises(cwda.CwdaError, match="a condition 'mean' already"):
        add(mean)
    with pytest.raises(cwda.CwdaError, match="define one with `def`"):
        add(lambda work: None)
    with pytest.raises(cwda.CwdaError, match="did you mean 'skewness'"):
        CONDITIONS.forget("skewnes")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": -1}, "the margin of skewness lies above 0"),
        ({"margin": "wide"}, "the margin of skewness"),
        ({"needs": "variance"}, "unknown need 'variance'; did you mean 'variance kernel'"),
        ({"needs": 3}, "need of a condition"),
    ],
)
def test_impossible_conditions_are_refused_in_one_line(add, options, message):
    with pytest.raises(cwda.CwdaError, match=message) as caught:
        add(**options)
    assert "\n" not in str(caught.value)
    assert "skewness" not in CONDITIONS


def test_a_condition_that_raises_is_a_row_with_its_reason(add, net):
    def broken(work):
        return 1 / 0 if work.layer.name == "c1" else skewness(work)

    def kernel(work):
        return work.second_order("within", 1.0, details={})

    def crooked(work):
        return Measurement(effect=0.1, low=0.3, high=0.2)

    def textual(work):
        return Measurement(effect="large", low=0, high=1)

    def shadowing(work):
        return Measurement(effect=0.1, low=0, high=1, details={"effect": 3})

    conditions = [add(each) for each in (broken, kernel, crooked, textual, shadowing)]
    rows = {(row.layer, row.condition): row for row in cwda.check(net, conditions)}
    assert rows["c1", "broken"].reason == "ZeroDivisionError: division by zero"
    assert {rows["c0", "broken"].reason, rows["c2", "broken"].reason} == {""}
    for name, reason in {
        "kernel": "the condition must say needs='covariance kernel'",
        "crooked": "the interval from 0.3 to 0.2 is upside down",
        "textual": "effect is one number, not an object of type str",
        "shadowing": "the table has a column 'effect' already",
    }.items():
        assert reason in rows["c0", name].reason
        assert rows["c0", name].verdict == "not applicable"


def test_a_defect_of_the_package_is_not_hidden(monkeypatch, net):
    def fail(*arguments):
        raise KeyError("x")

    monkeypatch.setattr("cwda.numerics.pairs.ustatistics._wilson", fail)
    with pytest.raises(KeyError):
        cwda.conditions.mean(net)


def test_nonsense_from_the_function_is_one_line(add, net):
    condition = add(lambda_returning(0.3))
    with pytest.raises(cwda.CwdaError, match="gives an object of type float, not a cwda") as caught:
        condition(net[0])
    assert "\n" not in str(caught.value)


def lambda_returning(value):
    def nonsense(work):
        return value

    return nonsense


def test_needs_are_united(add, net):
    seen = []

    def both(work):
        seen.append((work.kernels.variance is None, work.kernels.within is None))
        return Measurement(effect=0, low=0, high=0)

    condition = add(both, needs=["variance kernel", "covariance kernel"])
    condition(net[0])
    cwda.check(net.select("c0"), [condition, "mean"])
    assert seen == [(False, False)] * 2


def test_a_condition_is_calibrated_by_what_it_says(add):
    def draw(rng, size, effect):
        return rng.standard_normal((size.n_filters, size.channels, size.kernel_size)) + effect

    add(calibration=Calibration(truth=lambda law, size: 0.0, draw=draw))
    assert {"skewness 0.1", "skewness 0.2", "skewness 0.4"} < {*DESIGNS}
    result = calibrate(
        ["skewness"], designs="iid,skewness 0.2", sizes=[Size(16, 3, 9)], replicates=2
    )
    assert set(result.table["design"]) == {"iid", "skewness 0.2"}
    assert set(result.table["truth"]) == {0.0, 0.2}
    CONDITIONS.forget("skewness")
    assert "skewness" not in PROCEDURES


def test_a_calibration_without_alternatives_is_refused(add):
    def truth(law, size):
        return 0.0

    for given in ({}, {"parameter": "mean", "draw": truth}):
        with pytest.raises(cwda.CwdaError, match="give either draw or the parameter"):
            Calibration(truth=truth, **given)
    add(calibration=Calibration(truth=truth, parameter="heavy"))
    with pytest.raises(cwda.CwdaError, match="'heavy' is not a parameter of a Design with a size"):
        alternatives("skewness")


def test_the_name_of_a_condition_is_not_looked_up_among_the_parameters(add):
    def heavy(work):
        """Test whether the tails are heavy."""
        return skewness(work)

    def draw(rng, size, effect):
        return rng.standard_normal((size.n_filters, size.channels, size.kernel_size)) + effect

    add(heavy, calibration=Calibration(truth=lambda law, size: 0.0, draw=draw))
    designs = [DESIGNS[name] for name in alternatives("heavy")]
    assert [design.truth("heavy", Size(16, 3, 9)) for design in designs] == [0.1, 0.2, 0.4]
    assert {design.departures for design in designs} == {frozenset({"heavy"})}


def test_the_answer_is_saved_with_its_details(net, tmp_path):
    result = cwda.check(net, ["homogeneity"])
    result.save(tmp_path / "a.json")
    loaded = cwda.conditions.CheckResult.load(tmp_path / "a.json")
    assert loaded.rows == result.rows
    assert isinstance(loaded.rows[0], ConditionResult)
    assert loaded.condition("homogeneity").equals(result.condition("homogeneity"))
    assert loaded.level == 0.9
