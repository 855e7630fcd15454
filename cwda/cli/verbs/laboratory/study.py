"""`cwda study`: train networks along one factor at a time and test the conditions."""

from __future__ import annotations

from pathlib import Path

import click

from cwda.cli.completion import factors as all_factors
from cwda.cli.messages import note
from cwda.cli.options import COUNT, PATH, bad_usage, cifar_option, names_option, option
from cwda.cli.verb import verb

__all__ = ["study"]


@verb(
    "study",
    "Train along one factor at a time, and test.",
    examples="""
        cwda study --data cifar10.npz --output runs/study --seeds 2 --budget 60
        cwda study --data cifar10.npz --output runs/study --seeds 2 --budget 0
    """,
    about_source="With --budget 0 nothing is trained, and what earlier runs have done is "
    "tabulated. For networks that are trained already see `cwda survey`.",
)
@cifar_option
@option(
    "--output",
    "Folder for runs, tables and figures; a study that was cut off resumes there.",
    into="folder",
    required=True,
    type=PATH,
    metavar="FOLDER",
)
@names_option("--factors", "Factors to vary, separated by commas.", all_factors, "unknown factor")
@option("--seeds", "Number of networks to train per factor level.", default=1, type=COUNT)
@option("--epochs", "Number of epochs of the base recipe.", show_default="8", type=COUNT)
@option(
    "--images", "Number of training images of the base recipe.", show_default="5000", type=COUNT
)
@option(
    "--pooling",
    "Average the images over squares with this side, in pixels; 1 leaves them.",
    show_default="2",
    type=COUNT,
    metavar="PIXELS",
)
@option(
    "--budget",
    "Minutes after which training stops.",
    default=60.0,
    type=click.FloatRange(min=0),
    metavar="MINUTES",
)
def study(
    data: str,
    folder: Path,
    factors: list[str] | None,
    seeds: int,
    epochs: int | None,
    images: int | None,
    pooling: int | None,
    budget: float,
) -> None:
    """When does the assumption hold? A study over training factors.

    A base recipe (ResNet-20, SGD) is changed one factor at a time; each network is tested
    before, during and after its training. Ordered such that it may be cut off anywhere.
    """
    from dataclasses import replace

    import cwda
    from cwda.files import require_folder
    from cwda.study import BASE_RECIPE, plan, run_study
    from cwda.study.report import write_report

    base = replace(
        BASE_RECIPE,
        epochs=epochs or BASE_RECIPE.epochs,
        training_images=images or BASE_RECIPE.training_images,
        pooling=pooling or BASE_RECIPE.pooling,
    )
    with bad_usage():
        plan(base, factors, seeds=seeds)
    require_folder(folder)
    result = run_study(
        cwda.read_images(data), factors, folder=folder, base=base, seeds=seeds, budget=60 * budget
    )
    for run in result.run_rows:
        if run.status != "not begun":
            note(f"{run.factor} {run.setting} seed {run.seed}: {run.status}")
    left = sum(run.status in ("cut off", "not begun") for run in result.run_rows)
    if left:
        note(f"{left} of {len(result.run_rows)} runs are left; rerun the same command to resume")
    for path in write_report(result, folder):
        click.echo(str(path))
