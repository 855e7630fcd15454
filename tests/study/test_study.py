"""A study: its plan, its runs, what it resumes, and its tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from cwda.answers import columns_of
from cwda.conditions import ConditionResult
from cwda.errors import CwdaError
from cwda.models.data import ImageData
from cwda.models.resnet import cifar_resnet, initialise
from cwda.models.train import CHECKPOINT, Recipe
from cwda.study import BASE, FACTORS, Arm, Run, plan, run_study

TINY = Recipe(depth=8, epochs=3, batch_size=16, learning_rate=0.05, width=8, training_images=32)
FACTS = ["factor", "level", "seed", "epoch", "loss", "accuracy"]


def test_every_level_differs_from_the_base_and_from_the_others():
    base = replace(TINY, width=16, depth=20)
    identities = [arm.recipe(base, 0).identity for arms in FACTORS.values() for arm in arms]
    assert len({base.identity, *identities}) == len(identities) + 1


def test_a_plan_begins_with_the_base_and_one_level_of_each_factor():
    runs = plan(TINY, seeds=2)
    names = list(FACTORS)
    assert [(run.arm.factor, run.seed) for run in runs[: len(names) + 2]] == [
        ("base", 0), *((name, 0) for name in names), ("base", 1),
    ]  # fmt: skip
    levels = [arm for arms in FACTORS.values() for arm in arms]
    for arm in levels:
        assert [run.seed for run in runs if run.arm == arm] == [0, 1]
    assert len({run.name for run in runs}) == len(runs)


def test_fewer_images_come_with_as_many_steps():
    arm = FACTORS["images"][0]
    recipe = arm.recipe(TINY, 0)
    assert recipe.training_images * 4 == TINY.training_images
    assert recipe.epochs * recipe.training_images == TINY.epochs * TINY.training_images


@pytest.mark.parametrize(
    ("factors", "seeds", "message"),
    [
        (["colour"], 1, "unknown factor 'colour'; choose from init"),
        (None, 0, "at least one seed"),
    ],
)
def test_impossible_plans_are_refused(factors, seeds, message):
    with pytest.raises(CwdaError, match=message):
        plan(TINY, factors, seeds)


def test_a_study_tests_before_during_and_after_training(images, tmp_path):
    result = run_study(images, tmp_path, [Run(BASE, 0, TINY)])
    assert sorted(result.summary["epoch"].unique()) == [0, 1, 2, 3]
    assert list(result.summary.columns[:6]) == FACTS
    assert list(result.layers.columns) == FACTS + list(columns_of(ConditionResult))
    assert len(result.layers) == 4 * 6 * 7  # epochs, conditions, convolutions of ResNet-8
    assert result.runs.loc[0, "status"] == "done"
    assert result.runs.loc[0, "epochs"] == 3
    assert 0.5 < result.runs.loc[0, "kept"] < 1
    verdicts = result.layers.groupby(["epoch", "condition"])["verdict"].value_counts()
    for _, row in result.summary.iterrows():
        assert row["holds"] == verdicts.get((row["epoch"], row["condition"], "holds"), 0)
    written = pd.read_csv(tmp_path / "summary.csv", dtype={"level": str})
    pd.testing.assert_frame_equal(written, result.summary)


def test_kept_is_the_cosine_with_the_initial_weights(images, tmp_path):
    run = Run(BASE, 0, replace(TINY, epochs=1))
    kept = run_study(images, tmp_path, [run]).runs.loc[0, "kept"]
    model = cifar_resnet(8, width=8)
    initialise(model, 0)
    trained = torch.load(tmp_path / "runs" / run.name / CHECKPOINT, weights_only=True)["model"]
    cosines = []
    for name, initial in model.named_parameters():
        if initial.ndim == 4:
            a, b = initial.detach().numpy().ravel(), trained[name].numpy().ravel()
            cosines.append(a @ b / np.sqrt((a @ a) * (b @ b)))
    np.testing.assert_allclose(kept, np.median(cosines), rtol=1e-5)


def test_a_study_that_was_cut_off_ends_as_a_whole_one(images, tmp_path):
    runs = [Run(BASE, 0, TINY), Run(Arm("width", "16"), 0, replace(TINY, width=16))]
    whole = run_study(images, tmp_path / "whole", runs)

    class KilledError(Exception):
        pass

    def kill(run, epoch):
        if epoch == 2:
            raise KilledError

    statuses, epochs = [], []
    with pytest.raises(KilledError):
        run_study(images, tmp_path / "cut", runs, on_epoch=kill)
    run_study(images, tmp_path / "cut", runs, budget=0, on_run=lambda *a: statuses.append(a[2]))
    assert statuses == ["cut off", "not begun"]
    found = run_study(
        images, tmp_path / "cut", runs, on_epoch=lambda run, e: epochs.append((run.arm.level, e))
    )
    assert epochs == [("base", 2), ("base", 3), *(("16", e) for e in range(4))]
    pd.testing.assert_frame_equal(found.layers, whole.layers)
    assert list(found.runs["status"]) == ["done", "done"]

    epochs.clear()
    run_study(images, tmp_path / "cut", runs, on_epoch=lambda run, e: epochs.append(e))
    assert epochs == []


def test_a_run_that_diverges_is_told_and_does_not_lose_the_others(images, tmp_path):
    wild = Run(Arm("learning_rate", "huge"), 0, replace(TINY, learning_rate=1e30))
    result = run_study(images, tmp_path, [wild, Run(BASE, 0, TINY)])
    assert list(result.runs["status"]) == ["diverged", "done"]
    assert set(result.summary["factor"]) == {"learning_rate", "base"}  # tested untrained
    assert result.runs.loc[0, "kept"] == 1  # its checkpoint is that of no epoch
    assert "not finite" in (tmp_path / "runs" / wild.name / "failure.txt").read_text()


def test_a_folder_of_other_images_is_refused(images, tmp_path):
    run_study(images, tmp_path, [Run(BASE, 0, replace(TINY, epochs=1))])
    other = ImageData(images.x_train.flip(0), images.y_train, images.x_test, images.y_test)
    with pytest.raises(CwdaError, match="belongs to a study of other images"):
        run_study(other, tmp_path, [Run(BASE, 0, TINY)])


def test_without_time_nothing_is_measured(images, tmp_path):
    with pytest.raises(CwdaError, match="nothing measured yet"):
        run_study(images, tmp_path, [Run(BASE, 0, TINY)], budget=0)
    assert np.array_equal(list(tmp_path.iterdir()), [tmp_path / "study.json"])
