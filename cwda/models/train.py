"""Train a built-in architecture: seeded, resumable, with a checkpoint after each epoch."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from cwda.arguments import as_path, choose, require_count
from cwda.brief import brief
from cwda.errors import CwdaError, DivergedError
from cwda.models.data import ImageData, Images
from cwda.models.evaluate import accuracy
from cwda.models.loop import half_cosine, read_checkpoint, save_checkpoint, train_epoch
from cwda.models.resnet import INITIALISATIONS, CifarResNet, cifar_resnet, initialise
from cwda.models.tasks import TASKS, pool_images, set_task
from cwda.numerics.device import resolve_device
from cwda.progress import showing
from cwda.typing import Device

__all__ = [
    "CHECKPOINT",
    "OPTIMIZERS",
    "Epoch",
    "Recipe",
    "run_epochs",
    "train",
    "untrained",
    "write_weights",
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
        Passes over the training images, and images per step.
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
        Images are averaged over squares of this side, in pixels; 1 leaves them as they are.

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
            choose([getattr(self, name)], allowed, name)
        if self.depth < 8 or (self.depth - 2) % 6:
            raise CwdaError(f"depth must be 6n + 2, such as 20, 32, 56, not {self.depth}")
        for name in ("epochs", "batch_size", "width"):
            require_count(getattr(self, name), 1, name)

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
        Mean training loss of the epoch; NaN for the untrained network.
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
        device = next(self.model.parameters()).device
        return accuracy(self.model, self.data.test, device=device)


def train(
    recipe: Recipe,
    data: ImageData,
    *,
    folder: str | Path,
    device: Device = "auto",
    progress: bool = True,
) -> Path:
    """Train a CIFAR ResNet and write its weights with their provenance.

    The forward pass runs under bfloat16 autocast in channels-last layout, the weights
    stay float32. After each epoch `folder`/checkpoint.pt holds all that is needed to resume;
    a second call with the same recipe continues there.

    Parameters
    ----------
    recipe : Recipe
        Architecture, schedule and seed.
    data : ImageData
        Images of 32 x 32 pixels with three channels.
    folder : str or Path
        Where the checkpoint and the results go; made if absent.
    device : str or torch.device
        Where to compute: "auto" (CUDA if there is one), "cpu", "cuda", ...
    progress : bool
        Show a progress bar.

    Returns
    -------
    Path
        The written ``resnet<depth>-cifar10.safetensors``; a ``.json`` file next to it
        holds recipe, accuracy and SHA-256.

    Raises
    ------
    DivergedError
        If the loss is not finite.
    CwdaError
        If the checkpoint is damaged or belongs to another recipe.
    """
    with showing(progress):
        *_, last = run_epochs(recipe, data, folder=folder, device=device)
    return write_weights(folder, recipe, last)


def run_epochs(
    recipe: Recipe, data: ImageData, *, folder: str | Path, device: Device = "auto"
) -> Iterator[Epoch]:
    """Train epoch by epoch, with a checkpoint after each; parameters as in `train`.

    Yields
    ------
    Epoch
        First the state from which training starts: untrained, or as the checkpoint left
        it. Then the state after each epoch.
    """
    folder, device = as_path(folder), resolve_device(device)
    folder.mkdir(parents=True, exist_ok=True)
    # Of all images: a small sample may lack a class that the test images have
    num_classes = 2 if recipe.task == "coarse" else data.num_classes
    data = set_task(data, recipe.task, recipe.training_images, recipe.seed)
    data = pool_images(data, recipe.pooling)
    model = untrained(recipe, num_classes).to(device).to(memory_format=torch.channels_last)
    optimizer = _make_optimizer(recipe, model)
    done, loss = _resume(folder / CHECKPOINT, recipe, model, optimizer)
    yield Epoch(done, loss, model, data)
    for number in range(done + 1, recipe.epochs + 1):
        loss = _train_epoch(recipe, number, model, optimizer, data.train)
        if not math.isfinite(loss):
            raise DivergedError(
                f"epoch {number}: the loss is not finite; lower the learning rate "
                f"(now {recipe.learning_rate:g}); {folder / CHECKPOINT} keeps the last good epoch"
            )
        facts = {"recipe": asdict(recipe), "epoch": number, "loss": loss}
        save_checkpoint(folder / CHECKPOINT, model, optimizer, **facts)
        yield Epoch(number, loss, model, data)


def untrained(recipe: Recipe, num_classes: int) -> CifarResNet:
    """The network with which training by `recipe` starts."""
    model = cifar_resnet(recipe.depth, num_classes, recipe.width)
    initialise(model, recipe.seed, recipe.initialisation)
    return model


def _make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        model.parameters(), lr=rate, momentum=recipe.momentum, weight_decay=decay, nesterov=True
    )


def _train_epoch(
    recipe: Recipe,
    number: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Images,
) -> float:
    # A generator for each epoch, so that a resumed run draws what a whole one would.
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + number)
    order = torch.randperm(len(images), generator=generator).split(recipe.batch_size)
    return train_epoch(
        model,
        optimizer,
        images,
        order,
        learning_rate=lambda share: _learning_rate(recipe, number - 1 + share),
        generator=generator,
        # Four pixels of 32, as in He et al. (2016), and the same proportion of other sizes
        padding=images.pixels.shape[-1] // 8 if recipe.augment else None,
        precision="mixed",
    )


def _learning_rate(recipe: Recipe, time: float) -> float:
    """Learning rate at `time` in epochs: one epoch of warm-up, then a half cosine."""
    if time < 1:
        return recipe.learning_rate * max(time, 0.01)
    progress = (time - 1) / max(recipe.epochs - 1, 1)
    return recipe.learning_rate * half_cosine(progress)


def _resume(
    path: Path, recipe: Recipe, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, float]:
    """Load the checkpoint if there is one: the number of epochs done, and the last one's loss."""
    if not path.exists():
        return 0, math.nan
    state = read_checkpoint(path)
    # A checkpoint written before an attribute existed was trained with its default.
    if {**asdict(Recipe()), **state.get("recipe", {})} != asdict(recipe) or "epoch" not in state:
        raise CwdaError(f"{path} belongs to another recipe; choose another folder")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["epoch"]), float(state.get("loss", math.nan))


def write_weights(folder: str | Path, recipe: Recipe, last: Epoch) -> Path:
    """Write the weights of the last epoch, with their provenance in a ``.json`` file."""
    name = f"resnet{recipe.depth}-cifar10"
    path = as_path(folder) / f"{name}.safetensors"
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
