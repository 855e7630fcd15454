"""Batches, samples, image folders and the memory they take."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from cwda.errors import DataError, OutOfMemory
from cwda.models import Images, read_images
from cwda.models.batches import as_batches
from cwda.models.data import NORMALISATIONS, augment, normalise, require_images
from cwda.models.evaluate import accuracy
from cwda.models.memory import Chunks


def bytes_of(n=6, size=8, channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, channels, size, size), generator=generator, dtype=torch.uint8)


@pytest.fixture
def folder(tmp_path):
    """Two classes of three training and one test image."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 1)):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f"{i}.png")
    return tmp_path


def test_normalisation_is_that_of_torchvision():
    images = bytes_of()
    mean, std = NORMALISATIONS["imagenet"]
    chain = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])
    torch.testing.assert_close(normalise(images, mean, std), chain(images), rtol=0, atol=0)


def test_augmentation_is_torchvision_s_crop_and_flip_for_each_image():
    images = normalise(bytes_of(n=12))
    moved = augment(images, torch.Generator().manual_seed(3), padding=2)
    draws = torch.Generator().manual_seed(3)
    top, left = (torch.randint(0, 5, (12, 1), generator=draws) for _ in range(2))
    mirrored = torch.rand(12, generator=draws) < 0.5
    for i, (image, found) in enumerate(zip(images, moved, strict=True)):
        padded = v2.functional.pad(image, [2, 2, 2, 2])
        expected = v2.functional.crop(padded, int(top[i]), int(left[i]), 8, 8)
        if mirrored[i]:
            expected = v2.functional.horizontal_flip(expected)
        assert torch.equal(found, expected)


def test_a_sample_depends_on_its_seed_alone():
    images = Images(bytes_of(20), torch.arange(20))
    first, again, other = images.sample(7, 1), images.sample(7, 1), images.sample(7, 2)
    assert torch.equal(first.labels, again.labels)
    assert not torch.equal(first.labels, other.labels)
    assert len(set(first.labels.tolist())) == 7
    assert torch.equal(first.pixels, images.pixels[first.labels])
    for samples in (0, 21):
        with pytest.raises(DataError, match=f"asked for {samples} images, but there are only 20"):
            images.sample(samples)


def test_batches_of_everything_that_stands_for_images():
    images = Images(bytes_of(5), torch.arange(5))
    x, y = normalise(images.pixels), images.labels
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, y), batch_size=2, generator=torch.Generator()
    )
    for data in (images, (x, y), loader, [(x[:2], y[:2]), (x[2:4], y[2:4]), (x[4:], y[4:])]):
        found = list(as_batches(data, 2))
        assert [len(part) for part, _ in found] == [2, 2, 1]
        assert torch.equal(torch.cat([part for part, _ in found]), x)
        assert torch.equal(torch.cat([labels for _, labels in found]), y)
    assert [labels for _, labels in as_batches(x, 4)] == [None, None]
    with pytest.raises(DataError, match="1 or more"):
        as_batches(x, 0)


def test_a_folder_of_images_becomes_training_and_test_images(folder):
    data = read_images(folder)
    assert data.x_train.shape == (6, 3, 8, 10)
    assert data.y_train.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.y_test.tolist() == [0, 1]
    assert (data.mean, data.std) == NORMALISATIONS["imagenet"]
    expected = np.asarray(Image.open(folder / "train" / "dog" / "1.png")).transpose(2, 0, 1)
    assert (data.x_train[4].numpy() == expected).all()
    assert read_images(folder, size=4).x_train.shape == (6, 3, 4, 4)
    part = read_images(folder, samples=3, seed=1)
    assert len(part.train) == 3
    assert len(part.test) == 2


