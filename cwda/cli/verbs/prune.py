"""`cwda prune`: the accuracy that pruning by each criterion leaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cwda.cli.messages import note
from cwda.cli.options import (
    arch_option,
    criteria_option,
    data_options,
    device_option,
    names_of,
    numbers_of,
)
from cwda.cli.output import Outputs, output_option
from cwda.cli.sources import Entry, source_arguments
from cwda.cli.verb import Verb

if TYPE_CHECKING:
    from cwda.experiment import ExperimentResult

__all__ = ["prune"]


@click.command(
    cls=Verb,
    short_help="Prune, fine-tune, measure the accuracy left.",
    epilog="""\b
Examples:
  cwda prune resnet20-cifar10 --data cifar10.npz
  cwda prune resnet56.th --normalisation imagenet --data cifar10.npz \\
      --criteria l1,l2,taylor_l1,random --finetune 1 --finetune-at .5 \\
      --seeds 3 --folder runs/resnet56 --output accuracy.csv \\
      --figure accuracy.svg
""",
)
@source_arguments
@arch_option
@data_options(required=True)
@criteria_option("Criteria, separated by commas.")
@click.option("--ratios", default=".1,.3,.5,.7", show_default=True, metavar="NUMBERS",
              help="Shares of filters to prune.")  # fmt: skip
@click.option("--strategy", default="layerwise,global", show_default=True, metavar="NAMES",
              help="One ranking per layer, one for all layers, or both.")  # fmt: skip
@click.option("--scope", default="free", show_default=True, type=click.Choice(["free", "all"]),
              help="Prune convolutions whose filters are tied to no others (in a ResNet the "
              "inner ones), or all, tied filters together.")  # fmt: skip
@click.option("--finetune", "epochs", default=0, show_default=True, metavar="EPOCHS",
              type=click.IntRange(min=0), help="Epochs of fine-tuning.")  # fmt: skip
@click.option("--finetune-at", metavar="NUMBERS", help="Ratios to fine-tune at; all by default.")
@click.option("--learning-rate", default=0.01, show_default=True,
              help="Learning rate of fine-tuning.")  # fmt: skip
@click.option("--batch-size", default=128, show_default=True, type=click.IntRange(min=2),
              help="Images in a batch of fine-tuning.")  # fmt: skip
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1),
              help="How often what is random is repeated.")  # fmt: skip
@click.option("--subset", type=click.IntRange(min=1), metavar="N",
              help="Fine-tune on N training images and test on N test images.")  # fmt: skip
@click.option("--precision", default="float32", show_default=True,
              type=click.Choice(["float32", "mixed"]),
              help="Precision in which accuracies are computed.")  # fmt: skip
@click.option("--finetune-precision", default="mixed", show_default=True,
              type=click.Choice(["float32", "mixed"]),
              help="Precision of fine-tuning.")  # fmt: skip
@click.option("--folder", type=click.Path(path_type=Path), metavar="DIR",
              help="Keeps every cell; the same command goes on there. Default: "
              "prune-MODEL.")  # fmt: skip
@device_option
@output_option
@click.option("--pairs", type=click.Path(path_type=Path), metavar="FILE",
              help="Write how alike criteria select, and how far their accuracies differ, to "
              "FILE.csv, .json or .parquet.")  # fmt: skip
@click.option("--figure", type=click.Path(path_type=Path), metavar="FILE",
              help="Draw accuracy against ratio into FILE.svg, .pdf or .png; with two "
              "strategies, into FILE-layerwise and FILE-global.")  # fmt: skip
def prune(
    entries: list[Entry],
    arch: str | None,
    data: str,
    normalisation: str | None,
    criteria: str,
    ratios: str,
    strategy: str,
    scope: str,
    epochs: int,
    finetune_at: str | None,
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
    A run that was stopped goes on with the same command.
    """
    import cwda
    from cwda.cli.figure_file import require_drawable
    from cwda.cli.output import require_table
    from cwda.cli.screen.show_experiment import show_experiment
    from cwda.experiment import FineTuning, run_experiment

    at = None if finetune_at is None else numbers_of(finetune_at, "--finetune-at")
    shares, strategies = numbers_of(ratios, "--ratios"), names_of(strategy)
    if len(entries) != 1:
        raise click.UsageError(f"one SOURCE is pruned, not {len(entries)}")
    output.require()
    if pairs:
        require_table(pairs)
    if figure:
        require_drawable(figure)
    name = _name(entries[0])
    folder = folder or Path(f"prune-{name.replace('/', '-').replace(':', '-')}")
    how = None
    if epochs:
        how = FineTuning(
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
            precision=finetune_precision,  # type: ignore[arg-type]
        )
    module = entries[0].load_model(arch)
    images = cwda.read_images(data, normalisation=normalisation)
    try:
        result = run_experiment(
            module,
            images,
            names_of(criteria),
            ratios=shares,
            strategies=strategies,
            finetuning=how,
            finetune_at=at,
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
    output.write([result.table])
    Outputs((pairs,) if pairs else ()).write([result.pair_table])
    if figure:
        _draw(result, figure, strategies)


def _name(entry: Entry) -> str:
    """What tables and the folder of the run call the network."""
    path = Path(entry.text)
    return path.name.removesuffix(path.suffix) if path.exists() else entry.text


def _draw(result: ExperimentResult, path: Path, strategies: list[str]) -> None:
    from cwda.cli.figure_file import write_figure
    from cwda.figures import accuracy_curves

    for each in strategies:
        alone = len(strategies) == 1
        target = path if alone else path.with_name(f"{path.stem}-{each}{path.suffix}")
        write_figure(accuracy_curves(result, each).figure, target)
