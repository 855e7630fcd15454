"""Folders of images, one a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cwda.errors import DataError
from cwda.progress import steps

__all__ = ["read_folders"]

# Usual for ImageNet: the shorter side 256 for a cut of 224.
_MARGIN = 8 / 7


def read_folders(
    path: Path, size: int | None = None, samples: int | None = None, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images and labels of ``train/CLASS/``, then of ``test/CLASS/`` or ``val/CLASS/``.

    Classes are numbered in the order of their names among the training images.

    Raises
    ------
    DataError
        If a folder is missing, classes differ, files are damaged or differ in size.
    """
    tests = [path / name for name in ("test", "val") if (path / name).is_dir()]
    if not tests:
        raise DataError(f"{path}: there is a folder train/, but neither test/ nor val/")
    classes = sorted(child.name for child in (path / "train").iterdir() if child.is_dir())
    if not classes:
        raise DataError(f"{path / 'train'}: no folders of classes")
    train, test = (_files(folder, classes) for folder in (path / "train", tests[0]))
    if samples is not None:
        train = _sample(train, samples, seed)
    return *_read(train, size), *_read(test, size)


def _files(folder: Path, classes: list[str]) -> list[tuple[Path, int]]:
    from torchvision.datasets.folder import IMG_EXTENSIONS

    strange = {child.name for child in folder.iterdir() if child.is_dir()} - set(classes)
    if strange:
        raise DataError(f"{folder}: the class {min(strange)!r} has no training images")
    files = [
        (file, label)
        for label, name in enumerate(classes)
        for file in sorted((folder / name).glob("**/*"))
        if file.suffix.lower() in IMG_EXTENSIONS
    ]
    if not files:
        raise DataError(f"{folder}: no images ({', '.join(IMG_EXTENSIONS)}) in folders of classes")
    return files


def _sample(files: list[tuple[Path, int]], samples: int, seed: int) -> list[tuple[Path, int]]:
    if not 1 <= samples <= len(files):
        raise DataError(f"asked for {samples} images, but there are only {len(files)}")
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(seed))
    return [files[i] for i in order[:samples].tolist()]


def _read(files: list[tuple[Path, int]], size: int | None) -> tuple[Tensor, Tensor]:
    """Decode all files before complaining, so that one message tells of all damage."""
    images: list[Tensor] = []
    damaged: list[str] = []
    for file, _ in steps(files, "reading images"):
        try:
            images.append(_decode(file, size))
        except (OSError, ValueError, SyntaxError) as error:
            damaged.append(f"{file} ({error})")
    if damaged:
        raise DataError(
            f"{len(damaged)} of {len(files)} images cannot be read, the first {damaged[0]}; "
            "replace or remove them"
        )
    shapes = {tuple(image.shape) for image in images}
    if len(shapes) > 1:
        raise DataError(
            f"{files[0][0].parent.parent}: images differ in size ("
            f"{' and '.join(f'{s[1]} x {s[2]}' for s in sorted(shapes)[:2])}); give size="
        )
    return torch.stack(images), torch.tensor([label for _, label in files])


def _decode(file: Path, size: int | None) -> Tensor:
    from PIL import Image
    from torchvision.transforms.v2 import functional as transforms

    with Image.open(file) as opened:
        image: Any = opened.convert("RGB")
    if size is not None:
        image = transforms.resize(image, [round(size * _MARGIN)], antialias=True)
        image = transforms.center_crop(image, [size, size])
    decoded: Tensor = transforms.pil_to_tensor(image)
    return decoded
