"""`cwda train`: train a built-in architecture on CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import click

from cwda.cli.messages import note
from cwda.cli.options import COUNT, PATH, cifar_option, option, seed_option
from cwda.cli.verb import verb

__all__ = ["train"]


@verb(
    "train",
    "Train a CIFAR ResNet.",
    examples="""
        cwda train --data cifar10.npz --output runs/resnet20
    """,
)
@cifar_option
@option("--download", "Download CIFAR-10 into the folder of --data.", is_flag=True)
@option(
    "--output",
    "Folder for the checkpoint of each epoch and the final weights; a run that was cut off "
    "resumes there.",
    into="folder",
    required=True,
    type=PATH,
    metavar="FOLDER",
)
@option("--depth", "Depth of the ResNet, 6n + 2.", default=20)
@option("--width", "Number of filters in the first stage.", default=16)
@option("--epochs", "Number of passes over the training images.", default=40, type=COUNT)
@option("--batch-size", "Number of images in a batch.", default=128, type=COUNT)
@option("--learning-rate", "Learning rate at the peak of its schedule.", default=0.1)
@option("--weight-decay", "Weight decay, of all parameters.", default=5e-4)
@option("--optimizer", "Optimizer: sgd, adam or adamw.", default="sgd", metavar="NAME")
@option(
    "--initialisation",
    "Initial weights: kaiming_normal, kaiming_uniform or orthogonal.",
    default="kaiming_normal",
    metavar="NAME",
)
@option("--augment/--no-augment", "Shift and mirror the training images.", default=True)
@seed_option
def train(
    data: str,
    download: bool,
    folder: Path,
    depth: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    optimizer: str,
    initialisation: str,
    width: int,
    augment: bool,
    seed: int,
) -> None:
    """Train a CIFAR ResNet: seeded, resumable, with a checkpoint each epoch.

    The default options are the recipe of the built-in weights.
    """
    from cwda.files import require_folder
    from cwda.models.data import read_images
    from cwda.models.train import Recipe, run_epochs, write_weights

    recipe = Recipe(
        depth=depth,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        optimizer=optimizer,
        initialisation=initialisation,
        width=width,
        augment=augment,
        seed=seed,
    )
    require_folder(folder)
    images = read_images(data, download=download)
    for epoch in run_epochs(recipe, images, folder=folder):
        if epoch.loss == epoch.loss:  # NaN for the state from which training starts
            note(
                f"epoch {epoch.number:3d}/{epochs}  training loss {epoch.loss:.4f}  "
                f"test accuracy {epoch.accuracy():.2f} %"
            )
    click.echo(str(write_weights(folder, recipe, epoch)))
