"""Labelled images: array files, image folders, torchvision's CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cwda.arguments import as_path, choose, require_count
from cwda.errors import DataError
from cwda.models.image_files.arrays import read_arrays, require_arrays, require_pixels
from cwda.models.labels import class_labels

__all__ = [
    "CIFAR10_MEAN",
    "CIFAR10_STD",
    "NORMALISATIONS",
    "ImageData",
    "Images",
    "augment",
    "normalise",
    "read_images",
    "require_images",
]

Channels = tuple[float, ...]

#: Mean and standard deviation of the training pixels per channel, in [0, 1]. Those of ImageNet
#: are the ones that torchvision's and timm's weights were trained with.
NORMALISATIONS: dict[str, tuple[Channels, Channels]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
CIFAR10_MEAN, CIFAR10_STD = NORMALISATIONS["cifar10"]

_DATASETS = ("cifar10", "cifar100")


@dataclass(frozen=True, eq=False)
class Images:
    """Images with labels, kept as bytes and normalised when they are used.

    Attributes
    ----------
    pixels : Tensor
        uint8, (n, channels, height, width).
    labels : Tensor
        Class labels 0, 1, ..., C - 1, (n,); int64.
    mean, std : tuple of float
        Per channel, of pixels in [0, 1].

    Raises
    ------
    DataError
        If labels are not whole numbers from 0, or not one per image.

    Examples
    --------
    >>> import torch
    >>> from cwda.models.data import Images
    >>> images = Images(torch.zeros(10, 3, 32, 32, dtype=torch.uint8), torch.arange(10))
    >>> images.sample(4, seed=0).labels.tolist()
    [4, 1, 7, 5]
    """

    pixels: Tensor
    labels: Tensor
    mean: Channels = CIFAR10_MEAN
    std: Channels = CIFAR10_STD

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", class_labels(self.labels, len(self.pixels)))

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        return f"Images: {len(self):,} of {_size(self.pixels)}, {_classes(self.labels)}"

    def sample(self, samples: int, seed: int = 0) -> Images:
        """A simple random sample without replacement, such as for calibration.

        Raises
        ------
        DataError
            If there are fewer images.
        """
        if not 1 <= samples <= len(self):
            raise DataError(f"asked for {samples} images, but there are only {len(self)}")
        generator = torch.Generator().manual_seed(seed)
        indices = torch.randperm(len(self), generator=generator)[:samples]
        return replace(self, pixels=self.pixels[indices], labels=self.labels[indices])

    def batches(self, batch_size: int = 128) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised float32 images and their labels, in order."""
        for pixels, labels in zip(
            self.pixels.split(batch_size), self.labels.split(batch_size), strict=True
        ):
            yield normalise(pixels, self.mean, self.std), labels


