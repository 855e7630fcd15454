"""`cwda experiment`: the accuracy that pruning by each criterion leaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from cwda.choices import Strategy
from cwda.cli.messages import note
from cwda.cli.options import (
    COUNT,
    NAMES,
    PATH,
    SHARES,
    WHOLE,
    arch_option,
    bad_usage,
    criteria_option,
    data_options,
    device_option,
    option,
    scope_option,
)
from cwda.cli.output import Outputs, output_option
from cwda.cli.overwriting import DRAWN, TABLE
from cwda.cli.sources import ONE_SOURCE, Entry, one_source, source_arguments
from cwda.cli.verb import verb

if TYPE_CHECKING:
    from cwda.experiment import ExperimentResult

__all__ = ["experiment"]


@verb(
    "experiment",
    "Prune, fine-tune, measure the accuracy left.",
    examples="""
        cwda experiment resnet20-cifar10 --data cifar10.npz
        cwda experiment resnet56.th --normalisation imagenet --data cifar10.npz \\
            --criteria l1,l2,taylor_l1,random --finetune 1 --finetune-at .5 \\
            --seeds 3 --folder runs/resnet56 --output accuracy.csv \\
            --figure accuracy.svg
    """,
    about_source=ONE_SOURCE,
)
@source_arguments(several=False)
@arch_option
@data_options(required=True)
@criteria_option("Criteria to prune by, separated by commas.")
@option("--ratios", "Shares of filters to prune.", default=".1,.3,.5,.7", type=SHARES)
@option(
    "--strategy",
    "One ranking per layer (layerwise), one for all layers (global), or both.",
    into="strategies",
    default=",".join(get_args(Strategy)),
    type=NAMES,
)
@scope_option("free")
@option("--finetune", "Number of epochs of fine-tuning.", into="epochs", default=0, type=WHOLE)
@option("--finetune-at", "Ratios at which to fine-tune.", show_default="all", type=SHARES)
@option("--learning-rate", "Learning rate for fine-tuning.", default=0.01)
@option(
    "--batch-size",
    "Number of images in a batch of fine-tuning.",
    default=128,
    type=click.IntRange(min=2),
    metavar="N",
)
@option("--seeds", "Number of repeats with different random seeds.", default=1, type=COUNT)
@option(
    "--subset",
    "Fine-tune on N training images and test on N test images.",
    show_default="all",
    type=COUNT,
)
@option(
    "--precision",
    "Precision used when measuring accuracy.",
    default="float32",
    type=click.Choice(["float32", "mixed"]),
)
@option(
    "--finetune-precision",
    "Precision used when fine-tuning.",
    default="mixed",
    type=click.Choice(["float32", "mixed"]),
)
@option(
    "--folder",
    "Folder that keeps every cell; rerun the same command to resume.",
    show_default="experiment-MODEL",
    type=PATH,
)
@device_option()
@output_option
@option(
    "--pairs",
    "Write how alike criteria select, and how far their accuracies differ, to FILE.csv, .json or "
    ".parquet.",
    type=TABLE,
    metavar="FILE",
)
@option(
    "--figure",
    "Draw accuracy against ratio into FILE.svg, .pdf or .png; with two strategies, into "
    "FILE-layerwise and FILE-global.",
    type=DRAWN,
    metavar="FILE",
)
def experiment(
    entries: list[Entry],
    arch: str | None,
    data: str,
    normalisation: str | None,
    criteria: list[str],
    ratios: list[float],
    strategies: list[str],
    scope: str,
    epochs: int,
    finetune_at: list[float] | None,
    learning_rate: float,
    batch_size: int,
    seeds: int,
    samples: int,
    subset: int | None,
    precision: str,
    finetune_precision: str,
    folder: Path | None,
    device: str,
    output: Outputs,
    pairs: Path | None,
    figure: Path | None,
) -> None:
    """Prune by each criterion, fine-tune, and measure the accuracy (figure 3 of the paper).

    One row per strategy, criterion, ratio, seed and stage, and how alike the criteria select.
    Rerun the same command to resume a run that was stopped.
    """
    import cwda
    from cwda.arguments import choose
    from cwda.cli.evidence import require_normalisation, resolve_criteria
    from cwda.cli.figure_file import require_drawable
    from cwda.cli.output import require_distinct, require_table
    from cwda.cli.screen.pruning.show_experiment import show_experiment
    from cwda.experiment import FineTuning, run_experiment
    from cwda.files import require_folder

    entry = one_source(entries)
    resolve_criteria(criteria)
    with bad_usage():
        choose(strategies, get_args(Strategy), "strategy")
    require_normalisation(normalisation)
    output.require()
    if pairs:
        require_distinct([*output.files(), (pairs, "that of --pairs")])
        require_table(pairs)
    if figure:
        require_drawable(figure)
    name = entry.name
    folder = folder or Path(f"experiment-{name.replace('/', '-').replace(':', '-')}")
    require_folder(folder)
    finetuning = None
    if epochs:
        finetuning = FineTuning(
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
            precision=finetune_precision,  # type: ignore[arg-type]
        )
    module = entry.load_model(arch)
    images = cwda.read_images(data, normalisation=normalisation)
    try:
        result = run_experiment(
            module,
            images,
            criteria,
            ratios=ratios,
            strategies=strategies,
            finetuning=finetuning,
            finetune_at=finetune_at,
            scope=scope,  # type: ignore[arg-type]
            precision=precision,  # type: ignore[arg-type]
            samples=samples,
            subset=subset,
            seeds=seeds,
            folder=folder,
            name=name,
            device=device,
        )
    except KeyboardInterrupt:
        note(f"what is done is in {folder}; rerun the same command to resume")
        raise
    show_experiment(result, output.screen())
    output.write(one.table for one in [result])
    Outputs((pairs,) if pairs else ()).write(one.pairs for one in [result])
    if figure:
        _draw(result, figure, strategies)


def _draw(result: ExperimentResult, path: Path, strategies: list[str]) -> None:
    from cwda.cli.figure_file import write_figure
    from cwda.figures import accuracy_curves

    for strategy in strategies:
        alone = len(strategies) == 1
        target = path if alone else path.with_name(f"{path.stem}-{strategy}{path.suffix}")
        write_figure(accuracy_curves(result, strategy).figure, target)
