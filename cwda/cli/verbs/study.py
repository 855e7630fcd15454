"""`cwda study`: train networks along one factor at a time and test the conditions."""

from __future__ import annotations

from pathlib import Path

import click

from cwda.cli.messages import note
from cwda.cli.options import names_of
from cwda.cli.sources import Entry, Sources, source_arguments
from cwda.cli.verb import Verb

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

    import cwda
    from cwda.study import BASE_RECIPE, plan, run_study
    from cwda.study.report import write_report

    base = replace(
        BASE_RECIPE,
        epochs=epochs or BASE_RECIPE.epochs,
        training_images=images or BASE_RECIPE.training_images,
        pooling=pooling or BASE_RECIPE.pooling,
    )
    names = names_of(factors) if factors else None
    plan(base, names, seeds=seeds)  # what is impossible is refused before networks are loaded
    sources = Sources(entries)
    networks = sources.load() if entries else []
    result = run_study(
        cwda.read_images(data), names, folder=folder, base=base, seeds=seeds, budget=60 * budget
    )
    for run in result.runs:
        if run.status != "not begun":
            note(f"{run.factor} {run.level} seed {run.seed}: {run.status}")
    left = sum(run.status in ("cut off", "not begun") for run in result.runs)
    if left:
        note(f"{left} of {len(result.runs)} runs are left; rerun the same command to resume")
    evidence = cwda.check(networks) if networks else None
    for path in write_report(result, folder, evidence):
        click.echo(str(path))
    sources.finish()
