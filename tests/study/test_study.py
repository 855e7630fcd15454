"""A study: its plan, its runs, what it resumes, and its tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import cwda
from cwda.conditions import CONDITIONS
from cwda.errors import CwdaError
from cwda.models import train
from cwda.models.data import ImageData
from cwda.models.resnet import cifar_resnet, initialise
from cwda.models.train import CHECKPOINT, Recipe
from cwda.study import FACTORS, Arm, plan, run_study

TINY = Recipe(depth=8, epochs=3, batch_size=16, learning_rate=0.05, width=8, training_images=32)
SMALL = torch.zeros(3, 9, 8)
FACTS = ["factor", "setting", "seed", "epoch", "loss", "accuracy"]


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
        (["colour"], 1, "unknown factor 'colour'; known are init"),
        (None, 0, "number of networks per level, is a whole number, 1 or more"),
    ],
)
def test_impossible_plans_are_refused(factors, seeds, message):
    with pytest.raises(CwdaError, match=message):
        plan(TINY, factors, seeds=seeds)


def test_levels_of_ones_own_are_planned_as_the_others():
    arm = Arm("width", "16", {"width": 16})
    runs = plan(TINY, [arm, "augmentation"])
    assert [(run.arm.setting, run.recipe.width) for run in runs] == [
        ("base", 8),
        ("16", 16),
        ("off", 8),
    ]


def test_a_study_tests_before_during_and_after_training(images, tmp_path):
    result = run_study(images, [], folder=tmp_path, base=TINY)
    layers = pd.read_csv(tmp_path / "layers.csv")
    assert sorted(result.table["epoch"].unique()) == [0, 1, 2, 3]
    assert list(layers.columns[:6]) == FACTS
    assert list(layers.columns[6:]) == list(cwda.check(SMALL).table.columns)
    # epochs, conditions, convolutions of ResNet-8
    assert len(layers) == 4 * len(CONDITIONS) * 7
    [run] = result.run_rows
    assert (run.status, run.epochs) == ("done", 3)
    assert 0.5 < run.kept < 1
    verdicts = layers.groupby(["epoch", "condition"])["verdict"].value_counts()
    for row in result:
        assert row.holds == verdicts.get((row.epoch, row.condition, "holds"), 0)
    written = pd.read_csv(tmp_path / "summary.csv", dtype={"setting": str})
    pd.testing.assert_frame_equal(written, result.table, check_dtype=False)


def test_kept_is_the_cosine_with_the_initial_weights(images, tmp_path):
    [run] = run_study(images, [], folder=tmp_path, base=replace(TINY, epochs=1)).run_rows
    model = cifar_resnet(8, width=8)
    initialise(model, 0)
    [path] = (tmp_path / "runs").glob(f"*/{CHECKPOINT}")
    trained = torch.load(path, weights_only=True)["model"]
    cosines = []
    for name, initial in model.named_parameters():
        if initial.ndim == 4:
            a, b = initial.detach().numpy().ravel(), trained[name].numpy().ravel()
            cosines.append(a @ b / np.sqrt((a @ a) * (b @ b)))
    np.testing.assert_allclose(run.kept, np.median(cosines), rtol=1e-5)


def test_a_study_that_was_cut_off_ends_as_a_whole_one(images, tmp_path, monkeypatch):
    class KilledError(Exception):
        pass

    factors, trained = [Arm("width", "16", {"width": 16})], []
    save = train.save_checkpoint

    def kill_after(epochs):
        def saved(path, *given, **facts):
            if len(trained) == epochs:
                raise KilledError
            trained.append((facts["recipe"]["width"], facts["epoch"]))
            save(path, *given, **facts)

        monkeypatch.setattr(train, "save_checkpoint", saved)

    def study(folder, **options):
        return run_study(images, factors, folder=tmp_path / folder, base=TINY, **options)

    whole = study("whole")
    kill_after(2)
    with pytest.raises(KilledError):
        study("cut")
    assert [run.status for run in study("cut", budget=0).run_rows] == ["cut off", "not begun"]
    kill_after(None)
    resumed = study("cut")
    assert trained == [(width, epoch) for width in (8, 16) for epoch in (1, 2, 3)]
    pd.testing.assert_frame_equal(resumed.table, whole.table)
    assert [run.status for run in resumed.run_rows] == ["done", "done"]
    layers = [(tmp_path / folder / "layers.csv").read_text() for folder in ("whole", "cut")]
    assert layers[0] == layers[1]
    kill_after(6)
    study("cut")  # what is done is not trained again


def test_a_run_that_diverges_is_told_and_does_not_lose_the_others(images, tmp_path):
    wild = Arm("learning_rate", "huge", {"learning_rate": 1e30})
    result = run_study(images, [wild], folder=tmp_path, base=TINY)
    assert [run.status for run in result.run_rows] == ["done", "diverged"]
    assert {row.factor for row in result} == {"learning_rate", "base"}  # tested untrained
    assert result.run_rows[1].kept == 1  # its checkpoint is that of no epoch
    assert "not finite" in (tmp_path / "study.jsonl").read_text()


def test_a_folder_of_other_images_is_refused(images, tmp_path):
    run_study(images, [], folder=tmp_path, base=replace(TINY, epochs=1))
    other = ImageData(images.x_train.flip(0), images.y_train, images.x_test, images.y_test)
    with pytest.raises(CwdaError, match=r"belongs to another study \(data: "):
        run_study(other, [], folder=tmp_path, base=TINY)


def test_seeds_follow_the_first(images, tmp_path):
    base = replace(TINY, epochs=1)
    result = run_study(images, [], folder=tmp_path, base=base, seeds=2, seed=5)
    assert [run.seed for run in result.run_rows] == [5, 6]


def test_without_time_nothing_is_measured(images, tmp_path):
    with pytest.raises(CwdaError, match="nothing measured yet"):
        run_study(images, [], folder=tmp_path, base=TINY, budget=0)
    assert [path.name for path in tmp_path.iterdir()] == ["study.jsonl"]
