"""Regret from a small made-up experiment, against numbers worked out by hand."""

import math
from dataclasses import replace

import pytest
import torch

import cwda
from cwda.experiment import Accuracy, ExperimentResult
from cwda.layers import ConvLayer, Network, Provenance

ACCURACY = {"l1": 80.0, "l2": 82.0, "bn_gamma": 83.0, "random": 70.0}


def trial(criterion, accuracy, seed=0, stage="finetuned", ratio=0.5):
    return Accuracy(
        network="net", strategy="layerwise", criterion=criterion, ratio=ratio, seed=seed,
        stage=stage, accuracy=accuracy, accuracy_se=0.5, images=1000, filters_pruned=8, filters=16,
        parameters=1, flops=1, epochs=1, loss=0.1, seconds=1.0, reason="",
    )  # fmt: skip


def experiment(rows):
    unpruned = replace(trial("none", 90.0, stage="unpruned"), strategy="none", ratio=0.0)
    return ExperimentResult((unpruned, *rows), (NETWORK,), level=math.nan, pair_rows=())


def one_seed():
    return experiment([trial(*pair) for pair in ACCURACY.items()])


LAYERS = tuple(
    ConvLayer(name, torch.randn(16, 4, 3, 3, generator=torch.Generator().manual_seed(seed)))
    for seed, name in enumerate("abcde")
)
NETWORK = Network("net", LAYERS, Provenance("", "array"))


@pytest.fixture(scope="module")
def advice():
    found = cwda.advise(NETWORK, ["l1", "l2"], same=0.3, progress=False)
    assert found.clusters[0].members == ("l1", "l2")
    clusters = tuple(replace(row, stand_in="l2") for row in found.clusters)
    return replace(found, criterion="l2", clusters=clusters)


def test_regret_of_one_seed(advice):
    (row,) = advice.regret(one_seed())
    assert (row.best, row.regret, row.gain) == ("bn_gamma", 1.0, 12.0)
    assert row.typical == pytest.approx((3 + 1 + 0) / 3)
    assert row.regret_se == pytest.approx(math.sqrt(0.5))  # two binomial errors of .5
    assert (row.error, row.seeds, row.criteria) == ("images", 1, 3)
    assert row.within == 2.0  # l1 and l2, the only pair placed
    assert math.isnan(row.between)


def test_regret_of_trying_one_of_each_cluster(advice):
    """The stand-ins are l2, which loses 1, and bn_gamma, which is the best."""
    first, *_ = advice.clusters
    second = replace(first, cluster=2, members=("bn_gamma",), stand_in="bn_gamma", advised=False)
    (row,) = replace(advice, clusters=(first, second)).regret(one_seed())
    assert (row.regret, row.regret_tried, row.tried) == (1.0, 0.0, 2)
    # l1 with bn_gamma 3, l2 with bn_gamma 1
    assert row.between == pytest.approx(math.sqrt(5))


def test_standard_errors_over_seeds(advice):
    lost = [0.0, 1.0, 2.0, 1.0]
    rows = [
        trial(name, value - (lost[seed] if name == "l2" else 0.0), seed)
        for name, value in ACCURACY.items()
        for seed in range(4)
    ]
    (row,) = advice.regret(experiment(rows))
    assert row.regret == pytest.approx(2.0)
    # differences 1, 2, 3, 2: SD sqrt(2/3), over sqrt(4)
    assert row.regret_se == pytest.approx(math.sqrt(2 / 3) / 2)
    assert row.error == "seeds"


def test_each_strategy_and_stage_is_a_row_at_the_ratio_of_the_advice(advice):
    rows = [trial(*pair) for pair in ACCURACY.items()]
    rows += [trial(*pair, stage="pruned") for pair in ACCURACY.items()]
    rows += [replace(row, strategy="global") for row in rows]
    rows += [trial(*pair, ratio=0.7) for pair in ACCURACY.items()]
    found = advice.regret(experiment(rows))
    assert [(row.strategy, row.stage, row.ratio) for row in found] == [
        ("layerwise", "finetuned", 0.5), ("layerwise", "pruned", 0.5),
        ("global", "finetuned", 0.5), ("global", "pruned", 0.5),
    ]  # fmt: skip


def test_the_best_has_no_regret(advice):
    (row,) = replace(advice, criterion="bn_gamma").regret(one_seed())
    assert (row.regret, row.regret_se) == (0.0, 0.0)


def test_what_is_missing_is_told(advice):
    without = experiment([trial("l1", 80.0), trial("l2", 82.0)])
    (row,) = advice.regret(without)
    assert math.isnan(row.gain)
    assert "no criterion random" in row.reason
    (row,) = advice.regret(experiment([trial("l1", 80.0), trial("l2", math.nan)]))
    assert math.isnan(row.regret)
    assert "no accuracy of l2" in row.reason
    with pytest.raises(cwda.CwdaError, match=r"did not prune by l2 at a ratio of 0\.5"):
        advice.regret(experiment([trial("l2", 82.0, ratio=0.3)]))
    with pytest.raises(cwda.CwdaError, match="nothing to regret"):
        replace(advice, criterion="").regret(without)
    with pytest.raises(cwda.CwdaError, match="ExperimentResult"):
        advice.regret(advice)


def test_it_is_saved_and_read(advice, tmp_path):
    found = advice.regret(one_seed())
    found.save(tmp_path / "regret.json")
    assert cwda.advice.Regret.load(tmp_path / "regret.json").table.equals(found.table)
