"""`cwda prune`: the accuracy that pruning by each criterion leaves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cwda.cli.failure import one_line_errors
from cwda.cli.options import CRITERIA, device_option, names_of, numbers_of
from cwda.cli.output import output_option

if TYPE_CHECKING:
    from cwda.experiment import ExperimentResult
    from cwda.experiment.bench import OnProgress

__all__ = ["prune"]

INTERRUPTED = 130


@click.command(
    short_help="Prune, fine-tune, measure the accuracy left.",
    epilog="""\b
Examples:
  cwda prune --model resnet20-cifar10 --data cifar10.npz
  cwda prune --model resnet56.th --normalisation imagenet --data cifar10.npz \\
      --criteria l1,l2,taylor_l1,random --finetune 1 --finetune-at .5 --seeds 3 \\
      --folder runs/resnet56 --output accuracy.csv --figure accuracy.svg
""",
)
@click.option("--model", required=True, metavar="NAME|PATH",
              help="A name of a model or a checkpoint.")  # fmt: skip
@click.option("--arch", metavar="NAME", help="Architecture of a checkpoint, where its keys "
              "do not tell.")  # fmt: skip
@click.option("--data", required=True, metavar="PATH",
              help="A .npz file (x_train, y_train, x_test, y_test), a folder with train/CLASS/ "
              "and test/CLASS/, or the folder of torchvision's CIFAR-10.")  # fmt: skip
@click.option("--normalisation", metavar="NAME",
              help="Of the images, as the model was trained: cifar10, cifar100 or "
              "imagenet.")  # fmt: skip
@click.option("--criteria", default=CRITERIA, show_default=True, metavar="NAMES")
@click.option("--ratios", default=".1,.3,.5,.7", show_default=True, metavar="NUMBERS",
              help="Shares of filters to prune.")  # fmt: skip
@click.option("--strategy", default="layerwise,global", show_default=True, metavar="NAMES")
@click.option("--scope", default="free", show_default=True, type=click.Choice(["free", "all"]),
              help="Prune convolutions whose filters are tied to no others (in a ResNet the "
              "inner ones), or all, tied filters together.")  # fmt: skip
@click.option("--finetune", "epochs", default=0, show_default=True, metavar="EPOCHS",
              type=click.IntRange(min=0), help="Epochs of fine-tuning.")  # fmt: skip
@click.option("--finetune-at", metavar="NUMBERS", help="Ratios to fine-tune at; all by default.")
@click.option("--learning-rate", default=0.01, show_default=True, help="Of fine-tuning.")
@click.option("--batch-size", default=128, show_default=True, type=click.IntRange(min=2),
              help="Of fine-tuning.")  # fmt: skip
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1),
              help="How often what is random is repeated.")  # fmt: skip
@click.option("--samples", default=1024, show_default=True, type=click.IntRange(min=1),
              help="Training images for criteria that need data.")  # fmt: skip
@click.option("--subset", type=click.IntRange(min=1), metavar="N",
              help="Fine-tune on N training images and test on N test images.")  # fmt: skip
@click.option("--precision", default="float32", show_default=True,
              type=click.Choice(["float32", "mixed"]), help="Of accuracies.")  # fmt: skip
@click.option("--finetune-precision", default="mixed", show_default=True,
              type=click.Choice(["float32", "mixed"]), help="Of fine-tuning.")  # fmt: skip
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
@one_line_errors
def prune(
    model: str,
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
    output: Path | None,
    pairs: Path | None,
    figure: Path | None,
) -> None:
    """Prune by each criterion, fine-tune, and measure the accuracy (figure 3 of the paper).

    A row per strategy, criterion, ratio, seed and stage; beside them how alike the criteria
    select. A run that was stopped goes on with the same command.
    """
    import cwda
    from cwda.cli.figure_file import require_drawable
    from cwda.cli.output import require_table, write_tables
    from cwda.cli.show_experiment import show_experiment
    from cwda.experiment import FineTuning, run_experiment

    at = None if finetune_at is None else numbers_of(finetune_at, "--finetune-at")
    shares, strategies = numbers_of(ratios, "--ratios"), names_of(strategy)
    for path in filter(None, (output, pairs)):
        require_table(path)
    if figure:
        require_drawable(figure)
    name = Path(model).name.removesuffix(Path(model).suffix) if Path(model).exists() else model
    folder = folder or Path(f"prune-{name.replace('/', '-').replace(':', '-')}")
    how = None
    if epochs:
        how = FineTuning(
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
            precision=finetune_precision,  # type: ignore[arg-type]
        )
    module = cwda.load_model(model, arch)
    images = cwda.read_images(data, normalisation=normalisation)
    with _Bar() as on_progress:
        try:
            result = run_experiment(
                module,
                images,
                names_of(criteria),
                shares,
                strategies,
                finetuning=how,
                finetune_at=at,
                seeds=seeds,
                folder=folder,
                samples=samples,
                subset=subset,
                scope=scope,  # type: ignore[arg-type]
                precision=precision,  # type: ignore[arg-type]
                device=device,
                name=name,
                on_progress=on_progress,
            )
        except KeyboardInterrupt:
            click.echo(
                f"interrupted; what is done is in {folder}, and the same command goes on there",
                err=True,
            )
            raise SystemExit(INTERRUPTED) from None
    show_experiment(result)
    if output:
        write_tables([result.table], output)
    if pairs:
        write_tables([result.pairs], pairs)
    if figure:
        _draw(result, figure, strategies)


def _draw(result: ExperimentResult, path: Path, strategies: list[str]) -> None:
    from cwda.cli.figure_file import write_figure
    from cwda.figures import accuracy_curves

    for each in strategies:
        alone = len(strategies) == 1
        target = path if alone else path.with_name(f"{path.stem}-{each}{path.suffix}")
        write_figure(accuracy_curves(result, each).figure, target)


class _Bar:
    """A bar with the time left on standard error, on a terminal only."""

    def __enter__(self) -> OnProgress:
        from rich.console import Console
        from rich.progress import Progress, TimeRemainingColumn

        self.bar = Progress(
            *Progress.get_default_columns()[:-1],
            TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self.bar.start()
        task = self.bar.add_task("preparing", total=None)

        def tell(done: float, total: float, what: str) -> None:
            self.bar.update(task, completed=done, total=total, description=what)

        return tell

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()
