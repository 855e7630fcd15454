"""`cwda prune`: a pruned network, in a file."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from cwda.choices import Measure, Normalisation, Strategy
from cwda.cli.completion import complete_criterion
from cwda.cli.messages import is_quiet, note
from cwda.cli.options import (
    FILE,
    SHAPE,
    SHARE,
    WHOLE,
    Running,
    device_option,
    option,
    running_options,
    scope_option,
    summary_option,
)
from cwda.cli.overwriting import NETWORK, PLAN
from cwda.cli.sources import (
    ONE_SOURCE,
    Entry,
    as_word,
    one_source,
    source_arguments,
    weights_key_option,
)
from cwda.cli.verb import verb
from cwda.errors import CwdaError
from cwda.formatting import many, percent

if TYPE_CHECKING:
    from torch import nn

    from cwda.cli.screen.screen import Screen
    from cwda.cli.screen.table import Table
    from cwda.models.data import ImageData
    from cwda.pruning import Plan, Removal

__all__ = ["prune"]

#: Layers shown on a terminal; a pipe gets them all.
_MOST_LAYERS = 10

#: What a plan says already.
_OF_THE_PLAN = ("criterion", "ratio", "measure", "strategy", "scope", "normalise", "minimum")


@verb(
    "prune",
    "Prune a network and write what is left.",
    examples="""
        cwda prune mine.pth --ratio .5 --output slim.safetensors
        cwda prune resnet18 --criterion l1 --ratio .3 --output slim.onnx
        cwda prune mine.pth --ratio .5 --strategy global --data cifar10.npz
        cwda prune mine.pth --ratio .5 --plan plan.json --summary
        cwda prune mine.pth --from-plan plan.json --output slim.pt2
    """,
    about_source=f"{ONE_SOURCE} Without --output no network is written, and the numbers are shown.",
)
@source_arguments(several=False)
@option(
    "--criterion",
    "Criterion to rank the filters by; the lowest scores are removed first. See `cwda criteria`.",
    default="l2",
    metavar="NAME",
    shell_complete=complete_criterion,
)
@option("--ratio", "Share of the network to prune, between 0 and 1.", type=SHARE)
@option(
    "--measure",
    "Quantity that the ratio refers to.",
    default="filters",
    type=click.Choice(get_args(Measure)),
)
@option(
    "--strategy",
    "The same share of every layer (layerwise), or one ranking of all filters (global).",
    default="layerwise",
    type=click.Choice(get_args(Strategy)),
)
@scope_option("all")
@option(
    "--normalise",
    "How to scale the scores of each layer before they are combined and ranked.",
    type=click.Choice(get_args(Normalisation)),
)
@option("--minimum", "Number of filters that every layer keeps.", default=1, type=WHOLE)
@option("--plan", "Write the plan, which filters go, to FILE.json.", into="plan_file", type=PLAN)
@option("--from-plan", "Remove what the plan in FILE.json prunes.", type=FILE)
@option(
    "--output",
    "Write the pruned network to FILE: its weights (.safetensors), or with the computation (.pt2, "
    ".onnx, .pt). Repeatable.",
    into="outputs",
    multiple=True,
    type=NETWORK,
    metavar="FILE",
)
@option(
    "--input-shape",
    "Shape of an image, channels first, such as 3,224,224.",
    type=SHAPE,
    show_default="that of --data, or what the architecture was made for",
)
@running_options
@weights_key_option
@device_option()
@summary_option
@click.pass_context
def prune(
    context: click.Context,
    entries: list[Entry],
    criterion: str,
    ratio: float | None,
    measure: str,
    strategy: str,
    scope: str,
    normalise: str | None,
    minimum: int,
    plan_file: Path | None,
    from_plan: Path | None,
    outputs: tuple[Path, ...],
    input_shape: tuple[int, ...] | None,
    running: Running,
    weights_key: str | None,
    device: str,
    summary: bool,
) -> None:
    """Prune the filters with the lowest scores, and write the smaller network.

    Filters that are tied to each other, such as those that meet in a residual sum, are removed
    together. The removal is checked numerically: the smaller network computes what the original
    computes with the same filters set to zero. Nothing is fine-tuned, and without that the
    accuracy usually falls far; --data measures it before and after.
    """
    import cwda
    from cwda.cli.evidence import calibration_images, read_data, resolve_criteria
    from cwda.cli.screen.screen import Screen
    from cwda.coupling.couple import couple
    from cwda.numerics.device import resolve_device
    from cwda.pruning.finite import require_finite
    from cwda.pruning.selection import check_request

    entry, screen = one_source(entries), Screen(silent=is_quiet(), summary=summary)
    _require_options(context, ratio, from_plan)
    _require_files(plan_file, outputs)
    resolve_device(device)
    plan = None if from_plan is None else cwda.Plan.load(from_plan)
    if ratio is not None:
        check_request(ratio, strategy, normalise)
    images = read_data([] if plan else resolve_criteria([criterion]), running)
    model = entry.load_model(running.arch, weights_key)
    require_finite(model)
    example = _example(model, input_shape, images)
    accuracies = [_accuracy(model, images, device)]
    coupling = couple(model, example)
    if plan is None:
        assert ratio is not None
        plan = cwda.make_plan(
            model,
            criterion,
            ratio,
            coupling if scope == "all" else coupling.untied(),
            strategy=strategy,  # type: ignore[arg-type]
            measure=measure,  # type: ignore[arg-type]
            normalise=normalise,
            minimum=minimum,
            device=device,
            data=None if images is None else calibration_images(images, running),
            batch_size=running.batch_size,
        )
    removal = cwda.remove(model, plan, coupling)
    accuracies.append(_accuracy(removal.model, images, device))
    _show(entry.name, removal, accuracies, "" if from_plan else f"; scope {scope}", screen)
    _write(removal, example, plan_file, outputs)
    if outputs:
        screen.command(*_where_next(entry, outputs[0], weights_key))


def _where_next(entry: Entry, output: Path, weights_key: str | None) -> tuple[str, str]:
    """What can be looked at next, and the command that shows it."""
    after = as_word(output)
    if weights_key:  # it is read of all sources, and what was written has none
        return "next, what is left", f"cwda test {shlex.quote(after)}"
    words = " ".join(map(shlex.quote, [*entry.words, after]))
    return "next, what that changed beyond noise", f"cwda contrast {words}"


def _require_options(context: click.Context, ratio: float | None, from_plan: Path | None) -> None:
    """Refuse a plan with options that it would ignore, and a ratio that is missing."""
    if from_plan is None:
        if ratio is None:
            raise click.UsageError("give --ratio SHARE, such as .5, or --from-plan FILE")
        return
    for name in _OF_THE_PLAN:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"the plan of --from-plan has its {name}; leave out --{name}")


def _require_files(plan_file: Path | None, outputs: Sequence[Path]) -> None:
    """Raise unless all can be written; called before any long work."""
    from cwda.files import require_writable
    from cwda.pruning.export import require_exportable

    if plan_file:
        require_writable(plan_file, (".json",))
    for path in outputs:
        require_exportable(path)


def _example(
    model: nn.Module, stated: tuple[int, ...] | None, images: ImageData | None
) -> tuple[int, ...]:
    """The shape of one image: as stated, of the data, or what the architecture was made for.

    Raises
    ------
    CwdaError
        If it is not known, or the model does not take it.
    """
    from cwda.models.input_shape import usual_input_shape
    from cwda.tracing.cost import example_input
    from cwda.tracing.graph import takes

    shape = stated or (
        tuple(images.x_test.shape[1:]) if images is not None else usual_input_shape(model)
    )
    if shape is None:
        raise CwdaError(
            f"the images that {type(model).__name__} takes are not known; give their shape, such "
            "as --input-shape 3,224,224"
        )
    example = (1, *shape)
    if not takes(model, example_input(model, example)):
        raise CwdaError(
            f"{type(model).__name__} does not take images of {' x '.join(map(str, shape))}; give "
            "--input-shape, channels first, such as 3,224,224"
        )
    return example


def _accuracy(model: nn.Module, images: ImageData | None, device: str) -> float | None:
    """Accuracy of a copy of the model, which may move to the device; None without images."""
    import cwda
    from cwda.tracing.copies import duplicate

    if images is None:
        return None
    return cwda.accuracy(duplicate(model), images.test, device=device)


def _write(
    removal: Removal, example: Sequence[int], plan_file: Path | None, outputs: Sequence[Path]
) -> None:
    import cwda
    from cwda.files import whole_file

    if plan_file:
        with whole_file(plan_file) as partial:
            removal.plan.save(partial)
        note(f"wrote the plan to {plan_file}")
    for path in dict.fromkeys(outputs):
        with whole_file(path) as partial:
            cwda.export(removal.model, partial, example)
        note(f"wrote the pruned network to {path}")
    if not plan_file and not outputs:
        note("nothing is written; --output FILE writes the pruned network, --plan FILE the plan")


def _show(
    name: str,
    removal: Removal,
    accuracies: Sequence[float | None],
    scope: str,
    screen: Screen,
) -> None:
    plan = removal.plan
    screen.line(f"{name}, pruned by {plan.criterion}", "bold")
    screen.line(
        f"{_share(plan.achieved)} of {_MEASURES[plan.measure]} ({_share(plan.ratio)} asked for), "
        f"{_STRATEGIES[plan.strategy]}{scope}"
    )
    screen.table(_costs(removal, accuracies))
    screen.line()
    table, legend = _layers(plan, screen.width is not None)
    screen.table(table, legend)
    screen.remarks([*_remarks(removal), _accuracy_remark(accuracies)])
    screen.line()


_MEASURES: dict[Measure, str] = {
    "filters": "the filters",
    "parameters": "the parameters",
    "flops": "the multiply-adds",
}
_STRATEGIES: dict[Strategy, str] = {
    "layerwise": "the same share of every layer",
    "global": "one ranking of all filters",
}


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _costs(removal: Removal, accuracies: Sequence[float | None]) -> Table:
    from cwda.cli.screen.table import Column, Table

    table = Table([Column("", right=False), *map(Column, ("before", "after", "change"))], gap=2)
    for head, measure in (("parameters", "parameters"), ("multiply-adds", "flops")):
        before, after = (getattr(cost, measure) for cost in (removal.before, removal.after))
        change = after / before - 1 if before else 0.0
        table.add(head, f"{before:,}", f"{after:,}", f"{100 * change:+.1f} %")
    before, after = accuracies
    if before is not None and after is not None:
        table.add("accuracy", f"{before:.2f} %", f"{after:.2f} %", f"{after - before:+.2f} points")
    return table


def _layers(plan: Plan, few: bool) -> tuple[Table, str]:
    """The shares that layers lose, the largest first, and which of them are shown."""
    from cwda.cli.screen.table import Column, Table

    table = Table(
        [Column("layer", right=False), *map(Column, ("filters", "pruned", "share"))], layers=True
    )
    shares = {name: len(plan.pruned[name]) / n for name, n in plan.n_filters.items()}
    order = sorted(shares, key=lambda name: -shares[name])
    shown = order[:_MOST_LAYERS] if few and len(order) > _MOST_LAYERS + 1 else order
    for name in shown:
        cells = (plan.n_filters[name], len(plan.pruned[name]), percent(shares[name]))
        table.add(name, *map(str, cells))
    hidden = len(order) - len(shown)
    return (
        table,
        f"the {len(shown)} of {len(order)} layers that lose most; a pipe shows all"
        if hidden
        else "",
    )


def _accuracy_remark(accuracies: Sequence[float | None]) -> str:
    """That removal alone leaves a network that needs training."""
    if None in accuracies:
        return "accuracy not measured: give --data PATH, and fine-tune the network before use"
    return "nothing is fine-tuned: the accuracy is what removal alone leaves"


def _remarks(removal: Removal) -> list[str]:
    plan = removal.plan
    lines = [
        "verified: the pruned network computes what the original computes with these filters set "
        f"to zero, within {removal.difference:.0e}"
    ]
    if plan.flagged:
        layers = many(len(plan.flagged), "layer")
        lines.append(f"kept at {many(plan.minimum, 'filter')} by --minimum: {layers}")
    reasons = Counter(plan.skipped.values())
    return lines + [f"not pruned: {many(n, 'layer')}: {reason}" for reason, n in reasons.items()]
