"""Predicted losses of layers beside the measured selection, and bad input."""

import math

import numpy as np
import pytest
import torch

from cwda.comparison import applicability, global_pruning
from cwda.errors import CriterionError, CwdaError, SelectionError
from cwda.layers import ConvLayer
from cwda.loading import load
from cwda.pruning import overlap, select
from tests.helpers.networks import network, random_layer


def made_up(sd=0.2, seed=0):
    """Four layers of filters that follow the model, scale included."""
    rng, layers = np.random.default_rng(seed), []
    for i, (n, channels, sigma) in enumerate(
        [(64, 16, 1), (64, 16, 1.3), (96, 32, 1), (64, 64, 0.5)]
    ):
        weight = sigma * rng.normal(size=(n, channels, 3, 3))
        weight *= np.exp(sd * rng.normal(size=(n, 1, 1, 1)))
        layers.append(ConvLayer(f"conv{i}", torch.from_numpy(weight)))
    return network(*layers)


@pytest.mark.parametrize("normalise", [None, "mean", "zscore"])
def test_measured_columns_are_the_selection(normalise):
    net = made_up()
    found = global_pruning(net, ["l1", "fermat"], ratios=0.3, normalise=normalise, rungs="scale")
    chosen = {
        each: select(net, each, 0.3, strategy="global", normalise=normalise)
        for each in ("l1", "fermat")
    }
    for row in found.table.itertuples():
        assert row.share_measured == len(chosen[row.criterion].pruned[row.layer]) / row.n_filters
        assert row.emptied == (row.layer in chosen[row.criterion].emptied)
    assert found.overlap_table["overlap_measured"].tolist() == [overlap(*chosen.values())]


@pytest.mark.parametrize("normalise", [None, "mean", "zscore"])
def test_prediction_meets_networks_that_follow_the_model(normalise):
    net = made_up()
    found = global_pruning(net, normalise=normalise, rungs=["scale"])
    assert (found.table["reason"] == "").all()
    summary = found.summary()
    assert (summary["error"] < 0.06).all()
    assert summary["within"].mean() > 0.9
    error = found.overlap_table["overlap_predicted"] - found.overlap_table["overlap_measured"]
    # sets of 28 filters at ratio .1: one filter more in common moves the index by .03
    assert error.abs().mean() < 0.04
    assert error.abs().max() < 0.17
    ratio = found.table["mean"] / found.table["mean_measured"]
    assert ratio.between(0.95, 1.05).all()


def test_within_is_what_the_columns_say():
    """Limits are shares of whole filters, so that a comparison of columns is the summary's."""
    found = global_pruning(made_up(), ["l1", "l2"], ratios=(0.1, 0.5))
    table = found.table
    assert table[["share_low", "share_high"]].notna().all(axis=None)
    for column in ("share_low", "share_high"):
        counts = table[column] * table["n_filters"]
        assert np.allclose(counts, counts.round(), atol=1e-9)
    inside = table["share_measured"].between(table["share_low"], table["share_high"])
    keys = ["criterion", "rung", "ratio"]
    expected = inside.groupby([table[key] for key in keys], sort=False).mean()
    assert found.summary()["within"].tolist() == pytest.approx(expected.tolist())
    # a share next to 0 or 1 lies within a filter of its interval, which is none or all of them
    one = 1 / table["n_filters"]
    assert (
        table["share_predicted"].between(table["share_low"] - one, table["share_high"] + one).all()
    )


def test_cwda_predicts_networks_of_one_scale():
    found = global_pruning(made_up(sd=0), rungs=["block"])
    assert (found.summary()["error"] < 0.04).all()
    ratio = found.table["sd"] / found.table["sd_measured"]
    assert ratio.between(0.7, 1.35).all()


def test_whole_layers_go_first_where_means_are_far_apart():
    found = global_pruning(made_up(sd=0), ["l1", "gm"], ratios=0.5, rungs=["block"])
    assert found.summary()["whole_layers_first"].all()
    assert (found.summary()["between_predicted"] > 0.9).all()
    rows = found.table[found.table["criterion"] == "l1"].set_index("layer")
    assert rows["emptied"]["conv0"]
    assert rows["danger"]["conv0"]
    assert rows["emptied_predicted"]["conv0"] == pytest.approx(1, abs=1e-6)
    assert not rows["danger"]["conv2"]
    assert (
        "whole_layers_first"
        not in global_pruning(made_up(), ["l1"], ratios=0.5, normalise="mean").summary()
    )


