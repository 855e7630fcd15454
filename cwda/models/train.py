"""Train a built-in architecture: seeded, resumable, with a checkpoint each epoch."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cwda.brief import brief
from cwda.errors import CwdaError, DivergedError
from cwda.files import whole_file
from cwda.models.data import ImageData, augment, normalise
from cwda.models.evaluate import accuracy
from cwda.models.resnet import INITIALISATIONS, CifarResNet, cifar_resnet, initialise
from cwda.models.tasks import TASKS, pool_images, set_task

__all__ = [
    "CHECKPOINT",
    "OPTIMIZERS",
    "Epoch",
    "Recipe",
    "read_checkpoint",
    "run_epochs",
    "train",
    "untrained",
]

CHECKPOINT = "checkpoint.pt"

_OPTIMIZER_NAMES = {"sgd": "SGD, Nesterov momentum", "adam": "Adam", "adamw": "AdamW"}

OPTIMIZERS = tuple(_OPTIMIZER_NAMES)


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
    momentum : float
        Nesterov momentum of "sgd"; the moments of Adam keep PyTorch's defaults.
    weight_decay : float
        Added to the gradient by "sgd" and "adam", decoupled from it by "adamw"; biases
        and BatchNorm parameters are decayed as well, as in He et al. (2016).
    seed : int
        Seed of the initial weights, of the order of the images, of augmentation, and of
        the sample of images and the random labels.
    optimizer, initialisation, task : str
        One of `OPTIMIZERS`, of `cwda.models.resnet.INITIALISATIONS` and of
        `cwda.models.tasks.TASKS`.
    augment : bool
        Shift and mirror the training images.
    width : int
        Filters of the first stage.
    training_images : int, optional
        Size of a random sample of the training images; all of them by default.
    pooling : int
        Images are averaged over squares of this many pixels a side; 1 leaves them.

    Raises
    ------
    CwdaError
        If a name is unknown or a number is out of range.
    """

    depth: int = 20
    epochs: int = 40
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0
    optimizer: str = "sgd"
    initialisation: str = "kaiming_normal"
    task: str = "classes"
    augment: bool = True
    width: int = 16
    training_images: int | None = None
    pooling: int = 1

    def __post_init__(self) -> None:
        choices = {
            "optimizer": OPTIMIZERS,
            "initialisation": INITIALISATIONS,
            "task": TASKS,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise CwdaError(
                    f"unknown {name} {getattr(self, name)!r}; choose from {', '.join(allowed)}"
                )
        if self.depth < 8 or (self.depth - 2) % 6:
            raise CwdaError(f"depth must be 6n + 2, as 20, 32, 56, not {self.depth}")
        for name in ("epochs", "batch_size", "width"):
            if getattr(self, name) < 1:
                raise CwdaError(f"{name} must be at least 1, not {getattr(self, name)}")

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that tell this recipe from any other.

        Only what differs from the defaults is hashed, so that a recipe keeps its identity
        when the class gains an attribute.
        """
        changed = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
        return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Epoch:
    """A network along its training.

    Attributes
    ----------
    number : int
        Epochs done; 0 is the untrained network.
    loss : float
        Mean training loss of the epoch; NaN for the state from which training starts.
    model : nn.Module
        The network itself, not a copy: training changes it further.
    data : ImageData
        The images and labels of its task.
    """

    number: int
    loss: float
    model: nn.Module
    data: ImageData

    __repr__ = brief

    def accuracy(self) -> float:
        """Accuracy on the test images in percent."""
        return accuracy(self.model, self.data.test)


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
    DivergedError
        If the loss is not finite.
    CwdaError
        If the checkpoint is damaged or belongs to another recipe.
    """
    for epoch in run_epochs(recipe, data, folder, on_step):
        if on_epoch and not math.isnan(epoch.loss):
            on_epoch(epoch.number, epoch.loss, epoch.accuracy())
    return _write_result(folder, recipe, epoch)


def run_epochs(
    recipe: Recipe,
    data: ImageData,
    folder: Path,
    on_step: Callable[[int, int], None] | None = None,
) -> Iterator[Epoch]:
    """Train epoch by epoch, with a checkpoint after each; parameters as in `train`.

    Yields
    ------
    Epoch
        First the state from which training starts: untrained, or as the checkpoint left
        it. Then the state after each epoch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Of all images: a small sample may lack a class that the test images have
    num_classes = 2 if recipe.task == "coarse" else data.num_classes
    data = set_task(data, recipe.task, recipe.training_images, recipe.seed)
    data = pool_images(data, recipe.pooling)
    model = untrained(recipe, num_classes).to(memory_format=torch.channels_last)
    optimizer = _make_optimizer(recipe, model)
    done = _resume(folder / CHECKPOINT, recipe, model, optimizer)
    images = normalise(data.x_train, data.mean, data.std)
    yield Epoch(done, math.nan, model, data)
    for number in range(done + 1, recipe.epochs + 1):
        loss = _run_epoch(recipe, number - 1, model, optimizer, images, data.y_train, on_step)
        if not math.isfinite(loss):
            raise DivergedError(
                f"epoch {number}: the loss is not finite; lower the learning rate "
                f"(now {recipe.learning_rate:g}); {folder / CHECKPOINT} keeps the last good epoch"
            )
        _save(folder / CHECKPOINT, recipe, number, model, optimizer)
        yield Epoch(number, loss, model, data)


def untrained(recipe: Recipe, num_classes: int) -> CifarResNet:
    """The network with which training by `recipe` starts."""
    model = cifar_resnet(recipe.depth, num_classes, recipe.width)
    initialise(model, recipe.seed, recipe.initialisation)
    return model


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What training left in `path`: recipe, epoch, and the states of model and optimizer.

    Raises
    ------
    CwdaError
        If the file is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CwdaError(f"{path}: not a readable checkpoint; remove it to start again") from error
    return state


def _make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        model.parameters(), lr=rate, momentum=recipe.momentum, weight_decay=decay, nesterov=True
    )


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
        x = images[batch]
        if recipe.augment:
            # Four pixels of 32, as He et al. (2016), and as much in proportion of others
            x = augment(x, generator, padding=x.shape[-1] // 8)
        x = x.contiguous(memory_format=torch.channels_last)
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
    state = read_checkpoint(path)
    # A checkpoint written before an attribute existed was trained with its default.
    if {**asdict(Recipe()), **state["recipe"]} != asdict(recipe):
        raise CwdaError(f"{path} belongs to another recipe; choose another folder")
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
    with whole_file(path) as partial:
        torch.save(state, partial)


def _write_result(folder: Path, recipe: Recipe, last: Epoch) -> Path:
    name = f"resnet{recipe.depth}-cifar10"
    path = folder / f"{name}.safetensors"
    size = last.data.x_train.shape[-1]
    save_file({key: value.contiguous() for key, value in last.model.state_dict().items()}, path)
    provenance = {
        "name": name,
        "architecture": f"CIFAR ResNet-{recipe.depth} (He et al. 2016, section 4.2), option A",
        "data": f"CIFAR-10, {len(last.data.x_train):,} training and "
        f"{len(last.data.x_test):,} test images",
        "recipe": asdict(recipe),
        "optimizer": f"{_OPTIMIZER_NAMES[recipe.optimizer]}, 1 epoch linear warm-up, cosine to 0",
        "augmentation": f"zero padding {size // 8}, random crop {size}, random horizontal flip"
        if recipe.augment
        else "none",
        "arithmetic": "bfloat16 autocast, float32 weights",
        "test_accuracy_percent": round(last.accuracy(), 2),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "torch": torch.__version__.split("+")[0],
    }
    path.with_suffix(".json").write_text(json.dumps(provenance, indent=2) + "\n")
    return path
