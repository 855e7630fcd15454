"""Error bars of criteria from data: against plain loops, formulas and simulated scores."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from cwda.comparison import global_pruning
from cwda.errors import CriterionError, SelectionError
from cwda.numerics.jackknife import grouped_jackknife_variance
from cwda.pruning import Plan, select
from cwda.pruning.stability import warn_of_change
from cwda.scoring import NEEDS, collect, get_criterion, reliability, scores, similarity
from cwda.scoring.error_bars.disattenuation import spearman_brown
from cwda.scoring.error_bars.estimate import (
    GROUPS,
    another_draw,
    crossed,
    disattenuated_interval,
    images_for_share,
    images_needed,
    split_changes,
    stepped_up,
)
from cwda.scoring.error_bars.replicates import replicates
from cwda.scoring.error_bars.result import warning_of
from cwda.scoring.scores import score_layer
from cwda.scoring.statistics.collected import Collected, Part
from tests.helpers.modules import images, mixed
from tests.helpers.networks import network, random_layer

RELIABILITIES = st.floats(0.05, 0.95)


def _halves(values):
    """Halves of the splits of 8 parts, parts x criteria x filters."""
    every = Collected(parts=(Part({}, 1, 1),) * len(values)).splits
    return torch.stack(
        [torch.stack([values[list(side)].mean(0) for side in sides]) for sides in every]
    )


def _simulated(n, reliability, correlation, seed, parts=8):
    """Two scores of n filters whose means over the parts have this reliability, and the truth."""
    rng = torch.Generator().manual_seed(seed)
    truth = torch.randn(2, n, generator=rng, dtype=torch.float64)
    truth[1] = correlation * truth[0] + math.sqrt(1 - correlation**2) * truth[1]
    noise = torch.randn(parts, 2, n, generator=rng, dtype=torch.float64)
    return truth + noise * math.sqrt((1 - reliability) / reliability * parts), truth


@pytest.fixture(scope="module")
def pass_over_data():
    model, (x, y) = mixed(), images()
    x, y = x.repeat(2, 1, 1, 1)[:18], y.repeat(2)[:18]
    x = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    return model, x, y, collect(model, data=(x, y), batch_size=2, device="cpu")


# ---- parts of the images ----


def test_halves_are_what_every_other_batch_gives(pass_over_data):
    model, x, y, whole = pass_over_data
    batches = [(x[at : at + 2], y[at : at + 2]) for at in range(0, 18, 2)]
    names = ["apoz", "taylor_l1", "snip", "obd", "hrank", "entropy", "bn_gamma"]
    assert (len(whole.parts), whole.halves[0].images, whole.halves[1].images) == (8, 10, 8)
    for half, start in zip(whole.halves, (0, 1), strict=True):
        alone = collect(model, data=batches[start::2], device="cpu")
        assert (half.images, half.batches) == (alone.images, alone.batches)
        tables = [scores(model, names, data=one, device="cpu").table for one in (half, alone)]
        np.testing.assert_allclose(tables[0]["score"], tables[1]["score"], rtol=1e-9)
        assert (tables[0]["reason"] == tables[1]["reason"]).all()


def test_all_parts_together_are_all_images(pass_over_data):
    *_, whole = pass_over_data
    for name, layer in whole.layers.items():
        joined = whole.layer_of_parts(name, range(8))
        assert joined.missing == layer.missing
        for statistic in layer.present:
            assert statistic in NEEDS
            assert statistic in joined.present
        if "gradients" in layer.present:
            torch.testing.assert_close(joined.gradients.mean, layer.gradients.mean)


@pytest.mark.parametrize(("batches", "parts"), [(1, 0), (2, 2), (3, 2), (5, 4), (9, 8), (20, 8)])
def test_parts_are_a_power_of_two_and_lose_no_image(batches, parts):
    data = [torch.randn(1 + i % 2, 3, 12, 12, generator=_rng(i)) for i in range(batches)]
    whole = collect(mixed(), "activations", data=iter(data), device="cpu")
    assert len(whole.parts) == parts
    assert sum(part.images for part in whole.parts) == (whole.images if parts else 0)
    assert (whole.halves is None) == (parts == 0)


def _rng(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_splits_cross_evenly(count):
    splits = Collected(parts=(Part({}, 1, 1),) * count).splits
    signs = np.array([[1 if i in first else -1 for i in range(count)] for first, _ in splits])
    np.testing.assert_array_equal(signs @ signs.T, count * np.eye(count - 1))
    assert (signs.sum(1) == 0).all()
    assert splits[0] == (tuple(range(0, count, 2)), tuple(range(1, count, 2)))


# ---- the formulas ----


@given(RELIABILITIES, st.floats(1, 50), st.floats(1, 50))
def test_stepping_up_twice_is_stepping_up_once(value, first, second):
    twice = spearman_brown(spearman_brown(value, first), second)
    assert twice == pytest.approx(spearman_brown(value, first * second), rel=1e-12)
    assert spearman_brown(value, first) >= value - 1e-15


@given(RELIABILITIES, RELIABILITIES, st.integers(2, 100_000))
def test_the_images_needed_reach_the_target(value, target, images):
    needed = images_needed(value, images, target)
    assert spearman_brown(value, needed / images) >= target - 1e-9
    if needed > 1:
        assert spearman_brown(value, (needed - 1) / images) <= target + 1e-9


def test_what_cannot_be_reached_is_infinite():
    assert images_needed(0.0, 512, 0.9) == images_needed(-0.3, 512, 0.9) == math.inf
    assert math.isnan(images_needed(math.nan, 512, 0.9))
    assert spearman_brown(-1.0, 2) == -math.inf
    assert spearman_brown(1.0, 2) == 1


@pytest.mark.parametrize("correlation", [-0.3, 0.0, 0.4, 0.9, 0.999])
def test_the_share_of_another_draw_is_sheppard_s_at_one_half(correlation):
    share, latent = another_draw(0.5 - math.asin(correlation) / math.pi, 0.5, 1.0)
    assert latent == pytest.approx(correlation, abs=1e-5)
    assert share == pytest.approx(0.5 - math.asin(correlation) / math.pi, abs=1e-6)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.8])
def test_the_share_of_another_draw_against_drawn_scores(ratio):
    rng = np.random.default_rng(0)
    n, reliable = 200_000, 0.6
    truth = rng.normal(size=n) * math.sqrt(reliable)
    halves = truth + rng.normal(size=(2, n)) * math.sqrt(1 - reliable)
    more = spearman_brown(reliable, 2)
    full = truth * math.sqrt(more / reliable) + rng.normal(size=(2, n)) * math.sqrt(1 - more)

    def changed(scores):
        low = scores < np.quantile(scores, ratio, axis=1, keepdims=True)
        return 1 - (low[0] & low[1]).sum() / low[0].sum()

    share, latent = another_draw(changed(halves), ratio, 2)
    assert share == pytest.approx(changed(full), abs=0.006)
    assert latent == pytest.approx(more, abs=0.01)
    needed = images_for_share(latent, 1000, ratio, share / 2)
    assert another_draw(changed(halves), ratio, 2 * needed / 1000)[0] == pytest.approx(
        share / 2, abs=1e-3
    )


def test_perfect_halves_change_nothing():
    assert another_draw(0.0, 0.5, 2) == (0.0, 1.0)
    assert images_for_share(1.0, 100, 0.5, 0.1) == 1
    assert math.isnan(another_draw(math.nan, 0.0, 2)[0])


# ---- against plain loops ----


@pytest.mark.parametrize("n", [12, GROUPS + 21])
def test_correlations_of_halves_are_scipy_s(n):
    halves = _halves(_simulated(n, 0.7, 0.8, 0)[0])
    found = crossed(halves)

    def loop(kept):
        total = np.zeros((2, 2))
        for first, second in halves[..., kept].numpy():
            for a in range(2):
                for b in range(2):
                    total[a, b] += stats.spearmanr(first[a], second[b]).statistic / 14
                    total[a, b] += stats.spearmanr(first[b], second[a]).statistic / 14
        return total

    np.testing.assert_allclose(found.values, loop(np.ones(n, bool)), atol=1e-12)
    groups = min(n, GROUPS)
    assert len(found.left_out) == groups
    kept = np.arange(n) % groups != 3
    np.testing.assert_allclose(found.left_out[3], loop(kept), atol=1e-12)
    assert found.sizes.sum() == pytest.approx(1)


def test_the_jackknife_of_a_mean_is_its_squared_standard_error():
    x = torch.randn(40, generator=_rng(0), dtype=torch.float64)
    alone = torch.stack([torch.cat([x[:i], x[i + 1 :]]).mean() for i in range(40)])
    sizes = torch.full((40,), 1 / 40, dtype=torch.float64)
    assert float(grouped_jackknife_variance(x.mean(), alone, sizes)) == pytest.approx(
        float(x.var()) / 40, rel=1e-12
    )
    # groups of one and of two
    groups = torch.arange(40) % 25
    without = torch.stack([x[groups != g].mean() for g in range(25)])
    shares = torch.bincount(groups).double() / 40
    assert float(grouped_jackknife_variance(x.mean(), without, shares)) == pytest.approx(
        float(x.var()) / 40, rel=0.35
    )


def test_the_share_that_changes_is_counted():
    halves = _halves(_simulated(10, 0.5, 0.5, 3)[0])
    found = split_changes(halves, 0.35)
    for at in range(2):
        parts = []
        for first, second in halves[:, :, at].numpy():
            one, two = ({*np.argsort(x, kind="stable")[:3]} for x in (first, second))
            parts.append(1 - len(one & two) / 3)
        assert float(found[at]) == pytest.approx(np.mean(parts))
    assert split_changes(halves, 0.05).isnan().all()


# ---- simulated scores of known reliability ----


@pytest.mark.parametrize("known", [0.4, 0.7, 0.95])
def test_a_known_reliability_is_found(known):
    expected = 6 / math.pi * math.asin(known / 2)
    estimates = []
    covered = 0
    for seed in range(60):
        found = crossed(_halves(_simulated(48, known, 0.5, seed)[0]))
        value, low, high = stepped_up(found, 0, 48, 2, 0.95)
        estimates.append(value)
        covered += low <= expected <= high
    assert np.mean(estimates) == pytest.approx(expected, abs=0.04)
    assert covered >= 52


def test_disattenuation_removes_the_noise_and_is_never_clipped():
    raw, clean = [], []
    expected = 6 / math.pi * math.asin(0.95 / 2)
    for seed in range(60):
        values, _ = _simulated(48, 0.6, 0.95, seed)
        raw.append(stats.spearmanr(*values.mean(0)).statistic)
        clean.append(disattenuated_interval(crossed(_halves(values)), 0, 1, 0.0, 0.95)[0])
    assert np.mean(raw) < expected - 0.25
    assert np.mean(clean) == pytest.approx(expected, abs=0.03)
    assert max(clean) > 1


def test_noise_of_shared_images_is_not_taken_for_agreement():
    clean = []
    for seed in range(40):
        values, truth = _simulated(48, 0.7, 0.5, seed)
        values[:, 1] = truth[1] + values[:, 0] - truth[0]  # the images add the same to both
        clean.append(disattenuated_interval(crossed(_halves(values)), 0, 1, 0.0, 0.95)[0])
    assert np.mean(clean) == pytest.approx(6 / math.pi * math.asin(0.25), abs=0.12)


# ---- the answers ----


def test_rows_and_summary(pass_over_data):
    model, _, _, whole = pass_over_data
    asked = ["apoz", "taylor_l1", "bn_gamma", "l1"]
    found = reliability(model, asked, data=whole, device="cpu")
    table = found.table
    assert list(found.summary()["criterion"]) == asked
    known = table[table["reason"] == ""]
    assert ((known["low"] <= known["reliability"]) & (known["reliability"] <= known["high"])).all()
    free = known[known["criterion"].isin(["bn_gamma", "l1"])]
    assert (free[["reliability", "low", "high"]] == 1).all(axis=None)
    assert (free[["images", "share_changed", "images_needed"]] == 0).all(axis=None)
    assert (table.loc[table["criterion"] == "apoz", "images"] == 18).all()
    missing = table[table["reliability"].isna()]
    assert (missing["reason"] != "").all()
    assert len(found.warnings) == (found.summary()["median"] < 0.9).sum()


def test_the_size_of_a_mean_that_is_noise_is_not_stepped_up():
    """As in `snip`: gradients without a mean, of a size that differs from filter to filter."""
    rng, halves_agree, stepped, draws = np.random.default_rng(2), [], [], []
    for _ in range(60):
        size = np.exp(0.12 * rng.normal(size=(1, 40, 1)))
        # two draws of two halves: the mean over half of the images, filters x weights
        first, second = size * rng.normal(size=(2, 2, 40, 27))

        def agree(a, b):
            return float(stats.spearmanr(abs(a).sum(1), abs(b).sum(1)).statistic)

        halves_agree.append(agree(*first))
        stepped.append(spearman_brown(halves_agree[-1], 2))
        draws.append(agree(first.mean(0), second.mean(0)))
    error = np.std(draws) / math.sqrt(60)
    assert np.mean(halves_agree) == pytest.approx(np.mean(draws), abs=3 * error)
    assert np.mean(stepped) > np.mean(draws) + 6 * error


def test_no_number_of_images_is_given_where_more_do_not_help(pass_over_data):
    model, _, _, whole = pass_over_data
    found = reliability(model, ["snip", "taylor_l1"], data=whole, device="cpu")
    table = found.table.dropna(subset=["reliability"])
    snip = table[table["criterion"] == "snip"]
    assert snip[["images_needed", "images_for_share"]].isna().all(axis=None)
    assert snip["reason"].str.startswith("no number of images follows: it is the size").all()
    assert table.loc[table["criterion"] == "taylor_l1", "images_needed"].notna().all()
    # what the halves show, not stepped up
    snip_alone = [get_criterion("snip")]
    layer = next(each for each in found.networks[0] if each.name == snip["layer"].iloc[0])
    scored = score_layer(layer, snip_alone, "cpu", whole.layers[layer.name])
    again = replicates(scored, snip_alone, whole, "cpu")
    assert snip["reliability"].iloc[0] == pytest.approx(float(crossed(again.halves).values[0, 0]))
    assert warning_of("snip", 0.3, 512, math.nan, 0.9).endswith(
        "no number of images can be said to be enough"
    )


def test_one_batch_and_no_data_have_their_reasons():
    model, data = mixed(), images()
    table = reliability(model, ["apoz", "l1"], data=data, device="cpu").table
    of = table.set_index(["criterion", "layer"])["reason"]
    assert of["apoz"].str.contains("one batch, which has no halves").any()
    assert (of["l1"] == "").all()
    table = reliability(model, ["apoz"], device="cpu").table
    assert table["reason"].str.contains("no data").any()
    assert table["reliability"].isna().all()


def test_bad_questions_are_refused():
    with pytest.raises(SelectionError, match="pruning ratio lies between"):
        reliability(random_layer(), "l1", ratio=1.5)
    with pytest.raises(SelectionError, match="target"):
        reliability(random_layer(), "l1", target=1)
    with pytest.raises(CriterionError, match="no criterion"):
        reliability(random_layer(), "tailor")


def test_a_warning_says_how_many_images_are_needed():
    assert warning_of("taylor_l1", 0.95, 512, 240, 0.9) == ""
    assert warning_of("taylor_l1", math.nan, 512, math.nan, 0.9) == ""
    assert warning_of("snip", -0.1, 512, math.inf, 0.9) == (
        "snip has reliability -.10 with 512 images: no number of images can be said to be enough"
    )


def test_similarity_has_error_bars(pass_over_data):
    model, _, _, whole = pass_over_data
    table = similarity(model, ["l1", "l2", "apoz", "taylor_l1"], data=whole, device="cpu").table
    rows = table.set_index(["criterion_a", "criterion_b"])
    plain = rows.loc[("l1", "l2")].dropna(subset=["spearman_low"])
    assert (plain["disattenuated"] == plain["spearman"]).all()
    assert (plain["disattenuated_low"] == plain["spearman_low"]).all()
    assert (plain["reliability_a"] == 1).all()
    data = rows.loc[("l1", "taylor_l1")].dropna(subset=["disattenuated"])
    assert len(data)
    assert (data["images_low"] <= data["spearman"]).all()
    assert (data["spearman"] <= data["images_high"]).all()
    assert (data["disattenuated"].abs() >= 0).all()
    assert (data["reliability_a"] == 1).all()
    single = reliability(model, ["taylor_l1"], data=whole, device="cpu").table
    known = dict(zip(single["layer"], single["reliability"], strict=True))
    for row in data.itertuples():
        assert row.reliability_b == pytest.approx(known[row.layer], abs=1e-12)


@pytest.mark.parametrize("filters", [1, 2, 3])
def test_similarity_of_a_few_filters_has_no_error_bars(filters):
    rng = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, filters, 3), nn.Flatten(),
            nn.Linear(16 * filters, 4),
        )  # fmt: skip
    table = similarity(
        model,
        ["l1", "taylor_l1"],
        data=(torch.randn(16, 3, 8, 8, generator=rng), torch.arange(16) % 4),
        batch_size=4,
        device="cpu",
    ).table
    assert table["n_filters"].tolist() == [8, filters]
    assert math.isfinite(table["spearman_low"][0])
    assert math.isnan(table["spearman_low"][1])


def test_similarity_without_halves_has_the_coefficients_still():
    found = similarity(mixed(), ["l1", "apoz"], data=images(), device="cpu")
    rows = found.table.dropna(subset=["spearman"])
    assert len(rows)
    assert rows["disattenuated"].isna().all()
    assert rows["reason"].str.contains("no halves").all()
    assert (rows["reliability_a"] == 1).all()
    assert found.warnings == ()


def test_weights_alone_need_no_images():
    net = network(random_layer("a"), random_layer("b", seed=1))
    found = reliability(net, ["l1", "l2"])
    assert (found.table["reliability"] == 1).all()
    assert found.warnings == ()
    assert not get_criterion("l1").needs_images
    assert get_criterion("apoz").needs_images
    assert not get_criterion("bn_gamma").needs_images


# ---- selections ----


@pytest.mark.parametrize("name", ["taylor_l1", "snip"])
def test_plans_say_how_much_another_draw_would_change(pass_over_data, name):
    model, _, _, whole = pass_over_data
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        plan = select(model, name, 0.3, data=whole, device="cpu")
    shares = []
    for one, two in whole.splits:
        picked = []
        for side in (one, two):
            half = Collected(
                {name: whole.layer_of_parts(name, side) for name in whole.layers}, whole.needs
            )
            alone = select(model, name, 0.3, data=half, device="cpu").pruned
            picked.append({(name, i) for name in alone for i in alone[name]})
        shares.append(1 - len(picked[0] & picked[1]) / len(picked[0]))
    taken = sum(map(len, plan.pruned.values())) / sum(plan.n_filters.values())
    factor = 18 / math.sqrt(10 * 8) if name == "taylor_l1" else 1.0
    assert plan.share_changed == pytest.approx(
        another_draw(np.mean(shares), taken, factor)[0], abs=0.02
    )
    assert len(told) == (plan.share_changed > 0.1)
    assert Plan.from_json(plan.to_json()) == plan


def test_plans_without_images_or_halves_say_nothing(pass_over_data):
    model, x, y, _ = pass_over_data
    assert select(model, "l2", 0.5, device="cpu").share_changed is None
    assert select(model, "apoz", 0.5, data=(x, y), device="cpu").share_changed is None


def test_global_pruning_by_a_criterion_of_data(pass_over_data):
    model, _, _, whole = pass_over_data
    found = global_pruning(model, ["l2", "taylor_l1"], ratios=0.5, data=whole, device="cpu")
    by_criterion = found.table.groupby("criterion")["share_changed"].max()
    assert math.isnan(by_criterion["l2"])
    assert 0 <= by_criterion["taylor_l1"] <= 1
    assert found.images == 18
    assert len(found.warnings) == int(by_criterion["taylor_l1"] > 0.1)
    assert found.table.loc[found.table["criterion"] == "taylor_l1", "share_measured"].notna().any()


def test_a_selection_that_depends_on_the_images_is_told():
    warn_of_change("snip", 0.05, 64)
    warn_of_change("snip", None, 64)
    with pytest.warns(RuntimeWarning, match="snip on 64 images: another draw of as many would"):
        warn_of_change("snip", 0.31, 64)
