"""Labels that are not class numbers are refused in one line, wherever they come from."""

import numpy as np
import pytest
import torch

from cwda.errors import DataError
from cwda.models import ImageData, Images, read_images
from cwda.models.batches import as_batches
from cwda.models.labels import class_labels

N = 8
RAMP = np.arange(float(N))

WRONG = {
    "fractions": (RAMP + 0.5, "8 of 8 are not, such as 0.5"),
    "NaN": (np.where(RAMP > 3, np.nan, RAMP), "4 of 8 are not, such as nan"),
    "infinite": (np.where(RAMP > 6, np.inf, RAMP), "1 of 8 are not, such as inf"),
    "negative": (np.arange(N) - 1, "1 of 8 are not, such as -1"),
    "beyond exact floats": (RAMP + 2.0**60, "8 of 8"),
    "beyond int64": (np.arange(N, dtype="u8") + np.uint64(2**63), "8 of 8 .* 9223372036854775808"),
    "text": (np.array(["cat"] * N), "not text, such as 'cat'; number the classes"),
    "bytes": (np.array([b"cat"] * N), "not text"),
    "digits": (np.array([str(i) for i in range(N)]), "not text, such as '0'"),
    "complex": (RAMP + 0j, "not complex128"),
    "dates": (np.array(["2020-01-01"] * N, "M8[D]"), "not datetime64"),
    "one-hot": (np.eye(N), r"shape \(8, 8\); of one-hot labels take argmax"),
    "too many": (np.arange(N + 1), r"8 images but labels of shape \(9,\)"),
    "too few": (np.arange(N - 1), r"8 images but labels of shape \(7,\)"),
    "none": (np.array(3), r"labels of shape \(\)"),
}
RIGHT = {
    "whole floats": RAMP,
    "half": RAMP.astype(np.float16),
    "bytes as numbers": np.arange(N, dtype=np.uint8),
    "large unsigned": np.arange(N, dtype=np.uint64),
    "column": np.arange(N)[:, None],
    "big-endian": np.arange(N, dtype=">i4"),
}


def npz(tmp_path, train, test):
    x = np.zeros((N, 4, 4, 3), "u1")
    path = tmp_path / "images.npz"
    np.savez(path, x_train=x, y_train=train, x_test=x, y_test=test)
    return path


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("part", ["y_train", "y_test"])
def test_wrong_labels_in_a_file_are_refused_in_one_line(name, part, tmp_path):
    labels, message = WRONG[name]
    good = np.arange(N)
    pair = (labels, good) if part == "y_train" else (good, labels)
    with pytest.raises(DataError, match=message) as told:
        read_images(npz(tmp_path, *pair))
    assert f"images.npz: {part}: labels are whole numbers" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", RIGHT)
def test_labels_of_exact_meaning_are_taken(name, tmp_path):
    data = read_images(npz(tmp_path, RIGHT[name], RIGHT[name]))
    assert data.y_train.tolist() == data.y_test.tolist() == list(range(N))
    assert data.y_train.dtype == torch.int64


def test_booleans_are_two_classes_and_objects_are_refused(tmp_path):
    assert class_labels(np.array([True, False]), 2).tolist() == [1, 0]
    assert class_labels(torch.tensor([1.0, 2], dtype=torch.bfloat16), 2).tolist() == [1, 2]
    with pytest.raises(DataError, match="not text"):
        class_labels(np.array([1, "cat"], dtype=object), 2)
    with pytest.raises(DataError, match="y_train is Python objects"):
        read_images(npz(tmp_path, np.array([{}] * N, dtype=object), np.arange(N)))


@pytest.mark.parametrize("name", ["fractions", "NaN", "negative", "one-hot", "too many"])
def test_wrong_labels_of_tensors_are_refused_as_well(name):
    labels = torch.from_numpy(WRONG[name][0])
    bytes_, floats = torch.zeros(N, 3, 4, 4, dtype=torch.uint8), torch.zeros(N, 3, 4, 4)
    for make in (
        lambda: Images(bytes_, labels),
        lambda: ImageData(bytes_, torch.arange(N), bytes_, labels),
        lambda: list(as_batches((floats, labels))),
        lambda: list(as_batches([(floats, labels)])),
    ):
        with pytest.raises(DataError, match=WRONG[name][1]):
            make()


@pytest.mark.parametrize(
    "pair", [((0.5,) * 3,), ((0.5,) * 3, (0.2,) * 2), ((0.5,), (0,)), ((0.5,), (np.nan,)), 3, "ab"]
)
def test_a_normalisation_is_a_name_or_a_pair(pair, tmp_path):
    with pytest.raises(DataError, match="normalisation"):
        read_images(npz(tmp_path, np.arange(N), np.arange(N)), normalisation=pair)


def test_a_normalisation_of_one_s_own(tmp_path):
    path = npz(tmp_path, np.arange(N), np.arange(N))
    data = read_images(path, normalisation=([0.1, 0.2, 0.3], np.array([0.4, 0.5, 0.6])))
    assert (data.mean, data.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    images, _ = next(data.test.batches())
    torch.testing.assert_close(images[0, :, 0, 0], torch.tensor([-0.25, -0.4, -0.5]))
