"""What a network is trained on: the task its labels set, the number and size of images."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from cwda.errors import DataError
from cwda.models.data import ImageData

__all__ = ["TASKS", "pool_images", "set_task"]

TASKS = ("classes", "coarse", "random")

#: CIFAR-10's airplane, automobile, ship and truck; the other six classes are animals.
_MACHINES = (0, 1, 8, 9)


def set_task(
    data: ImageData, task: str, training_images: int | None = None, seed: int = 0
) -> ImageData:
    """The same images with the labels of another task, or a sample of them.

    Parameters
    ----------
    data : ImageData
        Images with labels.
    task : str
        "classes": the labels as they are. "coarse": machines (1) against animals (0),
        for the ten classes of CIFAR-10. "random": the training labels in random order
        (Zhang et al. 2017); the test labels stay.
    training_images : int, optional
        Size of a simple random sample of the training images; all by default.
    seed : int
        Seed of the sample and of the order of random labels.

    Returns
    -------
    ImageData

    Raises
    ------
    DataError
        If the task is unknown or does not fit the labels, or there are too few images.
    """
    if task not in TASKS:
        raise DataError(f"unknown task {task!r}; choose from {', '.join(TASKS)}")
    if training_images is not None:
        sample = data.train.sample(training_images, seed)
        data = replace(data, x_train=sample.pixels, y_train=sample.labels)
    if task == "coarse":
        if data.num_classes > 10:
            raise DataError(
                "the coarse task needs the ten classes of CIFAR-10, "
                f"but there are {data.num_classes}"
            )
        return replace(data, y_train=_coarse(data.y_train), y_test=_coarse(data.y_test))
    if task == "random":
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(data.y_train), generator=generator)
        return replace(data, y_train=data.y_train[order])
    return data


def pool_images(data: ImageData, size: int) -> ImageData:
    """Average the images over squares of `size` x `size` pixels: fewer pixels, less time.

    Raises
    ------
    DataError
        If height or width is not a multiple of `size`.
    """
    height, width = data.x_train.shape[2:]
    if size < 1 or height % size or width % size:
        raise DataError(f"images of {height} x {width} pixels cannot be averaged by {size}")
    if size == 1:
        return data
    return replace(data, x_train=_pool(data.x_train, size), x_test=_pool(data.x_test, size))


def _pool(images: Tensor, size: int) -> Tensor:
    pooled = [torch.nn.functional.avg_pool2d(part.float(), size) for part in images.split(1000)]
    return torch.cat([part.round().to(torch.uint8) for part in pooled])


def _coarse(labels: Tensor) -> Tensor:
    return torch.isin(labels, torch.tensor(_MACHINES)).long()
