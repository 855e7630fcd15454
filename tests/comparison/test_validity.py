"""Criteria compared with the oracle, against plain loops and scipy."""

import contextlib
import copy
import importlib
import itertools

import numpy as np
import pytest
import torch
from scipy import stats

import cwda
from cwda.comparison import triangle
from cwda.comparison.validation.layerwise import compared
from cwda.comparison.validation.oracle import Oracle, correlation_with_oracle, disattenuated_limits
from cwda.comparison.validation.selections import RANDOM_SELECTIONS, selection_regret, selections
from cwda.errors import CwdaError, DataError, SelectionError
from cwda.scoring import criterion
from cwda.scoring.registry import Criterion
from tests.helpers.small_nets import Residual, alive, images, losses

RNG = np.random.default_rng


def spearman(a, b):
    return stats.spearmanr(a, b)[0]


def test_halves_are_crossed_and_noise_is_divided_out():
    rng = RNG(0)
    truth = rng.normal(size=12)
    increases = [torch.from_numpy(truth + rng.normal(size=(20, 12))) for _ in range(2)]
    scores = torch.from_numpy(truth + 0.3 * rng.normal(size=(2, 12)))
    oracle = Oracle(*increases, draws=200, generator=RNG(1))
    first, second = (each.mean(0).numpy() for each in increases)
    found = correlation_with_oracle(scores, oracle, 0.95)

    a, b = scores.numpy()
    crossed = (spearman(a, second) + spearman(b, first)) / 2
    assert found.spearman == pytest.approx(crossed, abs=1e-12)
    assert found.half_reliability == pytest.approx(spearman(a, b), abs=1e-12)
    expected = crossed / np.sqrt(spearman(a, b) * oracle.half_reliability)
    assert found.disattenuated == pytest.approx(expected, abs=1e-12)

    every, rng = np.concatenate([each.numpy() for each in increases]), RNG(1)
    halves = [spearman(first, second)]
    for _ in range(19):
        order = rng.permutation(40)
        halves.append(spearman(every[order[:20]].mean(0), every[order[20:]].mean(0)))
    assert oracle.half_reliability == pytest.approx(np.mean(halves), abs=1e-12)

    # jackknife on Fisher's scale, by leaving each filter out
    left_out = []
    for j in range(12):
        kept = np.delete(np.arange(12), j)
        one = spearman(a[kept], second[kept]), spearman(b[kept], first[kept])
        left_out.append(np.arctanh(np.mean(one)))
    radius = stats.t(11).ppf(0.975) * np.sqrt(11 * np.var(left_out))
    assert found.low == pytest.approx(np.tanh(np.arctanh(crossed) - radius), abs=1e-9)
    assert found.high == pytest.approx(np.tanh(np.arctanh(crossed) + radius), abs=1e-9)
    assert found.disattenuated_low < found.disattenuated < found.disattenuated_high


def test_random_rankings_have_the_known_spread():
    increases = torch.from_numpy(RNG(0).normal(size=(1, 10)))
    oracle = Oracle(increases, increases.clone(), draws=4000, generator=RNG(1))
    # both halves rank alike: the null of Spearman's coefficient, variance 1 / (n - 1)
    assert oracle.random.mean() == pytest.approx(0, abs=0.02)
    assert oracle.random.var() == pytest.approx(1 / 9, rel=0.1)
    assert oracle.pvalue(2) == 1 / 4001
    assert oracle.pvalue(-2) == 1
    assert oracle.pvalue(0) == pytest.approx(0.5, abs=0.05)


def test_every_permutation_of_few_filters():
    halves = torch.tensor([[1.0, 2, 3, 4], [2.0, 1, 3, 4]], dtype=torch.float64)
    oracle = Oracle(halves[:1], halves[1:], draws=20000, generator=RNG(0))
    exact = [
        np.mean([spearman(p, half) for half in halves.numpy()])
        for p in itertools.permutations(range(4))
    ]
    for value in np.unique(np.round(exact, 6)):
        share = np.mean(np.array(exact) >= value - 1e-6)
        assert oracle.pvalue(value) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("rho", [0.8, 0.0])