@dataclass(frozen=True, eq=False)
class ImageData:
    """Training and test images.

    Attributes
    ----------
    x_train, x_test : Tensor
        uint8 images, (n, channels, height, width).
    y_train, y_test : Tensor
        Class labels 0, 1, ..., C - 1, (n,); int64.
    mean, std : tuple of float
        Per channel, of pixels in [0, 1].

    Raises
    ------
    DataError
        If labels are not whole numbers from 0, or not one per image.
    """

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    mean: Channels = CIFAR10_MEAN
    std: Channels = CIFAR10_STD

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            images, labels = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            object.__setattr__(self, f"y_{part}", class_labels(labels, len(images)))

    def __repr__(self) -> str:
        return (
            f"ImageData: {len(self.x_train):,} training and {len(self.x_test):,} test images of "
            f"{_size(self.x_train)}, {_classes(self.y_train)}"
        )

    @property
    def num_classes(self) -> int:
        """Number of classes, one more than the largest training label."""
        return int(self.y_train.max()) + 1

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of images, labels and normalisation."""
        digest = hashlib.sha256(f"{self.mean} {self.std}".encode())
        for value in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(f"{tuple(value.shape)} ".encode())
            digest.update(value.contiguous().numpy().data)
        return digest.hexdigest()

    @property
    def train(self) -> Images:
        """The training images."""
        return Images(self.x_train, self.y_train, self.mean, self.std)

    @property
    def test(self) -> Images:
        """The test images."""
        return Images(self.x_test, self.y_test, self.mean, self.std)


def _size(images: Tensor) -> str:
    return f"{images.shape[1]} channels, {' x '.join(map(str, images.shape[2:]))} pixels"


def _classes(labels: Tensor) -> str:
    return f"labels up to {int(labels.max())}" if len(labels) else "no labels"


def read_images(
    source: str | Path,
    *,
    dataset: str = "cifar10",
    normalisation: str | tuple[Sequence[float], Sequence[float]] | None = None,
    size: int | None = None,
    samples: int | None = None,
    download: bool = False,
    seed: int = 0,
) -> ImageData:
    """Read images from an array file, from folders of images or from torchvision's CIFAR.

    Parameters
    ----------
    source : str or Path
        A ``.npz`` file with the arrays x_train, y_train, x_test and y_test (images
        uint8, n x height x width x channels); a folder with ``train/CLASS/*.png`` (or .jpg, ...)
        and ``test/CLASS/`` or ``val/CLASS/``; or a folder for torchvision.
    dataset : {"cifar10", "cifar100"}
        Which data set of torchvision.
    normalisation : str or pair of sequences, optional
        The one the model was trained with: a key of `NORMALISATIONS`, or mean and standard
        deviation of each channel, of pixels in [0, 1]. By default "imagenet" for image
        folders, and that of `dataset` otherwise. (Many published CIFAR networks, such as those of
        akamaster/pytorch_resnet_cifar10, were trained with "imagenet".)
    size : int, optional
        For image folders: scale the shorter side to 8/7 of this and crop the centre, as is
        usual for ImageNet; needed where the images differ in size.
    samples : int, optional
        Keep a random sample of the training images, such as for calibration; only these are
        decoded of a folder.
    download : bool
        Let torchvision download the data set into the folder.
    seed : int
        Seed of the sample.

    Returns
    -------
    ImageData

    Raises
    ------
    DataError
        If the source is missing, damaged or has other arrays or shapes, or labels are not
        whole numbers from 0.
    """
    path = as_path(source)
    choose([dataset], _DATASETS, "data set", DataError)
    for what, value in (("samples", samples), ("size", size)):
        if value is not None:
            require_count(value, 1, what, DataError)
    require_count(seed, 0, "seed", DataError)
    if path.suffix != ".npz" and (path / "train").is_dir():
        from cwda.models.image_files.folders import read_folders

        mean, std = _normalisation(normalisation or "imagenet")
        return ImageData(*read_folders(path, size, samples, seed), mean, std)
    mean, std = _normalisation(normalisation or dataset)
    if path.suffix == ".npz":
        arrays = read_arrays(path)
    else:
        if not download:
            require_images(path)
        arrays = _read_torchvision(path, download, dataset)
    x_train, y_train, x_test, y_test = arrays
    for name, images in (("x_train", x_train), ("x_test", x_test)):
        require_pixels(path, name, images)
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{path}: training images of shape {x_train.shape[1:]}, but test images of shape "
            f"{x_test.shape[1:]}; both must have one size"
        )
    train = Images(_channels_first(x_train), _labels(path, "y_train", y_train, len(x_train)))
    if samples is not None:
        train = train.sample(samples, seed)
    test_labels = _labels(path, "y_test", y_test, len(x_test))
    return ImageData(train.pixels, train.labels, _channels_first(x_test), test_labels, mean, std)


def require_images(source: str | Path) -> None:
    """Raise unless there is a file or folder that may hold images; they are not read.

    Raises
    ------
    DataError
        If it is missing, neither a folder nor a ``.npz`` file, or lacks an array.
    """
    path = as_path(source)
    if path.suffix == ".npz":
        require_arrays(path)
    elif not path.exists():
        raise DataError(f"{path}: no such file or folder; give a .npz file or a folder of images")
    elif not path.is_dir():
        raise DataError(f"{path}: neither a .npz file nor a folder of images; give one of them")


def _normalisation(
    normalisation: str | tuple[Sequence[float], Sequence[float]],
) -> tuple[Channels, Channels]:
    if isinstance(normalisation, str):
        [name] = choose([normalisation], NORMALISATIONS, "normalisation", DataError)
        return NORMALISATIONS[name]
    try:
        mean, std = (tuple(float(value) for value in part) for part in normalisation)
    except (TypeError, ValueError):
        mean, std = (), ()
    fits = len(mean) == len(std) > 0 and all(map(math.isfinite, mean + std)) and min(std) > 0
    if not fits:
        raise DataError(
            "a normalisation is a name or a pair (means, standard deviations), one number per "
            f"channel and the second positive, not {str(normalisation)[:80]}"
        )
    return mean, std


def _read_torchvision(path: Path, download: bool, dataset: str) -> list[np.ndarray]:
    from torchvision.datasets import CIFAR10, CIFAR100

    kind = CIFAR10 if dataset == "cifar10" else CIFAR100
    try:
        train = kind(str(path), train=True, download=download)
        test = kind(str(path), train=False, download=download)
    except (RuntimeError, OSError) as error:
        name = kind.__name__.replace("CIFAR", "CIFAR-")
        raise DataError(
            f"{path}: no readable {name} ({error}), and no folder train/ with images"
        ) from error
    return [train.data, np.asarray(train.targets), test.data, np.asarray(test.targets)]


def _channels_first(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _labels(path: Path, name: str, labels: np.ndarray, images: int) -> Tensor:
    try:
        return class_labels(labels, images)
    except DataError as error:
        raise DataError(f"{path}: {name}: {error}") from None


def normalise(images: Tensor, mean: Channels = CIFAR10_MEAN, std: Channels = CIFAR10_STD) -> Tensor:
    """Turn uint8 images into float32 ones, standardised per channel."""
    from torchvision.transforms.v2 import functional as transforms

    if images.shape[1] != len(mean):
        raise DataError(
            f"images with {images.shape[1]} channels, but mean and std are given for {len(mean)}"
        )
    scaled = transforms.to_dtype(images, torch.float32, scale=True)
    normalised: Tensor = transforms.normalize(scaled, list(mean), list(std))
    return normalised


def augment(images: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """Shift each image by up to `padding` pixels (zeros move in) and mirror half of them.

    This is the augmentation of He et al. (2016, section 4.2), torchvision's RandomCrop and
    RandomHorizontalFlip, but drawn from `generator` and image by image: torchvision's own
    draw from the global state and move a whole batch alike.
    """
    from torchvision.transforms.v2 import functional as transforms

    n, _, height, width = images.shape
    padded = transforms.pad(images, [padding] * 4)
    top = torch.randint(0, 2 * padding + 1, (n, 1), generator=generator)
    left = torch.randint(0, 2 * padding + 1, (n, 1), generator=generator)
    mirrored = torch.rand(n, generator=generator) < 0.5
    image = torch.arange(n).view(n, 1, 1)
    rows = (top + torch.arange(height)).unsqueeze(2)
    columns = (left + torch.arange(width)).unsqueeze(1)
    cropped = padded[image, :, rows, columns].permute(0, 3, 1, 2)
    return torch.where(mirrored.view(n, 1, 1, 1), transforms.horizontal_flip(cropped), cropped)
