"""Images on which a tiny network trains in a second."""

import numpy as np
import pytest

from cwda.models.data import read_images


@pytest.fixture(scope="session")
def images_file(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("study") / "images.npz"
    np.savez(
        path,
        x_train=rng.integers(0, 256, (48, 16, 16, 3), dtype=np.uint8),
        y_train=np.arange(48, dtype=np.uint8) % 10,
        x_test=rng.integers(0, 256, (20, 16, 16, 3), dtype=np.uint8),
        y_test=np.arange(20, dtype=np.uint8) % 10,
    )
    return path


@pytest.fixture(scope="session")
def images(images_file):
    return read_images(images_file)