def test_the_pooled_coefficient_is_what_noise_hides(rho):
    rng, layers = RNG(3), []
    for _ in range(40):
        truth, own = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], 24).T
        loss = [torch.from_numpy(truth + 4 * rng.normal(size=(16, 24))) for _ in range(2)]
        scores = torch.from_numpy(own + rng.normal(size=(2, 24)))
        oracle = Oracle(*loss, draws=100, generator=rng)
        found = correlation_with_oracle(scores, oracle, 0.95)
        layers.append([found.spearman, found.half_reliability, oracle.half_reliability])
    value, low, high = disattenuated_limits(*np.array(layers).T, 0.95)
    expected = 6 / np.pi * np.arcsin(rho / 2)
    assert low < expected < high
    assert value == pytest.approx(expected, abs=0.12)
    assert abs(np.median(np.array(layers)[:, 0])) < max(expected - 0.1, 0.1)


def drawn_layer(rng, rho, n, noise):
    """Oracle and scores of a layer with reliabilities near .5 and 1 / (1 + noise^2)."""
    truth, own = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], n).T
    loss = [torch.from_numpy(truth + 3 * rng.normal(size=(16, n))) for _ in range(2)]
    scores = torch.from_numpy(own + noise * rng.normal(size=(2, n)))
    return scores, Oracle(*loss, draws=100, generator=rng)


@pytest.mark.parametrize("rho", [0.4, 0.0])
def test_few_noisy_filters_are_not_called_valid(rho):
    """By the estimate alone half of such layers that beat random rankings were valid."""
    rng, verdicts = RNG(4), []
    for _ in range(80):
        scores, oracle = drawn_layer(rng, rho, 24, 1.2)
        row = compared(correlation_with_oracle(scores, oracle, 0.95), oracle, "c", 0.95)
        verdicts.append(row["verdict"])
        low, high = row["disattenuated_low"], row["disattenuated_high"]
        if row["verdict"] == "inconclusive":
            assert np.isnan(row["disattenuated"]) or low < 0.7 <= high
    # standard error of a share of .025 in 80 layers: .017
    assert verdicts.count("valid") <= 5
    assert verdicts.count("inconclusive") > 0


def test_a_good_ranking_of_many_filters_is_valid_and_a_poor_one_weak():
    rng = RNG(5)
    for rho, noise, expected in ((0.97, 0.1, "valid"), (0.3, 0.1, "weak")):
        scores, oracle = drawn_layer(rng, rho, 400, noise)
        row = compared(correlation_with_oracle(scores, oracle, 0.95), oracle, "c", 0.95)
        assert row["verdict"] == expected
        assert f"({row['disattenuated_low']:.2f} to " in row["statement"]


def test_the_pooled_coefficient_has_the_floor_of_layers():
    spearman, high = np.array([0.2, 0.3, 0.1, 0.2, 0.3, 0.1]), np.full(6, 0.5)
    low = np.array([0.1, 0.0, 0.15, 0.1, 0.0, 0.15])
    assert np.isnan(disattenuated_limits(spearman, low, high, 0.95)).all()
    assert np.isnan(disattenuated_limits(spearman, high, low, 0.95)).all()
    assert np.isnan(disattenuated_limits(*np.zeros((3, 0)), 0.95)).all()
    assert not np.isnan(disattenuated_limits(spearman, low + 0.05, high, 0.95)).any()


def test_selections_are_the_lowest_and_random_ones():
    scores = torch.tensor([[3.0, 1, 2, 0], [0.0, 1, 2, 3]])
    sets = selections(scores, 0.5, RNG(0))
    assert sets[:2].tolist() == [[False, True, False, True], [True, True, False, False]]
    assert sets.sum(1).tolist() == [2] * 12
    assert len(selections(scores, 0.1, RNG(0))) == 0


