"""`cwda-test`: the six conditions on every layer of one or several networks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cwda._version import __version__
from cwda.cli.failure import BAD_INPUT, CONDITION_FAILS, one_line_errors, say
from cwda.errors import CwdaError

if TYPE_CHECKING:
    from cwda.layers import ConvLayer, Network

__all__ = ["cwda_test"]

DEFAULT_MODEL = "resnet20-cifar10"


class _Assignment(click.ParamType[tuple[str, float]]):
    """NAME=NUMBER."""

    def __init__(self, name: str, example: str) -> None:
        self.name, self.example = name, example

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        name, _, number = str(value).partition("=")
        try:
            return name.strip(), float(number)
        except ValueError:
            self.fail(f"{value!r} is not of the form {self.name}, as {self.example}", param, ctx)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="""\b
Examples:
  cwda-test
  cwda-test --model resnet18 --output resnet18.csv
  cwda-test --checkpoint mine.pth --checkpoint theirs.safetensors
  cwda-test --conditions epsilon --layers 'layer3.*' --margin epsilon=0.25

\b
Exit codes: 0 done; 1 bad input; 2 bad usage; 3 with --strict, if a condition
fails in any layer.
""",
)
@click.option("--model", "models", multiple=True, metavar="NAME",
              help="A built-in or torchvision name, timm:NAME or hf:ORG/REPO; repeatable. "
              f"Default: {DEFAULT_MODEL}. See `cwda models`.")  # fmt: skip
@click.option("--checkpoint", "checkpoints", multiple=True, metavar="PATH",
              help="A file of weights; repeatable.")  # fmt: skip
@click.option("--conditions", metavar="NAMES",
              help="Comma-separated: gaussianity, variance, mean, epsilon, independence, "
              "homogeneity. Default: all.")  # fmt: skip
@click.option("--layers", metavar="GLOB",
              help="Only layers whose name matches, as 'layer3.*,conv1'.")  # fmt: skip
@click.option("--alpha", default=0.05, show_default=True, metavar="LEVEL",
              help="Level of the tests; intervals have level 1 - 2 alpha.")  # fmt: skip
@click.option("--margin", "margins", multiple=True, type=_Assignment("NAME=VALUE", "epsilon=0.25"),
              help="Largest effect that counts as negligible; repeatable.")  # fmt: skip
@click.option("--groups", multiple=True, type=_Assignment("GLOB=N", "'*.conv2=32'"),
              help="Groups of layers, where a file does not say; repeatable.")  # fmt: skip
@click.option("--transposed", metavar="GLOB",
              help="Transposed convolutions, where a file does not say.")  # fmt: skip
@click.option("--weights-key", metavar="KEY",
              help="The part of a checkpoint to read, as 'ema'.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the table to FILE.csv, FILE.json or FILE.parquet.")  # fmt: skip
@click.option("--summary", is_flag=True, help="Show the counts only, not the layers.")
@click.option("--strict", is_flag=True, help="Exit with 3 if a condition fails in any layer.")
@click.version_option(__version__, prog_name="cwda-test")
@one_line_errors
def cwda_test(
    models: tuple[str, ...],
    checkpoints: tuple[str, ...],
    conditions: str | None,
    layers: str | None,
    alpha: float,
    margins: tuple[tuple[str, float], ...],
    groups: tuple[tuple[str, float], ...],
    transposed: str | None,
    weights_key: str | None,
    device: str,
    output: Path | None,
    summary: bool,
    strict: bool,
) -> None:
    """Test the Convolution Weight Distribution Assumption, layer by layer.

    Six conditions: the weights are Gaussian, have equal variances and mean zero,
    correlate little within an input channel (epsilon) and not at all between channels
    (independence), and all filters share one scale (homogeneity). Each effect comes with
    an interval, and is judged against a margin: it holds, fails, or is inconclusive.
    """
    from rich.console import Console

    from cwda.cli.output import require_writable, write_table
    from cwda.cli.screen import show
    from cwda.conditions.check import CONDITIONS, check, resolve_margins

    names = [name.strip() for name in conditions.split(",")] if conditions else None
    try:
        resolve_margins(dict(margins))
        unknown = [name for name in names or () if name not in CONDITIONS]
        if unknown:
            raise CwdaError(
                f"unknown condition {unknown[0]!r}; choose from {', '.join(CONDITIONS)}"
            )
        if not 0 < alpha < 0.5:
            raise CwdaError(f"--alpha must lie between 0 and 0.5, not {alpha:g}")
    except CwdaError as error:
        raise click.UsageError(str(error)) from error
    if output:
        require_writable(output)

    how = {
        "groups": {pattern: int(number) for pattern, number in groups},
        "transposed": transposed,
        "weights_key": weights_key,
    }
    networks, unreadable = _load_all(models, checkpoints, layers, how)
    with _Progress(sum(len(network) for network in networks)) as advance:
        result = check(
            networks, names, margins=dict(margins), alpha=alpha, device=device, on_layer=advance
        )
    show(result, Console(highlight=False), layers=not summary)
    if output:
        write_table(result.table, output)
        click.echo(f"wrote {len(result)} rows to {output}", err=True)
    if unreadable:
        raise SystemExit(BAD_INPUT)
    if strict and any(row.verdict == "fails" for row in result):
        raise SystemExit(CONDITION_FAILS)


def _load_all(
    models: tuple[str, ...],
    checkpoints: tuple[str, ...],
    layers: str | None,
    how: Mapping[str, Any],
) -> tuple[list[Network], int]:
    """Load every source; one that cannot be read is told and does not lose the others."""
    from cwda.extract import load

    sources: list[str | Path] = [*models, *(Path(path) for path in checkpoints)]
    networks, unreadable = [], 0
    for source in sources or [DEFAULT_MODEL]:
        try:
            network = load(source, **how)
            networks.append(_select(network, layers) if layers else network)
        except CwdaError as error:
            say(error)
            unreadable += 1
    if not networks:
        raise SystemExit(BAD_INPUT)
    return networks, unreadable


def _select(network: Network, pattern: str) -> Network:
    selected = network.select(pattern)
    if not len(selected):
        some = ", ".join(layer.name for layer in network.layers[:3])
        raise CwdaError(
            f"{network.name}: no layer matches {pattern!r}; its layers are called {some}, ..."
        )
    return selected


class _Progress:
    """A bar on standard error while layers are tested, on a terminal only."""

    def __init__(self, total: int) -> None:
        self.total = total

    def __enter__(self) -> Callable[[Network, ConvLayer], None]:
        from rich.console import Console
        from rich.progress import Progress

        self.bar = Progress(
            console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
        )
        self.bar.start()
        task = self.bar.add_task("layers", total=self.total)
        return lambda network, layer: self.bar.advance(task)

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()
