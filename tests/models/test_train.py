"""Training: reproducible, resumable, told in one line when it cannot go on."""

import hashlib
import json

import numpy as np
import pytest
import torch

from cwda.errors import CwdaError, DataError
from cwda.models.data import augment, normalise, read_images
from cwda.models.train import CHECKPOINT, Recipe, run_epochs, train

RECIPE = Recipe(depth=8, epochs=2, batch_size=16, learning_rate=0.05, seed=1)


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (48, 32, 32, 3), dtype=np.uint8),
        "y_train": np.arange(48, dtype=np.uint8) % 10,
        "x_test": rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8),
        "y_test": np.arange(20, dtype=np.uint8) % 10,
    }
    path = tmp_path / "images.npz"
    np.savez(path, **arrays)
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_that_was_cut_off_ends_as_a_whole_one(images, tmp_path):
    data = read_images(images)
    whole = train(RECIPE, data, folder=tmp_path / "whole")

    begun = run_epochs(RECIPE, data, folder=tmp_path / "cut")
    assert next(begun).number == 0
    epoch = next(begun)
    assert epoch.number == 1
    resumed = run_epochs(RECIPE, data, folder=tmp_path / "cut")
    first = next(resumed)
    assert (first.number, first.loss) == (1, epoch.loss)
    resumed.close()
    cut = train(RECIPE, data, folder=tmp_path / "cut")
    assert digest(cut) == digest(whole)


def test_the_result_tells_its_provenance(images, tmp_path):
    path = train(RECIPE, read_images(images), folder=tmp_path / "run")
    provenance = json.loads(path.with_suffix(".json").read_text())
    assert provenance["recipe"]["seed"] == 1
    assert provenance["sha256"] == digest(path)
    assert 0 <= provenance["test_accuracy_percent"] <= 100


def test_a_checkpoint_of_another_recipe_is_not_continued(images, tmp_path):
    data = read_images(images)
    train(RECIPE, data, folder=tmp_path / "run")
    with pytest.raises(CwdaError, match="another recipe"):
        train(Recipe(depth=8, epochs=3), data, folder=tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_epoch(images, tmp_path):
    wild = Recipe(depth=8, epochs=3, batch_size=16, learning_rate=1e30, seed=1)
    with pytest.raises(CwdaError, match="not finite"):
        train(wild, read_images(images), folder=tmp_path / "run")
    assert not (tmp_path / "run" / CHECKPOINT).with_suffix(".partial").exists()


def test_augmentation_shifts_and_mirrors_each_image():
    images = torch.arange(2 * 3 * 6 * 6).view(2, 3, 6, 6).float() + 1
    moved = augment(images, torch.Generator().manual_seed(0), padding=2)
    assert moved.shape == images.shape
    # By a loop over the possible shifts and mirrors of the padded image
    for original, found in zip(images, moved, strict=True):
        padded = torch.nn.functional.pad(original, [2] * 4)
        windows = [
            padded[:, top : top + 6, left : left + 6] for top in range(5) for left in range(5)
        ]
        assert any(
            torch.equal(found, window) or torch.equal(found, window.flip(2)) for window in windows
        )


def test_normalised_pixels_are_standardised_per_channel():
    image = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    expected = [(1 - 0.4914) / 0.2470, (1 - 0.4822) / 0.2435, (1 - 0.4465) / 0.2616]
    np.testing.assert_allclose(normalise(image).view(3).numpy(), expected, rtol=1e-6)


def broken(tmp_path, **changes):
    arrays = {
        "x_train": np.zeros((4, 32, 32, 3), np.uint8),
        "y_train": np.zeros(4, np.uint8),
        "x_test": np.zeros((4, 32, 32, 3), np.uint8),
        "y_test": np.zeros(4, np.uint8),
    }
    arrays.update(changes)
    path = tmp_path / "broken.npz"
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_test": None}, "y_test is missing"),
        ({"x_train": np.zeros((4, 32, 32, 3))}, "must be uint8"),
        ({"x_train": np.zeros((4, 32, 32), np.uint8)}, "must be uint8"),
        ({"y_train": np.zeros(3, np.uint8)}, "4 images but labels of shape"),
    ],
)
def test_unusable_images_are_told_in_one_line(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_images(broken(tmp_path, **changes))


def test_missing_and_damaged_files_are_told_in_one_line(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_images(tmp_path / "none")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(DataError, match="not a readable"):
        read_images(tmp_path / "bad.npz")
    with pytest.raises(DataError, match="no readable CIFAR-10"):
        read_images(tmp_path)