def test_regret_is_between_the_oracle_and_random():
    rng = RNG(0)
    oracle, random = rng.normal(size=200), 2 + rng.normal(size=200)
    found = selection_regret(oracle + 0.5, oracle, random, 0.95, rng)
    gap = random.mean() - oracle.mean()
    assert found.value == pytest.approx(0.5 / gap)
    assert found.low < found.value < found.high
    assert np.isnan(selection_regret(oracle, random, oracle, 0.95, rng).value)


DATA = images(12)
OPTIONS = {"data": DATA, "batch_size": 3, "device": "cpu", "draws": 100}


@pytest.fixture(scope="module")
def measured():
    model = alive(Residual)
    return model, cwda.validity(model, ["l2", "taylor_l1", "oracle"], ratio=0.4, **OPTIONS)


def test_a_network_by_plain_loops(measured):
    model, found = measured
    assert set(found.table["criterion"]) == {"l2", "taylor_l1", "oracle", "random"}
    halves = [torch.tensor([0, 1, 2, 6, 7, 8]), torch.tensor([3, 4, 5, 9, 10, 11])]
    halves = [(DATA[0][half], DATA[1][half]) for half in halves]

    def removed(chosen, half):
        twin = copy.deepcopy(model)
        for j in chosen:
            for part in (twin.conv2, twin.bn2):
                part.weight.data[j] = part.bias.data[j] = 0
        return losses(twin, half) - losses(model, half)

    oracle = [np.array([removed([j], half).mean() for j in range(6)]) for half in halves]
    l2 = np.linalg.norm(model.conv2.weight.detach().double().flatten(1), axis=1)
    rows = found.table.query("layer == 'conv2'").set_index("criterion")
    assert rows.loc["l2", "spearman"] == pytest.approx(
        (spearman(l2, oracle[0]) + spearman(l2, oracle[1])) / 2, abs=1e-9
    )
    assert rows.loc["oracle", "spearman"] == pytest.approx(spearman(*oracle), abs=1e-9)
    assert rows.loc["l2", "half_reliability"] == 1

    lowest = np.argsort(l2)[:2]
    both = np.concatenate([removed(lowest, half) for half in halves])
    assert rows.loc["l2", "increase"] == pytest.approx(both.mean(), rel=1e-4)
    chosen = [np.argsort(each)[:2] for each in oracle]
    both = np.concatenate([removed(chosen[0], halves[1]), removed(chosen[1], halves[0])])
    assert rows["increase_oracle"].to_numpy() == pytest.approx([both.mean()] * 4, rel=1e-4)
    assert rows.loc["oracle", "increase"] == pytest.approx(both.mean(), rel=1e-4)


def test_the_summary_and_the_file(measured, tmp_path):
    _, found = measured
    summary = found.summary().set_index("criterion")
    assert list(summary.index) == ["l2", "taylor_l1", "oracle", "random"]
    assert (summary["layers"] + summary["undefined"] == 4).all()
    verdicts = [name.replace(" ", "_") for name in cwda.comparison.validation.VERDICTS]
    assert (summary[verdicts].sum(axis=1) == 4).all()
    found.save(tmp_path / "v.json")
    assert cwda.comparison.Validity.load(tmp_path / "v.json").table.equals(found.table)
    assert "filters of Residual are removed, on 12 images" in repr(found)


def test_the_same_seed_gives_the_same_and_layers_stand_alone(measured):
    model, found = measured
    again = cwda.validity(
        model, ["l2", "random", "taylor_l1", "oracle"], ratio=0.4, layers=["conv1"], **OPTIONS
    )
    own = found.table.query("layer == 'conv1'").reset_index(drop=True)
    assert again.table.equals(own)


