"""Tasks: labels and images changed as said, reproducibly, and nothing else."""

import numpy as np
import pytest
import torch

from cwda.errors import DataError
from cwda.models.data import ImageData
from cwda.models.tasks import pool_images, set_task


@pytest.fixture
def data():
    rng = np.random.default_rng(0)

    def images(n):
        return torch.from_numpy(rng.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8))

    return ImageData(images(40), torch.arange(40) % 10, images(20), torch.arange(20) % 10)


def test_machines_are_told_from_animals(data):
    coarse = set_task(data, "coarse")
    machines = {0: "airplane", 1: "automobile", 8: "ship", 9: "truck"}  # CIFAR-10's order
    expected = [int(int(label) in machines) for label in data.y_test]
    assert coarse.y_test.tolist() == expected
    assert coarse.y_train.tolist() == expected * 2
    assert coarse.num_classes == 2
    assert torch.equal(coarse.x_train, data.x_train)


def test_random_labels_keep_their_frequencies_and_spare_the_test_images(data):
    shuffled = set_task(data, "random", seed=3)
    assert not torch.equal(shuffled.y_train, data.y_train)
    assert torch.equal(shuffled.y_train.bincount(), data.y_train.bincount())
    assert torch.equal(shuffled.y_test, data.y_test)
    assert torch.equal(shuffled.y_train, set_task(data, "random", seed=3).y_train)


def test_a_sample_keeps_images_and_labels_together(data):
    part = set_task(data, "classes", training_images=15, seed=2)
    assert len(part.x_train) == len(part.y_train) == 15
    places = [
        next(i for i in range(40) if torch.equal(image, data.x_train[i])) for image in part.x_train
    ]
    assert len(set(places)) == 15
    assert part.y_train.tolist() == [int(data.y_train[i]) for i in places]


def test_pooled_pixels_are_means_of_squares(data):
    pooled = pool_images(data, 2)
    assert pooled.x_train.shape == (40, 3, 4, 4)
    assert pooled.x_train.dtype == torch.uint8
    square = data.x_test[7, 1, 2:4, 4:6].double().mean()
    assert pooled.x_test[7, 1, 1, 2] == square.round()
    assert pool_images(data, 1) is data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: set_task(d, "regression"), "unknown task 'regression'; choose from classes"),
        (lambda d: set_task(d, "classes", 41), "asked for 41 images, but there are only 40"),
        (lambda d: pool_images(d, 3), "8 x 8 pixels cannot be averaged by 3"),
        (
            lambda d: set_task(
                ImageData(d.x_train, torch.arange(40), d.x_test, d.y_test), "coarse"
            ),
            "ten classes of CIFAR-10, but there are 40",
        ),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(data, change, message):
    with pytest.raises(DataError, match=message):
        change(data)
