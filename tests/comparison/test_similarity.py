"""`compare`: joining, z, departures, and what only one side knows."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import cwda
from cwda.comparison import compare
from cwda.errors import CriterionError, CwdaError
from cwda.layers import ConvLayer, Network, Provenance
from cwda.scoring import similarity
from cwda.theory import LADDER, predict, simulate
from tests.helpers.adjusting import multipletests
from tests.theory.test_closed_form import draw, layer

SEED = 3


def network(*layers, name="net"):
    return Network(name, layers, Provenance("simulated", "array"))


@pytest.fixture(scope="module")
def net():
    rng = np.random.default_rng(SEED)
    layers = [layer(draw(rng, n=32, scale=0.1 * i), f"conv{i}") for i in range(5)]
    return network(*layers)


@pytest.fixture(scope="module")
def found(net):
    return compare(similarity(net, device="cpu"), predict(net, device="cpu"))


def test_a_row_per_layer_pair_and_rung(net, found):
    table = found.table
    assert len(table) == len(found) == 5 * 6 * len(LADDER)
    assert not table.duplicated(["layer", "criterion_a", "criterion_b", "rung"]).any()
    assert list(dict.fromkeys(table["layer"])) == [each.name for each in net]
    measured = similarity(net, device="cpu").table.set_index(
        ["layer", "criterion_a", "criterion_b"]
    )
    predicted = predict(net, device="cpu").table.set_index(
        ["layer", "criterion_a", "criterion_b", "rung"]
    )
    for row in table.itertuples():
        own = measured.loc[(row.layer, row.criterion_a, row.criterion_b)]
        theirs = predicted.loc[(row.layer, row.criterion_a, row.criterion_b, row.rung)]
        assert (row.measured, row.measured_low) == (own["spearman"], own["spearman_low"])
        assert (row.predicted, row.low) == (theirs["spearman"], theirs["low"])
        assert row.difference == theirs["spearman"] - own["spearman"]
        assert row.inside == (theirs["low"] <= own["spearman"] <= theirs["high"])


def test_z_is_that_of_the_prediction_on_fishers_scale(found):
    # the closed form's interval: atanh(r) -+ q sqrt((1 + r^2 / 2) / (n - 3)), Bonett and Wright
    rows = found.table.query("criterion_a == 'l1' and rung == 'block'")
    sd = np.sqrt((1 + rows["predicted"] ** 2 / 2) / (rows["n_filters"] - 3))
    z = (np.arctanh(rows["measured"]) - np.arctanh(rows["predicted"])) / sd
    assert rows["z"].to_numpy() == pytest.approx(z.to_numpy(), rel=1e-9)
    assert rows["pvalue"].to_numpy() == pytest.approx(2 * stats.norm.sf(np.abs(z)), rel=1e-8)


def test_inside_is_z_within_its_quantile(found):
    rows = found.table.dropna(subset=["z"])
    assert len(rows) > 100
    # A coefficient may lie on the limit itself, such as 1.
    assert (rows["inside"] == (rows["z"].abs() <= stats.norm.ppf(0.975) + 1e-12)).all()


def test_departures_are_holms(found):
    rows = found.table.query("criterion_a == 'l1' and criterion_b == 'l2' and rung == 'isotropic'")
    rejected, adjusted, *_ = multipletests(rows["pvalue"], alpha=0.05, method="holm")
    assert rows["pvalue_holm"].to_numpy() == pytest.approx(adjusted, rel=1e-10)
    assert list(rows["departs"]) == list(rejected)
    assert rejected.any()
    worst = found.departures()
    assert worst["departs"].all()
    assert worst["z"].abs().is_monotonic_decreasing
    assert len(worst) == found.table["departs"].sum()


def test_order_of_the_criteria_does_not_matter(net, found):
    turned = similarity(net, ["fermat", "gm", "l2", "l1"], device="cpu")
    other = compare(turned, predict(net, device="cpu")).table
    assert set(zip(other["criterion_a"], other["criterion_b"], strict=True)) >= {("l2", "l1")}
    key = ["layer", "criterion_a", "criterion_b", "rung"]
    swapped = {"criterion_a": "criterion_b", "criterion_b": "criterion_a"}
    joined = other.rename(columns=swapped).merge(found.table, on=key, suffixes=("", "_y"))
    assert len(joined) == len(other)
    # the Fermat point is found to 1e-12, whichever criterion came first
    assert joined["measured"].to_numpy() == pytest.approx(joined["measured_y"].to_numpy())
    assert joined["z"].dropna().to_numpy() == pytest.approx(joined["z_y"].dropna().to_numpy())


def test_summary_is_its_definitions(found):
    row = found.summary().query("criterion_a == 'l2' and criterion_b == 'gm' and rung == 'scale'")
    assert len(row) == 1
    row = row.iloc[0]
    rows = found.table.query("criterion_a == 'l2' and criterion_b == 'gm' and rung == 'scale'")
    error = rows["predicted"] - rows["measured"]
    assert row["layers"] == 5
    assert row["mae"] == pytest.approx(error.abs().mean(), rel=1e-12)
    assert row["bias"] == pytest.approx(error.mean(), rel=1e-12)
    expected = stats.pearsonr(rows["predicted"], rows["measured"]).statistic
    assert row["correlation"] == pytest.approx(expected, rel=1e-9)
    assert row["rms_z"] == pytest.approx(math.sqrt((rows["z"] ** 2).mean()), rel=1e-12)
    assert row["coverage"] == rows["inside"].mean()
    assert row["coverage_low"] < row["coverage"]


def test_an_interval_without_width_gives_a_reason(found):
    rows = found.table.query("criterion_a == 'gm' and rung == 'block'")
    # low and high are 1 up to rounding; a step of the coefficient is 6 / (n^3 - n) = 2e-4 there
    assert (rows["low"] > 1 - 1e-6).all()
    assert rows["z"].isna().all()
    assert rows["departs"].isna().all()
    assert set(rows["reason"]) == {
        "no z-score: the prediction interval is narrower than a step of the coefficient"
    }
    line = found.summary().query("criterion_a == 'gm' and rung == 'block'").iloc[0]
    assert "no layer has a z" in line["reason"]
    assert np.isfinite(found.table["z"].dropna()).all()


def test_perfect_agreement_has_a_finite_z():
    x = draw(np.random.default_rng(SEED), n=12, scale=2.0)  # far apart: every ranking agrees
    one = network(layer(x))
    sim = similarity(one, ["l1", "l2"], device="cpu")
    assert sim.table["spearman"][0] == 1
    found = compare(sim, simulate(one, ["l1", "l2"], rungs="block", device="cpu")).table
    assert found["z"][0] > 1.5
    assert math.isfinite(found["z"][0])


def test_what_only_one_side_knows_keeps_its_rows(net):
    sim = similarity(net.select("conv0,conv1"), ["l1", "random", "l2"], device="cpu")
    pred = predict(net.select("conv1,conv2"), ["l2", "gm", "l1"], rungs="block")
    table = compare(sim, pred).table.set_index(["layer", "criterion_a", "criterion_b"])
    assert table.loc[("conv1", "l1", "l2"), "reason"] == ""
    reason = "not predicted: theory covers l1, l2, gm, fermat"
    assert table.loc[("conv1", "l1", "random"), "reason"] == reason
    assert table.loc[("conv0", "l1", "l2"), "reason"] == "not predicted"
    assert table.loc[("conv2", "l1", "l2"), "reason"] == "not measured"
    assert table.loc[("conv1", "l2", "gm"), "reason"] == "not measured"
    assert set(table["rung"]) == {"block"}
    assert table["difference"].notna().sum() == 1
    assert table["departs"].notna().sum() == 1
    line = compare(sim, pred).summary().set_index(["criterion_a", "criterion_b"])
    assert line.loc[("l1", "random"), ["layers", "undefined"]].tolist() == [0, 2]
    assert line.loc[("l1", "random"), "reason"] == reason


def test_what_one_way_to_predict_knows_alone_keeps_its_rows(net):
    sim = similarity(net, ["l1", "l2"], device="cpu")
    preds = [
        predict(net, ["l1", "l2", "gm"], rungs="scale"),
        simulate(net, ["l1", "l2"], rungs="scale", draws=40),
    ]
    table = compare(sim, preds).table
    assert len(table) == 5 * 3 * 2
    rows = table[(table["layer"] == "conv1") & (table["criterion_b"] == "gm")]
    assert set(rows[rows["method"] == "closed form"]["reason"]) == {"not measured"}
    assert set(rows[rows["method"] == "simulated"]["reason"]) == {"not measured; not predicted"}


def test_undefined_coefficients_have_their_reasons():
    rng = np.random.default_rng(SEED)
    single = ConvLayer("single", torch.from_numpy(rng.standard_normal((1, 4, 3, 3))))
    few = layer(draw(rng, n=5), "few")
    signs = ConvLayer("signs", torch.from_numpy(rng.choice([-1.0, 1.0], (16, 4, 3, 3))))
    bad = network(single, few, signs, layer(draw(rng), "good"))
    found = compare(
        similarity(bad, ["l1", "l2"], device="cpu"),
        predict(bad, ["l1", "l2"], rungs="block", device="cpu"),
    )
    reasons = found.table.set_index("layer")["reason"]
    assert (
        reasons["single"] == "measured: 1 filter; 3 are needed; predicted: 1 filter; 8 are needed"
    )
    assert reasons["few"] == "predicted: 5 filters; 8 are needed"
    assert (
        reasons["signs"] == "measured: all 16 scores of l1 are equal; all 16 scores of l2 are equal"
    )
    assert reasons["good"] == ""
    undefined = found.table[found.table["reason"] != ""]
    assert undefined[["difference", "z", "inside", "departs"]].isna().all(axis=None)
    summary = found.summary().iloc[0]
    assert summary[["layers", "undefined"]].tolist() == [1, 3]
    assert summary["reason"] == "a correlation over layers needs 3, not 1"


def test_several_networks_and_both_methods(net):
    other = network(*net.layers[:3], name="other")
    sims = [similarity(each, ["l1", "l2"], device="cpu") for each in (net, other)]
    preds = [predict(each, ["l1", "l2"], rungs="block") for each in (net, other)]
    preds += [simulate(each, ["l1", "l2"], rungs="block", draws=40) for each in (net, other)]
    found = compare(sims, preds)
    assert len(found) == 2 * (5 + 3)
    assert list(found.summary()["method"]) == ["closed form", "simulated"]
    assert list(found.summary()["layers"]) == [8, 8]
    # Holm counts the layers of one network and method
    rows = found.table.query("network == 'other' and method == 'simulated'")
    expected = multipletests(rows["pvalue"], method="holm")[1]
    assert rows["pvalue_holm"].to_numpy() == pytest.approx(expected, rel=1e-10)


def test_shown_as_text_and_html(found):
    assert "Spearman coefficients in 5 layers of net; .table has" in repr(found)
    assert "rms_z" in repr(found)
    assert "<table" in found._repr_html_()
    assert isinstance(found.table, pd.DataFrame)


def test_bad_input(net):
    sim, pred = similarity(net, ["l1", "l2"]), predict(net, ["l1", "l2"])
    other = network(*net.layers, name="other")
    with pytest.raises(CwdaError, match=r"measured is 'other', but predicted 'net'"):
        compare(similarity(other, ["l1", "l2"]), pred)
    with pytest.raises(CwdaError, match=r"l1-l2 in layer 'conv0' of 'net' is predicted twice"):
        compare(sim, [pred, pred])
    with pytest.raises(CwdaError, match=r"measured twice"):
        compare([sim, sim], pred)
    with pytest.raises(CwdaError, match=r"one level, not \[0.9, 0.95\]"):
        compare(sim, [pred, predict(net, ["l1", "l2"], level=0.9)])
    with pytest.raises(CwdaError, match=r"needs a SimilarityResult.*not PredictedSimilarity"):
        compare(pred, sim)
    with pytest.raises(CwdaError, match=r"needs a PredictedSimilarity.*not nothing"):
        compare(sim, [])
    narrow = network(*(ConvLayer(each.name, each.weight[:16]) for each in net))
    with pytest.raises(CwdaError, match=r"'conv0' of 'net' has 32 filters where measured, 16"):
        compare(sim, predict(narrow, ["l1", "l2"]))


@pytest.mark.parametrize("predict", [predict, simulate, similarity])
def test_bad_criteria_are_one_line_on_both_sides(net, predict):
    with pytest.raises(CriterionError, match=r"'fermet'; did you mean 'fermat'\?"):
        predict(net, ["l1", "fermet"])
    with pytest.raises(CriterionError, match="2 criteria or more are needed, not 1"):
        predict(net, ["l1"])


def test_an_array_stands_for_a_network_on_both_sides():
    array = np.random.default_rng(SEED).normal(size=(8, 9, 24))
    found = compare(cwda.similarity(array), predict(array, rungs=["block"]))
    assert len(found) == 6