def test_what_cannot_be_ranked_says_why():
    @criterion("nothing told", formula="1")
    def same(filters):
        return torch.ones(len(filters.values))

    same = Criterion("same", same.formula, same.score)
    from cwda.scoring.registry import _REGISTER

    _REGISTER.pop("nothing told")
    found = cwda.validity(alive(Residual), [same, "bn_gamma"], ratio=0.1, **OPTIONS).table
    at = found.set_index(["layer", "criterion"])
    assert at.loc[("conv1", "same"), "verdict"] == "not applicable"
    assert at.loc[("conv1", "same"), "reason"] == "all scores of same are equal"
    half = cwda.validity(alive(Residual), [same, "l2"], ratio=0.5, **OPTIONS).table
    half = half.set_index(["criterion", "layer"]).loc[:, ["increase_random", "increase", "regret"]]
    # equal scores choose nothing: what the order of the file costs is not theirs
    assert half.loc["same", ["increase", "regret"]].isna().all(axis=None)
    assert half.loc["same", "increase_random"].notna().all()
    assert half.loc["l2", "increase"].notna().all()
    assert "no BatchNorm" in at.loc[("short", "bn_gamma"), "reason"]
    assert "no regret" in at.loc[("conv1", "bn_gamma"), "reason"]


def test_what_is_refused():
    model = alive(Residual)
    with pytest.raises(DataError, match="two batches"):
        cwda.validity(model, ["l2"], data=DATA)
    with pytest.raises(DataError, match="needs labels"):
        cwda.validity(model, ["l2"], data=DATA[0], batch_size=3)
    with pytest.raises(SelectionError, match="ratio"):
        cwda.validity(model, ["l2"], ratio=2, data=DATA)
    with pytest.raises(CwdaError, match="no layer 'conv9'"):
        cwda.validity(model, ["l2"], layers=["conv9"], **OPTIONS)
    with pytest.raises(CwdaError, match="seed"):
        cwda.validity(model, ["l2"], seed="x", data=DATA)


def test_the_triangle_joins_three_answers(measured):
    model, found = measured
    similar = cwda.similarity(model, ["l1", "l2"], device="cpu")
    applicable = cwda.applicability(model, ["l2"], device="cpu")
    joined = triangle(similar, applicable, found)
    assert len(joined.table) == 4 * 3
    row = joined.table.query("layer == 'conv2' and criterion == 'l2'").iloc[0]
    (coefficient,) = similar.table.query("layer == 'conv2'")["spearman"]
    assert row["similarity"] == pytest.approx(coefficient)
    assert row["similar_to"] == ("l1" if coefficient > 0.9 else "")
    verdict = applicable.table.query("layer == 'conv2'")["verdict"].iloc[0]
    assert row["applicability"] == verdict
    taylor = joined.table.query("layer == 'conv2' and criterion == 'taylor_l1'").iloc[0]
    assert taylor["applicability"] == ""
    assert "no similarity" in taylor["reason"]
    assert list(joined.summary()["criterion"]) == ["l2", "taylor_l1", "oracle"]
    with pytest.raises(CwdaError, match="three answers are about"):
        triangle(cwda.similarity("resnet20-cifar10", ["l1", "l2"]), applicable, found)
    with pytest.raises(CwdaError, match=r"cwda\.applicability"):
        triangle(similar, similar, found)


@pytest.mark.parametrize("layers", [["layer3.2.conv1", "layer3.2.conv2"], ["conv1"]])
def test_the_bar_counts_each_removal(monkeypatch, layers):
    told = []

    @contextlib.contextmanager
    def overall(what, total, *, unit=""):
        told.append([what, total, 0.0])
        yield

    def advance(steps):
        told[-1][2] += steps

    # The module has the name of its function.
    module = importlib.import_module("cwda.comparison.validation.validity")
    monkeypatch.setattr(module, "overall", overall)
    monkeypatch.setattr("cwda.scoring.removal.branches.advance", advance)
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    data = (images, torch.arange(8))
    cwda.validity("resnet20-cifar10", ["l1"], data=data, layers=layers, batch_size=4)
    filters = sum(64 if name.startswith("layer3") else 16 for name in layers)
    expected = 8 * (filters + len(layers) * (1 + 1 + RANDOM_SELECTIONS))
    assert told == [["removing filters", expected, pytest.approx(expected)]]
