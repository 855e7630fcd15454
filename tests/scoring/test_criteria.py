"""Criteria against naive loops, and the register."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from cwda.errors import CriterionError, WeightsError
from cwda.layers import ConvLayer
from cwda.pruning import select
from cwda.scoring import (
    NORM_BASED,
    PAPER,
    Filters,
    criteria,
    criterion,
    get_criterion,
    scores,
    similarity,
)
from cwda.scoring.catalogue import BUILT_IN
from cwda.scoring.norms import fermat, gm, gm_cityblock, l1, l2, random
from cwda.scoring.registry import _REGISTER, arrange, registered, resolve, style_of
from tests.helpers.networks import layer_of, random_layer


def _both(**options):
    filters = Filters.of(random_layer(**options))
    return filters, filters.values.numpy()


@pytest.fixture
def register(monkeypatch):
    ours = {name: _REGISTER[name] for name in (*NORM_BASED, "random")}
    monkeypatch.setattr("cwda.scoring.registry._REGISTER", ours)


@pytest.mark.parametrize("options", [{}, {"filters": 40, "scale": 1e-4}, {"kernel": (5,)}])
def test_scores_equal_naive_loops(options):
    filters, rows = _both(**options)
    naive = {
        l1: [sum(abs(x) for x in row) for row in rows],
        l2: [sum(x * x for x in row) ** 0.5 for row in rows],
        gm: [sum(np.linalg.norm(a - b) for a in rows) for b in rows],
    }
    for score, expected in naive.items():
        np.testing.assert_allclose(score(filters), expected, rtol=1e-12)


def test_gm_counts_every_other_filter_once():
    filters, rows = _both(filters=9)
    np.testing.assert_allclose(gm(filters), cdist(rows, rows).sum(0), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"filters": 70, "scale": 1e-4}, {"filters": 1}])
def test_gm_cityblock_equals_a_loop_over_pairs(options, monkeypatch):
    filters, rows = _both(**options)
    expected = [sum(float(np.abs(a - b).sum()) for a in rows) for b in rows]
    np.testing.assert_allclose(gm_cityblock(filters), expected, rtol=1e-12)
    monkeypatch.setattr("cwda.numerics.distances.cityblock._CHUNK", 100)  # many parts give the same
    np.testing.assert_allclose(gm_cityblock(filters), expected, rtol=1e-12)


def test_gm_cityblock_with_ties_and_values_of_all_sizes():
    rng = np.random.default_rng(3)
    rows = rng.integers(-2, 3, (60, 40)) * 10.0 ** rng.integers(-8, 8, (60, 1)) + 1000
    found = gm_cityblock(Filters(torch.from_numpy(rows)))
    np.testing.assert_allclose(found, cdist(rows, rows, "cityblock").sum(0), rtol=1e-10)


def test_fermat_equals_a_general_optimiser():
    filters, rows = _both(filters=12, channels=1, kernel=(2,))
    total = minimize(
        lambda c: np.linalg.norm(rows - c, axis=1).sum(), rows.mean(0), options={"gtol": 1e-12}
    )
    np.testing.assert_allclose(fermat(filters), np.linalg.norm(rows - total.x, axis=1), rtol=1e-6)


def test_fermat_equals_plain_weiszfeld():
    filters, rows = _both(filters=32)
    centre = rows.mean(0)
    for _ in range(2000):
        weights = 1 / np.linalg.norm(rows - centre, axis=1)
        centre = weights @ rows / weights.sum()
    expected = np.linalg.norm(rows - centre, axis=1)
    np.testing.assert_allclose(fermat(filters), expected, rtol=1e-10)


def test_distances_survive_a_mean_that_dominates_in_float32():
    weight = 100 + torch.from_numpy(np.random.default_rng(0).normal(size=(30, 8, 3, 3)))
    rows = weight.float().double().reshape(30, -1).numpy()
    found = gm(Filters.of(ConvLayer("conv", weight.float())))
    np.testing.assert_allclose(found, cdist(rows, rows).sum(0), rtol=1e-10)


def test_norms_scale_and_distances_do_not_see_a_shift():
    rows = Filters.of(random_layer()).values
    for score in map(get_criterion, (*NORM_BASED, "gm_cityblock")):
        torch.testing.assert_close(score(Filters(-3 * rows)), 3 * score(Filters(rows)))
    for score in (gm, gm_cityblock, fermat):
        torch.testing.assert_close(score(Filters(rows + 5)), score(Filters(rows)))


@pytest.mark.parametrize("name", [*NORM_BASED, "gm_cityblock"])
def test_equal_filters_tie_and_one_filter_has_a_score(name):
    score = get_criterion(name)
    rows = Filters.of(random_layer(filters=21)).values
    rows[17] = rows[2]
    scores = score(Filters(rows))
    assert scores[17] == scores[2]
    assert score(Filters(rows[:1])).shape == (1,)
    assert not score(Filters(torch.zeros_like(rows))).any()


def test_dead_filters_have_no_norm_but_a_distance():
    filters = Filters.of(layer_of([[3.0, 4], [0, 0], [-3, 0], [0, 5]]))
    assert l1(filters)[1] == l2(filters)[1] == 0
    assert gm(filters)[1] == pytest.approx(5 + 3 + 5)


def test_random_depends_on_the_name_of_the_layer_alone():
    a = Filters.of(random_layer("a"))
    assert torch.equal(random(a), random(Filters.of(random_layer("a", seed=5))))
    assert not torch.equal(random(a), random(Filters.of(random_layer("b"))))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_counted_and_located(bad):
    layer = random_layer()
    layer.weight[3, 1, 0, 0] = bad
    layer.weight[7] = bad
    with pytest.raises(WeightsError, match=r"37 of 576 weights are NaN or infinite.*filter 3$"):
        Filters.of(layer)


def test_layers_without_usable_weights_say_so():
    with pytest.raises(WeightsError, match="no weights"):
        Filters.of(ConvLayer("conv", torch.zeros(0, 3, 3, 3)))
    with pytest.raises(WeightsError, match="complex"):
        Filters.of(ConvLayer("conv", torch.zeros(2, 3, 3, 3, dtype=torch.complex64)))


def test_weights_of_whole_numbers_and_half_precision_have_scores():
    whole = torch.tensor([[[3]], [[-4]]])
    assert l1(Filters.of(ConvLayer("conv", whole))).tolist() == [3, 4]
    assert l1(Filters.of(ConvLayer("conv", whole.bfloat16()))).tolist() == [3, 4]


@pytest.mark.usefixtures("register")
def test_a_user_adds_a_criterion():
    @criterion("linf", formula="max_p |F_jp|")
    def linf(filters):
        return filters.values.abs().amax(1)

    filters, rows = _both()
    assert criteria()["linf"] == "max_p |F_jp|"
    assert similarity(random_layer(), ["l2", linf]).criteria == ("l2", "linf")
    np.testing.assert_array_equal(get_criterion("linf")(filters), abs(rows).max(1))
    criterion("linf", formula="again")(linf)  # a cell that runs twice
    assert criteria()["linf"] == "again"
    with pytest.raises(CriterionError, match="'l2' already"):
        criterion("l2", formula="another")(linf)


@pytest.mark.usefixtures("register")
def test_what_a_criterion_of_a_user_changes_in_place_is_its_own():
    @criterion("spoiler", formula="0, and spoils its filters")
    def spoiler(filters):
        filters.values.zero_()
        return filters.values.sum(dim=1)

    layer = random_layer()
    weight = layer.weight.clone()
    after = scores(layer, [spoiler, "l2"]).wide()["l2"]
    assert after.tolist() == scores(layer, "l2").wide()["l2"].tolist()
    assert torch.equal(layer.weight, weight)


@pytest.mark.usefixtures("register")
def test_the_criteria_of_the_package_come_first_in_their_order_whichever_was_defined_first():
    own = criterion("own", formula="-")(lambda filters: filters.values[:, 0])
    arrange([gm, l1])
    assert registered()[:2] == [gm, l1]
    assert registered()[-1] is own


def test_the_criteria_of_the_package_are_those_of_its_files():
    files = [each for each in registered() if each.score.__module__.startswith("cwda.scoring.")]
    assert files == [*BUILT_IN]


def test_a_criterion_counts_once_and_a_name_has_one_meaning():
    assert resolve([l2, "l1", "l2", l2]) == [l2, l1]
    other = replace(l2, score=l1.score)
    with pytest.raises(CriterionError, match="two criteria are called 'l2'"):
        resolve(["l2", other])
    with pytest.raises(CriterionError, match="2 criteria or more are needed, not 1"):
        similarity(random_layer(), ["l1", "l1"])


@pytest.mark.usefixtures("register")
@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (lambda filters: 1 / 0, "fails in 'conv' (ZeroDivisionError: division by zero)"),
        (lambda filters: filters.nonsense, "fails in 'conv' (AttributeError: "),
        (lambda filters: None, "gives NoneType, not one real score for each filter"),
        (lambda filters: ["a"] * 6, "gives list, not one real score for each filter"),
        (lambda filters: filters.values[:, 0] * 1j, "gives complex numbers, not one real score"),
    ],
)
def test_a_criterion_that_fails_is_a_row_with_its_reason(score, reason):
    mine = criterion("mine", formula="mine")(score)
    layer = ConvLayer("conv", torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0)))
    table = scores(layer, ["l2", mine]).table
    assert table.query("criterion == 'l2'")["score"].notna().all()
    [said] = table.query("criterion == 'mine'")["reason"].unique()
    assert reason in said


@pytest.mark.usefixtures("register")
def test_scores_with_gradients_are_numbers_as_any_others():
    mine = criterion("mine", formula="mine")(lambda filters: filters.values[:, 0].requires_grad_())
    layer = ConvLayer("conv", torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0)))
    assert select(layer, mine, 0.5).pruned["conv"]


@pytest.mark.usefixtures("register")
def test_a_criterion_that_does_not_score_each_filter_is_refused():
    criterion("mean", formula="-")(lambda filters: filters.values.mean())
    criterion("log", formula="-")(lambda filters: (0 * filters.values[:, 0]).log())
    filters, _ = _both()
    with pytest.raises(CriterionError, match=r"shape \(\) for the 16 filters"):
        get_criterion("mean")(filters)
    with pytest.raises(CriterionError, match="not finite"):
        get_criterion("log")(filters)


@pytest.mark.parametrize(
    ("name", "hint"), [("fermet", "did you mean 'fermat'"), ("xyz", "known are l1, l2")]
)
def test_an_unknown_criterion_is_named_with_the_nearest(name, hint):
    with pytest.raises(CriterionError, match=hint):
        get_criterion(name)


def test_a_criterion_knows_whether_it_is_in_the_paper_and_how_it_is_drawn():
    assert (
        *("l1", "l2", "gm", "fermat"),
        *("taylor_l1", "taylor_l2", "bn_gamma", "bn_beta", "apoz", "entropy"),
    ) == PAPER
    assert PAPER[:4] == NORM_BASED
    assert style_of("l1") == get_criterion("l1").style == ("#0072B2", "o")
    assert style_of("bn_beta") is style_of("no criterion") is None
    styles = [each.style for each in registered() if each.style]
    assert len({style.colour for style in styles}) == len(styles)
    assert "Euclidean" in l2.__doc__


def test_every_criterion_has_its_row_in_the_documentation():
    text = (Path(__file__).resolve().parents[2] / "docs" / "criteria.md").read_text()
    rows = [line for line in text.splitlines() if line.count("|") == 6]
    for each in registered():
        if not each.score.__module__.startswith("cwda."):
            continue  # an example's
        (row,) = (row for row in rows if f"`{each.name}`" in row.split("|")[1])
        assert set(re.findall(r"`(\w+)`", row.split("|")[3])) == each.needs, row


def test_a_fermat_point_that_is_not_found_is_no_score(monkeypatch):
    monkeypatch.setattr("cwda.numerics.distances.descent._WEISZFELD_STEPS", 1)
    monkeypatch.setattr("cwda.numerics.distances.descent._NEWTON_STEPS", 0)
    monkeypatch.setattr("cwda.numerics.distances.median._ROUNDS", 0)
    rows = torch.tensor([[0.0, 0], [1, 0], [0, 1]], dtype=torch.float64)
    with pytest.raises(CriterionError, match="not found in 1 steps"):
        fermat(Filters(rows))