def test_damaged_images_are_counted_and_named(folder):
    (folder / "train" / "cat" / "1.png").write_bytes(b"no image")
    (folder / "train" / "dog" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(DataError, match=r"2 of 6 images cannot be read, the first .*cat/1\.png"):
        read_images(folder)


def test_folders_that_do_not_fit_are_told_in_one_line(folder, tmp_path):
    Image.new("RGB", (5, 5)).save(folder / "train" / "cat" / "9.png")
    with pytest.raises(DataError, match=r"differ in size \(5 x 5 and 8 x 10\); give size="):
        read_images(folder)
    (folder / "val" / "emu").mkdir()
    with pytest.raises(DataError, match="class 'emu' has no training images"):
        read_images(folder)
    for empty, message in (("a", "neither test/ nor val/"), ("b", "no folders of classes")):
        (tmp_path / empty / "train").mkdir(parents=True)
        if empty == "b":
            (tmp_path / empty / "test").mkdir()
        with pytest.raises(DataError, match=message):
            read_images(tmp_path / empty)
    (tmp_path / "b" / "train" / "cat").mkdir()
    with pytest.raises(DataError, match="no images"):
        read_images(tmp_path / "b")


def test_an_unknown_data_set_and_wrong_channels_are_told():
    with pytest.raises(DataError, match="did you mean 'cifar100'"):
        read_images("x", dataset="cifar-100")
    with pytest.raises(DataError, match="1 channels, but mean and std are given for 3"):
        normalise(bytes_of(channels=1))


def test_a_npz_file_may_have_the_normalisation_of_cifar100_and_be_sampled(tmp_path):
    pixels, labels = np.zeros((9, 4, 4, 3), np.uint8), np.arange(9)
    path = tmp_path / "images.npz"
    np.savez(path, x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    data = read_images(path, dataset="cifar100", samples=4, seed=2)
    assert (data.mean, data.std) == NORMALISATIONS["cifar100"]
    assert read_images(path, normalisation="imagenet").test.mean == NORMALISATIONS["imagenet"][0]
    with pytest.raises(DataError, match="unknown normalisation 'imgnet'; did you mean 'imagenet'"):
        read_images(path, normalisation="imgnet")
    assert torch.equal(data.y_train, read_images(path).train.sample(4, 2).labels)


def test_work_is_repeated_with_half_as_many_images_until_it_fits():
    seen = []

    def work(size):
        seen.append(size)
        if size > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")
        return size

    chunks = Chunks()
    with pytest.warns(RuntimeWarning) as told:
        assert chunks.run(13, work) == 3
    assert [str(each.message) for each in told] == [
        "out of memory with 13 images at a time; going on with 6",
        "out of memory with 6 images at a time; going on with 3",
    ]
    assert chunks.run(13, work) == 3
    assert seen == [13, 6, 3, 3]


def test_no_memory_for_one_image_and_other_errors_end_the_work():
    def full(size):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OutOfMemory, match="with a single image"):
        Chunks(size=1).run(4, full)

    def broken(size):
        raise RuntimeError("shapes")

    with pytest.raises(RuntimeError, match="shapes"):
        Chunks().run(4, broken)


def test_accuracy_counts_what_fits_and_leaves_the_model_as_it_was():
    outputs = torch.tensor([[2.0, 1], [0, 1], [3, 2]])
    model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Dropout())
    assert accuracy(model, (outputs, torch.tensor([0, 1, 1])), batch_size=2) == pytest.approx(
        200 / 3
    )
    assert model.training
    for data, message in [
        ((outputs, torch.tensor([0, 1, 2])), "labels run from 0|labels run from 2"),
        (outputs, "accuracy needs labels"),
        ([], "no images"),
    ]:
        with pytest.raises(DataError, match=message):
            accuracy(model, data)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"x_train": np.zeros((0, 8, 8, 3), np.uint8)}, "x_train.*holds no pixels"),
        ({"x_test": np.full((4, 8, 8, 3), 0.5)}, r"x_test.*save \(255 \* x\)\.round\(\)"),
        ({"x_train": np.full((4, 8, 8, 3), 200.0)}, r"from 200 to 200: save x\.round\(\)"),
        ({"x_train": np.full((4, 8, 8, 3), -2.5)}, "-2.5: save them as they were before"),
        ({"x_train": np.full((4, 8, 8, 3), np.nan)}, "save them as they were before"),
        ({"x_train": np.zeros((4, 3, 8, 8), np.uint8)}, r"transpose\(0, 2, 3, 1\)"),
        ({"x_train": np.zeros((4, 8, 8), np.uint8)}, r"save x\[\.\.\., None\]"),
        ({"x_train": np.zeros((4, 192), np.uint8)}, "with four axes"),
        ({"x_test": np.zeros((4, 9, 9, 3), np.uint8)}, "both must have one size"),
        ({"x_train": np.array([{}] * 4, object)}, "Python objects, which are never read"),
    ],
)
def test_arrays_that_are_no_images_say_how_to_save_them(tmp_path, changed, words):
    pixels, labels = np.zeros((4, 8, 8, 3), np.uint8), np.arange(4)
    arrays = {"x_train": pixels, "y_train": labels, "x_test": pixels, "y_test": labels}
    np.savez(tmp_path / "images.npz", **arrays | changed)
    with pytest.raises(DataError, match=words) as found:
        read_images(tmp_path / "images.npz")
    assert "allow_pickle" not in str(found.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a readable .npz file"),
        (b"x_train, y_train\n" * 9, "not a readable .npz file"),
        (b"\x93NUMPY\x01\x00", "not a readable .npz file"),
        (b"PK\x05\x06" + bytes(18), "x_train is missing; it is empty"),
    ],
)
def test_files_that_are_no_archives_of_arrays(tmp_path, content, words):
    path = tmp_path / "junk.npz"
    path.write_bytes(content)
    for read in (read_images, require_images):
        with pytest.raises(DataError, match=words) as found:
            read(path)
        assert "pickle" not in str(found.value)


def test_what_an_archive_has_instead_is_listed(tmp_path):
    np.savez(tmp_path / "mine.npz", images=np.zeros(3), labels=np.zeros(3))
    with pytest.raises(DataError, match="x_train is missing; it has images, labels, not x_train"):
        read_images(tmp_path / "mine.npz")
