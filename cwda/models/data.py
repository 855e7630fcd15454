"""Images and labels for training: array files and torchvision's CIFAR-10."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cwda.errors import DataError

__all__ = ["CIFAR10_MEAN", "CIFAR10_STD", "ImageData", "augment", "normalise", "read_images"]

#: Mean and standard deviation of the CIFAR-10 training pixels per channel, in [0, 1].
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class ImageData:
    """Training and test images.

    Attributes
    ----------
    x_train, x_test : Tensor
        uint8 images, (n, channels, height, width).
    y_train, y_test : Tensor
        int64 class labels, (n,).
    """

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor

    @property
    def num_classes(self) -> int:
        """Number of classes, one more than the largest training label."""
        return int(self.y_train.max()) + 1


def read_images(source: str | Path, download: bool = False) -> ImageData:
    """Read images from an array file or from torchvision's CIFAR-10 folder.

    Parameters
    ----------
    source : str or Path
        A ``.npz`` file with the arrays x_train, y_train, x_test and y_test (images
        uint8, n x height x width x channels), or a folder for torchvision's CIFAR10.
    download : bool
        Let torchvision download CIFAR-10 into the folder.

    Returns
    -------
    ImageData

    Raises
    ------
    DataError
        If the source is missing, damaged or has other arrays or shapes.
    """
    path = Path(source)
    if path.suffix == ".npz":
        arrays = _read_npz(path)
    elif path.is_dir() or download:
        arrays = _read_torchvision(path, download)
    else:
        raise DataError(f"{path}: no such file or folder; give a .npz file or a CIFAR-10 folder")
    x_train, y_train, x_test, y_test = arrays
    _require_matching(path, x_train, y_train)
    _require_matching(path, x_test, y_test)
    return ImageData(
        _channels_first(x_train), _labels(y_train), _channels_first(x_test), _labels(y_test)
    )


def _read_npz(path: Path) -> list[np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [name for name in _ARRAYS if name not in archive]
            if missing:
                raise DataError(f"{path}: the array {missing[0]} is missing")
            return [archive[name] for name in _ARRAYS]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a readable .npz file ({error})") from error


def _read_torchvision(path: Path, download: bool) -> list[np.ndarray]:
    from torchvision.datasets import CIFAR10

    try:
        train = CIFAR10(str(path), train=True, download=download)
        test = CIFAR10(str(path), train=False, download=download)
    except (RuntimeError, OSError) as error:
        raise DataError(f"{path}: no readable CIFAR-10 ({error})") from error
    return [train.data, np.asarray(train.targets), test.data, np.asarray(test.targets)]


def _require_matching(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    if images.ndim != 4 or images.dtype != np.uint8:
        raise DataError(
            f"{path}: images must be uint8, n x height x width x channels, "
            f"not {images.dtype} of shape {images.shape}"
        )
    if labels.shape != (len(images),) or len(images) == 0:
        raise DataError(f"{path}: {len(images)} images but labels of shape {labels.shape}")


def _channels_first(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def _labels(labels: np.ndarray) -> Tensor:
    return torch.from_numpy(labels.astype(np.int64))


def normalise(images: Tensor) -> Tensor:
    """Turn uint8 CIFAR images into float32 ones, standardised per channel."""
    mean = torch.tensor(CIFAR10_MEAN).view(1, 3, 1, 1)
    std = torch.tensor(CIFAR10_STD).view(1, 3, 1, 1)
    return (images.float() / 255 - mean) / std


def augment(images: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """Shift each image by up to `padding` pixels (zeros move in) and mirror half of them.

    This is the augmentation of He et al. (2016, section 4.2), drawn image by image from
    `generator` and applied to the whole batch by one gather.
    """
    n, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, [padding] * 4)
    top = torch.randint(0, 2 * padding + 1, (n, 1), generator=generator)
    left = torch.randint(0, 2 * padding + 1, (n, 1), generator=generator)
    mirrored = torch.rand(n, 1, generator=generator) < 0.5
    rows = top + torch.arange(height)
    columns = left + torch.arange(width)
    columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(n).view(n, 1, 1)
    return padded[image, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
