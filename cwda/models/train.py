"""Train a built-in architecture: seeded, resumable, with a checkpoint each epoch."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cwda.errors import TrainingError
from cwda.models.data import ImageData, Images, augment, normalise
from cwda.models.evaluate import accuracy
from cwda.models.resnet import cifar_resnet, initialise

__all__ = ["Recipe", "evaluate", "train"]

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; two runs of one recipe on one machine are identical.

    Attributes
    ----------
    depth : int
        Depth of the CIFAR ResNet.
    epochs, batch_size : int
        Passes over the training images, and images a step.
    learning_rate : float
        Peak of the schedule: linear warm-up over the first epoch, then half a cosine
        down to zero.
    momentum, weight_decay : float
        Of stochastic gradient descent with Nesterov momentum; biases and BatchNorm
        parameters are decayed as well, as in He et al. (2016).
    seed : int
        Seed of the initial weights, of the order of the images and of augmentation.
    """

    depth: int = 20
    epochs: int = 40
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0


def train(
    recipe: Recipe,
    data: ImageData,
    folder: Path,
    on_epoch: Callable[[int, float, float], None] | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Path:
    """Train a CIFAR ResNet and write its weights with their provenance.

    The forward pass runs under bfloat16 autocast in channels-last layout, the weights
    stay float32. After each epoch `folder`/checkpoint.pt holds all that is needed to go
    on; a second call with the same recipe continues there.

    Parameters
    ----------
    recipe : Recipe
        Architecture, schedule and seed.
    data : ImageData
        Images of 32 x 32 pixels with three channels.
    folder : Path
        Where the checkpoint and the results go; made if absent.
    on_epoch : callable, optional
        Called after each epoch with the epochs done, the mean training loss and the
        test accuracy in percent.
    on_step : callable, optional
        Called after each step with the steps done in this epoch and their number.

    Returns
    -------
    Path
        The written ``resnet<depth>-cifar10.safetensors``; a ``.json`` file beside it
        tells recipe, accuracy and SHA-256.

    Raises
    ------
    TrainingError
        If the loss is not finite, or the checkpoint belongs to another recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = cifar_resnet(recipe.depth, data.num_classes)
    initialise(model, recipe.seed)
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=True,
    )
    done = _resume(folder / CHECKPOINT, recipe, model, optimizer)
    images = normalise(data.x_train)
    for epoch in range(done, recipe.epochs):
        loss = _run_epoch(recipe, epoch, model, optimizer, images, data.y_train, on_step)
        if not math.isfinite(loss):
            raise TrainingError(
                f"epoch {epoch + 1}: the loss is not finite; lower the learning rate "
                f"(now {recipe.learning_rate:g}); {folder / CHECKPOINT} keeps the last good epoch"
            )
        _save(folder / CHECKPOINT, recipe, epoch + 1, model, optimizer)
        if on_epoch:
            on_epoch(epoch + 1, loss, evaluate(model, data.x_test, data.y_test))
    return _write_result(folder, recipe, model, evaluate(model, data.x_test, data.y_test))


def evaluate(model: nn.Module, images: Tensor, labels: Tensor, batch_size: int = 500) -> float:
    """Accuracy in percent of `model` on uint8 CIFAR images, in float32."""
    return accuracy(model, Images(images, labels), batch_size)


def _run_epoch(
    recipe: Recipe,
    epoch: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    on_step: Callable[[int, int], None] | None,
) -> float:
    # A generator for each epoch, so that a resumed run draws what a whole one would.
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch + 1)
    order = torch.randperm(len(images), generator=generator)
    batches = order.split(recipe.batch_size)
    model.train()
    total = 0.0
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = _learning_rate(recipe, epoch + step / len(batches))
        x = augment(images[batch], generator).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = model(x)
        loss = nn.functional.cross_entropy(outputs.float(), labels[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
        if on_step:
            on_step(step + 1, len(batches))
    return total / len(images)


def _learning_rate(recipe: Recipe, time: float) -> float:
    """Learning rate at `time` in epochs: one epoch of warm-up, then a half cosine."""
    if time < 1:
        return recipe.learning_rate * max(time, 0.01)
    progress = (time - 1) / max(recipe.epochs - 1, 1)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def _resume(path: Path, recipe: Recipe, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load the checkpoint if there is one; returns the number of epochs done."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    if state["recipe"] != asdict(recipe):
        raise TrainingError(f"{path} belongs to another recipe; choose another folder")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"])


def _save(
    path: Path, recipe: Recipe, epoch: int, model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    state: dict[str, Any] = {
        "recipe": asdict(recipe),
        "epoch": epoch,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def _write_result(folder: Path, recipe: Recipe, model: nn.Module, accuracy: float) -> Path:
    name = f"resnet{recipe.depth}-cifar10"
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    provenance = {
        "name": name,
        "architecture": f"CIFAR ResNet-{recipe.depth} (He et al. 2016, section 4.2), option A",
        "data": "CIFAR-10, 50,000 training and 10,000 test images",
        "recipe": asdict(recipe),
        "optimizer": "SGD, Nesterov momentum, 1 epoch linear warm-up, cosine to 0",
        "augmentation": "zero padding 4, random crop 32, random horizontal flip",
        "arithmetic": "bfloat16 autocast, float32 weights",
        "test_accuracy_percent": round(accuracy, 2),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "torch": torch.__version__.split("+")[0],
    }
    path.with_suffix(".json").write_text(json.dumps(provenance, indent=2) + "\n")
    return path