def test_bad_layers_have_reasons_and_stop_nothing():
    bad = random_layer("bad")
    bad.weight[0, 0, 0, 0] = math.nan
    net = network(bad, random_layer("few", filters=6), *made_up())
    found = global_pruning(net, ["l2"], ratios=0.5).table
    rows = found[found["rung"] == "scale"].set_index("layer")
    assert "no prediction" in rows["reason"]["bad"]
    assert "not ranked" in rows["reason"]["bad"]
    assert math.isnan(rows["share_measured"]["bad"])
    assert rows["reason"]["few"] == "no prediction: 6 filters; 8 are needed"
    assert rows["share_measured"]["few"] >= 0
    assert rows["share_predicted"].notna().sum() == 4
    missing = found["share_predicted"].isna()
    assert (found.loc[missing, "reason"] != "").all()


@pytest.mark.parametrize("decades", [20, 100, 300])
def test_a_layer_of_living_and_dying_filters_has_a_reason(decades):
    dying = random_layer("dying")
    weight = dying.weight.double().clone()
    weight[: 2 * len(weight) // 5] *= 10.0**-decades
    dying = ConvLayer("dying", weight)
    net = network(dying, *made_up())
    criteria = ["l2", "gm"]
    table = global_pruning(net, criteria, ratios=0.5).table
    reasons = table.loc[table["layer"] == "dying", "reason"]
    assert reasons.str.contains("spread over too many orders of magnitude").all()
    assert (table.loc[table["layer"] != "dying", "reason"] == "").all()
    judged = applicability(net, ["l2"]).table.set_index("layer")
    assert judged.loc["dying", "apart"] == 2 * len(weight) // 5
    assert judged.loc["dying", "swap_apart"] < 0.01


def test_criteria_without_a_theory():
    found = global_pruning(made_up(), ["random", "l2"], ratios=0.5, rungs=["block"])
    rows = found.table[found.table["criterion"] == "random"]
    assert rows["share_predicted"].isna().all()
    assert rows["share_measured"].notna().all()
    assert (rows["reason"] == "no theory of random: its selection is measured only").all()
    assert found.overlap_table["overlap_predicted"].isna().all()
    assert "no theory of random" in found.overlap_table["reason"][0]
    assert 0 < found.overlap_table["overlap_measured"][0] < 1


def test_no_layer_can_be_predicted():
    found = global_pruning(network(random_layer(filters=4)), ["l1", "l2"], ratios=0.5)
    assert found.table["share_predicted"].isna().all()
    assert (found.overlap_table["reason"] == "no layer has a prediction").all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"criteria": ["fermatt"]}, CriterionError, "did you mean 'fermat'"),
        ({"ratios": [0.5, 1.0]}, SelectionError, "lies between 0 and 1"),
        ({"ratios": []}, SelectionError, "no pruning ratio given"),
        ({"normalise": "means"}, SelectionError, "did you mean 'mean'"),
        ({"rungs": ["blocks"]}, CwdaError, "did you mean 'block'"),
    ],
)
def test_bad_parameters(options, error, message):
    with pytest.raises(error, match=message):
        global_pruning(made_up(), **options)


def test_it_shows_itself():
    found = global_pruning(load("resnet20-cifar10"), ["l1", "l2"], ratios=0.5, rungs="scale")
    assert len(found.table) == 19 * 2
    assert len(found.overlap_table) == 1
    assert "resnet20-cifar10, raw scores" in repr(found)
    assert "<table" in found._repr_html_()


def test_a_ratio_given_twice_has_one_row_for_each_layer():
    net = made_up()
    found = global_pruning(net, "l1", ratios=(0.5, 0.3, 0.5), rungs="scale").table
    once = global_pruning(net, "l1", ratios=(0.5, 0.3), rungs="scale").table
    assert found.equals(once)
