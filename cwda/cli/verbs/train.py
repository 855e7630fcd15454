"""`cwda train`: train a built-in architecture on CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import click

from cwda.cli.messages import note
from cwda.cli.verb import Verb

__all__ = ["train"]


@click.command(
    cls=Verb,
    short_help="Train a CIFAR ResNet.",
    epilog="""\b
Example, the recipe of the built-in weights:
  cwda train --data cifar10.npz --output runs/resnet20
""",
)
@click.option("--data", required=True, metavar="PATH",
              help="A .npz file (x_train, y_train, x_test, y_test; uint8 images n x 32 x 32 "
              "x 3) or the folder of torchvision's CIFAR10.")  # fmt: skip
@click.option("--download", is_flag=True, help="Download CIFAR-10 into the folder of --data.")
@click.option("--output", "folder", required=True, type=click.Path(path_type=Path),
              help="Folder for the checkpoint of each epoch and the final weights; a run that "
              "was cut off goes on from there.")  # fmt: skip
@click.option("--depth", default=20, show_default=True, help="Depth of the ResNet, 6n + 2.")
@click.option("--epochs", default=40, show_default=True, type=click.IntRange(min=1))
@click.option("--batch-size", default=128, show_default=True, type=click.IntRange(min=1))
@click.option("--learning-rate", default=0.1, show_default=True)
@click.option("--weight-decay", default=5e-4, show_default=True)
@click.option("--optimizer", default="sgd", show_default=True, metavar="NAME",
              help="sgd, adam or adamw.")  # fmt: skip
@click.option("--initialisation", default="kaiming_normal", show_default=True, metavar="NAME",
              help="kaiming_normal, kaiming_uniform or orthogonal.")  # fmt: skip
@click.option("--width", default=16, show_default=True, help="Filters of the first stage.")
@click.option("--augment/--no-augment", default=True, show_default=True,
              help="Shift and mirror the images.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
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
    """Train a CIFAR ResNet: seeded, resumable, with a checkpoint each epoch."""
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
    images = read_images(data, download=download)
    for epoch in run_epochs(recipe, images, folder=folder):
        if epoch.loss == epoch.loss:  # NaN for the state from which training starts
            note(
                f"epoch {epoch.number:3d}/{epochs}  training loss {epoch.loss:.4f}  "
                f"test accuracy {epoch.accuracy():.2f} %"
            )
    click.echo(str(write_weights(folder, recipe, epoch)))
