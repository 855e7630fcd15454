"""Trajectories of checkpoints: epochs, courses, and what a real training did."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

import cwda
from cwda.callbacks import EpochCondition, Trajectory, read_trajectory
from cwda.errors import CwdaError

#: RFB-320, a face detector, at eight epochs of one training.
EPOCHS = (0, 20, 60, 120, 200, 300, 400, 499)


def weights(seed, mean=0.0):
    values = np.random.default_rng(seed).normal(mean, size=(64, 8, 3, 3))
    return {"conv.weight": torch.from_numpy(values)}


def made(verdicts, condition="mean"):
    return [
        EpochCondition(
            epoch=10.0 * place, level=0.9, network="net", condition=condition, layers=1,
            weights=1.0, effect=0.1 * place, margin=0.1, verdict=verdict, holds=0, fails=0,
            inconclusive=0, not_applicable=0,
        )
        for place, verdict in enumerate(verdicts)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "course", "since"),
    [
        (["holds"], "holds at 0", 0),
        (["holds", "holds"], "holds at 0 and 10", 0),
        (["holds", "holds", "fails"], "holds at 0 and 10, fails from 20", 20),
        (
            ["fails", "inconclusive", "holds", "fails", "holds", "holds"],
            "fails at 0, is open at 10, holds at 20, fails at 30, holds from 40",
            40,
        ),
        (
            ["not applicable", "holds", "holds", "holds", "fails"],
            "is not applicable at 0, holds from 10 to 30, fails from 40",
            40,
        ),
    ],
)
def test_courses_say_when_a_verdict_began(verdicts, course, since):
    along = Trajectory(tuple(made(verdicts)), (), level=0.9)
    (row,) = along.courses()
    assert (row.course, row.since, row.verdict) == (course, since, verdicts[-1])
    assert row.last_effect == pytest.approx(0.1 * (len(verdicts) - 1))


def test_the_title_says_since_when_a_verdict_stands():
    courses = {
        "epsilon": ["holds", "holds", "holds"],
        "mean": ["holds", "inconclusive", "fails"],
        "shape": ["fails", "holds", "fails"],
        "variance": ["fails", "holds", "holds"],
        "gaussianity": ["holds", "fails", "fails"],
        "homogeneity": ["fails", "fails", "fails"],
        "independence": ["holds", "holds", "inconclusive"],
        "distinctness": ["not applicable"] * 3,
    }
    rows = [row for name, verdicts in courses.items() for row in made(verdicts, name)]
    assert Trajectory(tuple(rows), (), level=0.9).title() == (
        "CWDA at 3 epochs from 0 to 20. Fails since epoch 10: gaussianity; since epoch 20: mean, "
        "shape; throughout: homogeneity. Is open since epoch 20: independence. Holds since epoch "
        "10: variance; throughout: epsilon. Is not applicable throughout: distinctness."
    )


def test_the_title_says_over_how_many_weights_where_that_is_not_most():
    rows = [dataclasses.replace(row, weights=share) for row, share in
            zip(made(["holds"] * 3), (0.95, 0.4, 0.6), strict=True)]  # fmt: skip
    rows += [dataclasses.replace(row, weights=0.21) for row in made(["fails"] * 3, "epsilon")]
    rows += [dataclasses.replace(row, weights=0.9) for row in made(["holds"] * 3, "shape")]
    told = Trajectory(tuple(rows), (), level=0.9).title()
    assert told.endswith(" Judged over part of the weights: mean 40 % to 95 %, epsilon 21 %.")


def test_epochs_are_keys_or_in_the_names(tmp_path):
    nets = {10: weights(1), 0: weights(0), 2: weights(2, 1.0)}
    for epoch, net in nets.items():
        torch.save(net, tmp_path / f"net3-epoch-{epoch}.pth")
    by_key = cwda.trajectory(nets, ["mean"])
    by_name = cwda.trajectory(tmp_path.glob("*.pth"), ["mean"])
    assert by_key.epochs == by_name.epochs == [0, 2, 10]
    for epoch, net in nets.items():
        expected = cwda.check(net, ["mean"]).network.rows[0]
        for along in (by_key, by_name):
            (row,) = [row for row in along if row.epoch == epoch]
            assert (row.effect, row.verdict) == (expected.effect, expected.verdict)
    assert [row.verdict for row in by_key] == ["holds", "fails", "holds"]


def test_answers_of_a_check_are_taken_as_they_are():
    answers = {epoch: cwda.check(weights(epoch), ["mean"], level=0.8) for epoch in (0, 1)}
    along = cwda.trajectory(answers)
    assert along.level == 0.8
    assert along.conditions == ["mean"]
    answers[2] = cwda.check(weights(2), ["mean"])
    assert np.isnan(cwda.trajectory(answers).level)


def test_it_is_saved_and_loaded(tmp_path):
    along = cwda.trajectory({0: weights(0), 1: weights(1)}, ["mean", "epsilon"])
    along.save(tmp_path / "along.json")
    again = Trajectory.load(tmp_path / "along.json")
    pd.testing.assert_frame_equal(again.table, along.table, check_dtype=False)
    assert again.title() == along.title()


@pytest.mark.parametrize(
    ("checkpoints", "words"),
    [
        ({}, "and has none"),
        ({"conv.weight": torch.ones(8, 8, 3, 3)}, "not by 'conv.weight'"),
        ("net-0.pth", "not an object of type str"),
        ([weights(0), weights(1)], "no epoch in the name"),
        ({0: [weights(0), weights(1)]}, "epoch 0 has 2 networks"),
    ],
)
def test_what_has_no_epochs_is_refused(checkpoints, words):
    with pytest.raises(CwdaError, match=words):
        cwda.trajectory(checkpoints, ["mean"])


def test_a_file_without_epochs_is_refused(tmp_path):
    path = tmp_path / "effects.csv"
    names = [each.name for each in dataclasses.fields(EpochCondition)]
    path.write_text(",".join(names) + "\n")
    with pytest.raises(CwdaError, match="no epoch was recorded yet"):
        read_trajectory(path)


def test_a_real_training_breaks_conditions_and_mends_one(shared_data):
    folder = shared_data / "checkpoints" / "trajectory"
    names = [folder / f"rfb-320-epoch-{epoch:03}.pth" for epoch in EPOCHS]
    along = cwda.trajectory(names, ["mean", "epsilon"], device="cpu")
    assert along.epochs == list(EPOCHS)
    mean, epsilon = along.courses()
    assert mean.course == "holds at 0 and 20, is open at 60 and 120, fails from 200"
    assert epsilon.course == "holds from 0 to 499"
    assert 0 == epsilon.first_effect < epsilon.last_effect < epsilon.margin
