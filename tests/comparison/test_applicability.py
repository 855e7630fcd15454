"""Measured dispersion beside the predicted one, verdicts, and bad input."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from cwda.comparison import applicability
from cwda.comparison.fresh_images import share_of_swaps, swaps_of_halves
from cwda.errors import CriterionError, SelectionError
from cwda.layers import ConvLayer
from cwda.loading import load
from cwda.scoring import NORM_BASED, Criterion, criterion, get_criterion, scores
from cwda.scoring.dispersion import dispersion
from cwda.theory import BLOCK, SCALE, fit_layer, score_law, swap_probability
from cwda.theory.log_scores.score_moments import importance_scores
from tests.helpers.networks import layer_of, network, random_layer


def scaled_layer(name, sd, seed=0, filters=64):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(filters, 16, 3, 3))
    weight *= np.exp(sd * rng.normal(size=(filters, 1, 1, 1)))
    return ConvLayer(name, torch.from_numpy(weight))


def test_rows_join_what_is_measured_and_predicted():
    net = network(scaled_layer("a", 0.2), scaled_layer("b", 0.05, 1))
    found = applicability(net).table
    assert found[["layer", "criterion"]].values.tolist() == [
        [name, each] for name in ("a", "b") for each in NORM_BASED
    ]
    assert (found["reason"] == "").all()
    measured = dispersion(net).table
    for column in ("mean", "sd", "cv", "robust_cv", "q90_q10", "gini", "lowest"):
        assert found[column].tolist() == measured[column].tolist()
    for column, rung in (("cv_predicted", BLOCK), ("cv_scale", SCALE)):
        known = {layer.name: rung(fit_layer(layer)) for layer in net}
        expected = [score_law(known[row.layer], row.criterion).cv for row in found.itertuples()]
        assert found[column].tolist() == expected
    assert np.allclose(found["cv_ratio"], found["cv"] / found["cv_predicted"], rtol=1e-14)
    assert (found["swap_filters_low"] <= found["swap_filters"]).all()
    assert (found["swap_filters"] <= found["swap_filters_high"]).all()
    # the closed form for normal scores, and the mean over the scores that there are
    assert np.allclose(found["swap_filters"], found["swap_normal"], atol=0.06)
    assert found["swap_images"].isna().all()
    assert (found["basis"] == "fresh filters").all()


@pytest.mark.parametrize(
    ("sd", "verdict"),
    [(0.0, "cannot discriminate"), (0.08, "weakly"), (0.4, "discriminates")],
)
def test_verdicts_follow_the_scale_of_the_filters(sd, verdict):
    found = applicability(scaled_layer("a", sd), ["l2"]).table.iloc[0]
    assert found["verdict"] == verdict
    assert f"{found['swap_filters']:.0%} of the pairs" in found["statement"]


@pytest.mark.parametrize("rank", [None, 8])
@pytest.mark.parametrize("sd", [0.0, 0.1])
def test_the_stated_chance_is_what_fresh_filters_show(sd, rank):
    """24 layers, drawn twice with the same scales; channels independent, or of a few directions."""
    rng, n, channels, layers = np.random.default_rng(3), 64, 32, 24
    drawn = []
    for _ in range(layers):
        scales = np.exp(sd * rng.normal(size=(1, n, 1, 1)))
        if rank is None:
            drawn.append(scales * rng.normal(size=(2, n, channels, 9)))
        else:
            mixing = rng.normal(size=(channels, rank))
            drawn.append(scales * (mixing @ rng.normal(size=(2, n, rank, 9))))
    net = network(
        *[
            ConvLayer(f"{i}", torch.from_numpy(once.reshape(n, channels, 3, 3)))
            for i, (once, _) in enumerate(drawn)
        ]
    )
    found = applicability(net).table
    for i, name in enumerate(NORM_BASED):
        swaps = []
        for pair in drawn:
            once, again = importance_scores(torch.from_numpy(pair).flatten(2))[:, i].numpy()
            swaps.append(share_of_swaps(once, again, n // 2))
        error = np.std(swaps) / math.sqrt(layers)
        stated = found.loc[found["criterion"] == name, "swap_filters"]
        # an estimated signal cannot be negative, so a coin is stated a little too low
        assert stated.mean() == pytest.approx(np.mean(swaps), abs=3 * error + 0.03), name
        assert error < 0.02


@pytest.mark.parametrize("depth", [0.0, 1e-9, 0.02, 0.2])
@pytest.mark.parametrize("sd", [0.0, 0.1])
@pytest.mark.parametrize("dead", [1, 5])
def test_dead_filters_are_told_apart(dead, sd, depth):
    layer = scaled_layer("a", sd)
    layer.weight[:dead] *= depth
    exactly = applicability(layer, ratio=dead / 64).table
    assert (exactly["swap_filters"] < 0.05).all()
    assert (exactly["verdict"] == "discriminates").all()
    half = applicability(layer).table
    assert (half["apart"] == dead).all()
    assert (half["swap_apart"] < 0.05).all()
    assert f"{dead} filter" in half["statement"][0]
    # the others are as hard to tell apart as they are without dead ones
    alone = ConvLayer("a", layer.weight[dead:])
    others = applicability(alone, ratio=(32 - dead) / (64 - dead)).table
    pairs = (32 - dead) * 32 / (32 * 32)
    assert np.allclose(half["swap_filters"], pairs * others["swap_filters"], atol=0.02)


def test_nothing_is_found_where_none_is_dead():
    layers = [scaled_layer(f"{sd} {seed}", sd, seed) for sd in (0, 0.1, 0.3) for seed in range(8)]
    found = applicability(network(*layers)).table
    assert (found["apart"] == 0).all()
    assert (found["smallest"] == "ordinary").all()
    assert found["swap_apart"].isna().all()
    inside = (found["lowest_low"] <= found["lowest"]) & (found["lowest"] <= found["lowest_high"])
    assert inside.mean() > 0.85


@pytest.mark.parametrize("depth", [0.0, 0.01])
def test_half_of_the_filters_are_dead(depth):
    layer = scaled_layer("a", 0.0)
    layer.weight[::2] *= depth
    found = applicability(layer).table
    assert (found["swap_filters"] < 1e-6).all()
    assert (found["apart"] == 32).all()
    beyond = applicability(layer, ["l2"], ratio=0.75).table.iloc[0]
    assert beyond["swap_filters"] == pytest.approx(0.5 / 3, abs=0.04)


def test_all_but_one_are_dead():
    layer = scaled_layer("a", 0.0)
    layer.weight[1:] = 0
    found = applicability(layer, ["l1", "l2"]).table
    assert found["swap_filters"].tolist() == pytest.approx([31 / 64, 31 / 64])
    assert found["apart"].tolist() == [63, 63]
    # the one filter has no law; pruned with the others, it is not known what it would show
    assert applicability(layer, ["l2"], ratio=63 / 64).table["swap_filters"][0] == 0


def test_filters_that_are_equal_but_not_zero_may_swap():
    """Seven live filters have no law; the others are one small filter again and again."""
    layer = scaled_layer("a", 0.0, filters=16)
    layer.weight[7:] = 1e-3 * layer.weight[7]
    assert applicability(layer, ["l1", "l2", "gm"]).table["swap_filters"].isna().all()
    layer.weight[7:] = 0
    assert applicability(layer, ["l1", "l2"]).table["swap_filters"].notna().all()


def test_a_few_large_filters_change_nothing_among_the_others():
    layer = scaled_layer("a", 0.0)
    layer.weight[:3] *= 5
    found = applicability(layer, ["l2"], ratio=0.95).table.iloc[0]
    assert found["apart"] == 0
    assert found["swap_filters"] < 0.2
    assert applicability(layer, ["l2"], ratio=61 / 64).table["swap_filters"][0] < 1e-6


def test_two_sizes_of_filters():
    layer = scaled_layer("a", 0.0)
    layer.weight[::2] *= 0.5
    assert (applicability(layer).table["swap_filters"] < 0.01).all()


def test_bad_layers_have_reasons():
    bad = random_layer("bad")
    bad.weight[0, 0, 0, 0] = math.nan
    net = network(
        bad,
        layer_of([[1.0, 2.0]] * 16, "same"),
        random_layer("one", filters=1),
        random_layer("few", filters=6),
        scaled_layer("good", 0.3),
    )
    found = applicability(net, ["l2"]).table.set_index("layer")
    assert found["verdict"].to_dict() == {
        "bad": "not applicable",
        "same": "cannot discriminate",
        "one": "not applicable",
        "few": "not applicable",
        "good": "discriminates",
    }
    assert "NaN or infinite" in found["reason"]["bad"]
    assert found["reason"]["same"] == "all 16 scores of l2 are equal"
    assert found["reason"]["one"] == "1 filter; 2 are needed"
    assert found["reason"]["few"] == "no prediction: 6 filters; 8 are needed"
    assert found["cv"]["few"] > 0
    missing = found["swap_filters"].isna()
    assert (found.loc[missing, "reason"] != "").all()


def test_a_ratio_that_prunes_nothing():
    found = applicability(scaled_layer("a", 0.3), ["l2"], ratio=0.01).table.iloc[0]
    assert found["verdict"] == "not applicable"
    assert found["reason"] == "0.01 of 64 filters is none: no pair across the threshold"
    assert found["cv_ratio"] > 1
    assert math.isnan(found["swap_filters"])


HEAVY = {
    "t3": lambda rng, shape: rng.standard_t(3, size=shape),
    "t5": lambda rng, shape: rng.standard_t(5, size=shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "zeros": lambda rng, shape: rng.normal(size=shape) * (rng.random(shape) < 0.1),
    "kernels": lambda rng, shape: (
        rng.normal(size=shape) * np.exp(0.6 * rng.normal(size=(*shape[:2], 1, 1)))
    ),
}


@pytest.mark.parametrize("law", HEAVY)
def test_heavy_tails_and_zeros_are_no_signal(law):
    """i.i.d. weights: by the noise of normal ones most of these layers would discriminate."""
    rng = np.random.default_rng(0)
    tables = []
    for _ in range(10):
        weight = HEAVY[law](rng, (64, 32, 3, 3))
        layer = ConvLayer("a", torch.from_numpy(weight))
        tables.append(applicability(layer, progress=False).table)
    found = pd.concat(tables)
    assert (found["verdict"] == "cannot discriminate").all()
    assert (found.groupby("criterion")["swap_filters"].mean() > 0.4).all()
    assert (found["noise_ratio"] > 1.3).all()


def test_noise_of_normal_weights_is_theirs():
    found = [applicability(scaled_layer("a", 0.2, seed), ["l1", "l2"]).table for seed in range(10)]
    assert pd.concat(found)["noise_ratio"].mean() == pytest.approx(1, abs=0.02)


def test_real_scales_are_found_under_heavy_tails():
    rng, stated, seen = np.random.default_rng(1), [], []
    for _ in range(20):
        scale = np.exp(0.3 * rng.normal(size=(64, 1, 1, 1)))
        old, fresh = (scale * rng.laplace(size=(64, 32, 3, 3)) for _ in range(2))
        table = applicability(ConvLayer("a", torch.from_numpy(old)), ["l2"], progress=False).table
        assert table["verdict"][0] == "discriminates"
        stated.append(table["swap_filters"][0])
        norms = [np.sqrt(np.square(each).sum((1, 2, 3))) for each in (old, fresh)]
        seen.append(share_of_swaps(*norms, 32))
    assert np.mean(stated) == pytest.approx(np.mean(seen), abs=0.012)


@pytest.mark.parametrize(("filters", "sd"), [(16, 0.2), (32, 0.1), (64, 0.1)])
def test_the_interval_holds_what_these_filters_would_swap(filters, sd):
    rng, inside = np.random.default_rng(filters), 0
    noise = 1 / math.sqrt(2 * 144)  # of log l2
    for seed in range(60):
        layer = scaled_layer("a", sd, seed, filters)
        scales = np.random.default_rng(seed)
        scales.normal(size=layer.weight.shape)
        theta = sd * scales.normal(size=filters)
        x = np.log(layer.weight.flatten(1).norm(dim=1).numpy())
        fresh = theta + noise * rng.normal(size=(300, filters))
        truth = np.mean([share_of_swaps(x, each, filters // 2) for each in fresh])
        row = applicability(layer, ["l2"], progress=False).table.iloc[0]
        inside += row["swap_filters_low"] <= truth <= row["swap_filters_high"]
    # standard error of a share of .95 in 60: .028
    assert inside / 60 > 0.88


def test_criteria_without_a_theory():
    @criterion("largest", formula="max_p |F_jp|")
    def largest(filters):
        return filters.values.abs().amax(1)

    found = applicability(scaled_layer("a", 0.3), ["largest", "l1"]).table
    assert found["cv"].notna().all()
    assert math.isnan(found["cv_predicted"][0])
    assert found["reason"][0] == "no theory of largest: dispersion is measured only"
    assert found["verdict"].tolist() == ["not applicable", "discriminates"]


def some_data(images, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(images, 3, 8, 8, generator=rng), torch.arange(images) % 4


def test_fresh_images_of_criteria_from_data():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(576, 4)
        )
        nn.init.uniform_(model[1].weight)
    criteria = ["l2", "bn_gamma", "taylor_l1", "apoz"]
    found, other = (
        applicability(model, criteria, data=some_data(64, seed), batch_size=8).table.set_index(
            "criterion"
        )
        for seed in (0, 1)
    )
    assert found["basis"].tolist() == ["fresh filters", "", "fresh images", "fresh images"]
    assert found["swap_images"].notna().tolist() == [False, False, True, True]
    assert found["swap_filters"].notna().tolist() == [True, False, False, False]
    assert (found["swap_images_low"] <= found["swap_images"]).iloc[2:].all()
    assert (found["swap_images"] <= found["swap_images_high"]).iloc[2:].all()
    assert "one trained number for each filter" in found["reason"]["bn_gamma"]
    assert "with fresh images" in found["statement"]["apoz"]
    # what two draws show of one another
    networks = [scores(model, criteria, data=some_data(64, seed), batch_size=8) for seed in (0, 1)]
    for name in ("taylor_l1", "apoz"):
        a, b = (each.wide("0")[name].to_numpy() for each in networks)
        swaps = (share_of_swaps(a, b, 8) + share_of_swaps(b, a, 8)) / 2
        mean = (found["swap_images"][name] + other["swap_images"][name]) / 2
        assert mean == pytest.approx(swaps, abs=0.12)
    one = applicability(model, "taylor_l1", data=some_data(64), batch_size=64).table
    assert one["verdict"][0] == "not applicable"
    assert "one batch" in one["reason"][0]


def test_scores_of_halves_that_are_not_finite_are_told():
    calls = []

    def once(filters):
        """Finite scores of all images, which come first."""
        calls.append(filters.name)
        return filters.values.norm(dim=1) / (1 if len(calls) == 1 else 0)

    with torch.random.fork_rng():
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    found = applicability(
        model,
        Criterion("once", "", once, needs=get_criterion("apoz").needs),
        data=some_data(8),
        batch_size=4,
    ).table
    assert found["reason"][0] == "scores of a half of the images are not finite"


def test_halves_are_stepped_up():
    rng, n = np.random.default_rng(0), 64
    predicted, seen = [], []
    for _ in range(200):
        signal = rng.normal(size=n)
        halves = signal + rng.normal(size=(1, 2, n))
        predicted.append(swaps_of_halves(halves, 16, 2, 0.95))
        a, b = signal + math.sqrt(0.5) * rng.normal(size=(2, n))
        seen.append(share_of_swaps(a, b, 16))
    swap, low, high = np.mean(predicted, 0)
    assert swap == pytest.approx(np.mean(seen), abs=0.012)
    truth = float(swap_probability(0.25, 2 / 3))
    inside = [each.low <= truth <= each.high for each in predicted]
    assert low < swap < high
    assert np.mean(inside) > 0.9


@pytest.mark.parametrize("n", [8, 12, 16])
@pytest.mark.parametrize("reliability", [0.5, 0.9])
def test_intervals_of_few_filters_cover(n, reliability):
    """One split in halves, the fewest there can be."""
    rng, inside = np.random.default_rng(n), []
    noise = math.sqrt((1 - reliability) / reliability)
    truth = float(swap_probability(0.5, reliability))
    for _ in range(200):
        signal = rng.normal(size=n)
        halves = signal + math.sqrt(2) * noise * rng.normal(size=(1, 2, n))
        found = swaps_of_halves(halves, n // 2, 2, 0.95)
        inside.append(found.low <= truth <= found.high)
    assert np.mean(inside) > 0.9  # standard error of a share of .95 in 200: .015


def test_share_of_swaps_by_loops():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 12)).astype(float)
    order = sorted(range(12), key=lambda i: a[i])
    pairs = [(b[i], b[j]) for i in order[:5] for j in order[5:]]
    expected = np.mean([(x > y) + 0.5 * (x == y) for x, y in pairs])
    assert share_of_swaps(a, b, 5) == pytest.approx(expected)


def test_bad_parameters():
    layer = scaled_layer("a", 0.3)
    with pytest.raises(CriterionError, match="did you mean 'gm'"):
        applicability(layer, ["l1", "gmm"])
    for ratio in (0, 1, -0.5, math.nan):
        with pytest.raises(SelectionError, match="lies between 0 and 1"):
            applicability(layer, ratio=ratio)


def test_weights_of_any_size_give_the_same_verdict():
    layer = scaled_layer("a", 0.2)
    tiny = ConvLayer("a", layer.weight * 1e-12)
    one, other = (applicability(each).table for each in (layer, tiny))
    for column in ("cv", "cv_scale", "gini", "swap_filters"):
        assert np.allclose(one[column], other[column], rtol=1e-8)


def test_it_shows_itself():
    found = applicability(load("resnet20-cifar10"))
    assert len(found.table) == 19 * 4
    summary = found.summary()
    assert summary["criterion"].tolist() == list(NORM_BASED)
    counts = ["discriminates", "weakly", "cannot_discriminate", "not_applicable"]
    assert (summary[counts].sum(axis=1) == 19).all()
    assert "resnet20-cifar10, and whether they discriminate at a ratio of 0.5" in repr(found)
    assert "<table" in found._repr_html_()
    assert applicability(network(), ["l1"]).table.empty
