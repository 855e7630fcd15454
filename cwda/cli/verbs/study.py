"""`cwda study`: train networks along one factor at a time and test the conditions."""

from __future__ import annotations

from pathlib import Path

import click

from cwda.cli.messages import note
from cwda.cli.options import names_of
from cwda.cli.sources import Entry, Sources, source_arguments
from cwda.cli.verb import Verb
from cwda.progress import counter

__all__ = ["study"]


@click.command(
    cls=Verb,
    short_help="Train along one factor at a time, and test.",
    epilog="""\b
Examples:
  cwda study --data cifar10.npz --output runs/study --seeds 2 --budget 60
  cwda study --data cifar10.npz --output runs/study --seeds 2 --budget 0
The second tabulates what the first has done so far.
""",
)
@click.option("--data", required=True, metavar="PATH",
              help="A .npz file (x_train, y_train, x_test, y_test; uint8 images n x 32 x 32 "
              "x 3) or the folder of torchvision's CIFAR10.")  # fmt: skip
@click.option("--output", "folder", required=True, type=click.Path(path_type=Path),
              help="Folder for runs, tables and figures; a study that was cut off goes on "
              "from there.")  # fmt: skip
@click.option("--factors", metavar="NAMES",
              help="Comma-separated: initialisation, optimizer, weight_decay, learning_rate, "
              "batch_size, augmentation, task, images, depth, width, epochs. "
              "Default: all.")  # fmt: skip
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1),
              help="Networks of each level.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of the base recipe.  [8]")
@click.option("--images", type=click.IntRange(min=1),
              help="Training images of the base recipe.  [5000]")  # fmt: skip
@click.option("--pooling", type=click.IntRange(min=1), metavar="PIXELS",
              help="Average the images over squares of this side; 1 leaves them.  [2]")  # fmt: skip
@click.option("--budget", default=60.0, show_default=True, type=click.FloatRange(min=0),
              metavar="MINUTES", help="Time after which training stops.")  # fmt: skip
@source_arguments
def study(
    data: str,
    folder: Path,
    factors: str | None,
    seeds: int,
    epochs: int | None,
    images: int | None,
    pooling: int | None,
    budget: float,
    entries: list[Entry],
) -> None:
    """When does the assumption hold? A study over training factors.

    A base recipe (ResNet-20, SGD) is changed one factor at a time; each network is tested
    before, during and after its training. Ordered such that it may be cut off anywhere.
    SOURCE is a trained network to set beside the study: a file or a name.
    """
    from dataclasses import replace

    from cwda.models.data import read_images
    from cwda.study.arms import Run, plan
    from cwda.study.report import write_report
    from cwda.study.run import BASE_RECIPE, measure_networks, run_study

    base = replace(
        BASE_RECIPE,
        epochs=epochs or BASE_RECIPE.epochs,
        training_images=images or BASE_RECIPE.training_images,
        pooling=pooling or BASE_RECIPE.pooling,
    )
    runs = plan(base, names_of(factors) if factors else None, seeds)
    sources = Sources(entries)
    networks = sources.load() if entries else []
    with counter("study") as whole, counter("run") as current:

        def on_run(place: int, run: Run, status: str) -> None:
            whole.update(place + 1, len(runs))
            if status != "not begun":
                name = f"{run.arm.factor} {run.arm.level} seed {run.seed}"
                note(f"{place + 1:3d}/{len(runs)} {name}: {status}")

        def on_epoch(run: Run, done: int) -> None:
            current.update(done, run.recipe.epochs, f"{run.arm.factor} {run.arm.level}")

        result = run_study(
            read_images(data), folder, runs, budget=60 * budget, on_run=on_run, on_epoch=on_epoch
        )
    left = int(result.runs["status"].isin(["cut off", "not begun"]).sum())
    if left:
        note(f"{left} of {len(runs)} runs are left; the same command goes on")
    evidence = measure_networks(networks) if networks else None
    for path in write_report(result, folder, evidence):
        click.echo(str(path))
    sources.finish()
