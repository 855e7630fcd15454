"""Figure 3: accuracy after pruning and after fine-tuning, by criterion and ratio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cwda.errors import CwdaError
from cwda.formatting import many, number
from cwda.reporting.blocks import Block, Column, Heading, Items, Note, Paragraph, Table
from cwda.reporting.pictures import picture
from cwda.reproduction.bench import Bench, Experiment
from cwda.reproduction.finding import NOT_KNOWN, Finding, agreed, span
from cwda.reproduction.huang2021.drawing import accuracies
from cwda.reproduction.paper import Part, Section
from cwda.reproduction.schedule import Step
from cwda.scoring.catalogue import NORM_BASED, RANDOM

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FIGURE_3"]

_NAME = "Figure 3"

#: Accuracies this close, in percentage points, nearly coincide.
NEAR = 2.0

_KINDS = {
    ("layerwise", "free"): "layer-wise, free layers",
    ("global", "free"): "globally, free layers",
    ("layerwise", "all"): "layer-wise, all layers",
    ("global", "all"): "globally, all layers",
}
_STAGES = {"pruned": "right after pruning", "finetuned": "after fine-tuning"}
_CURVES = f"curves that nearly coincide; values {NOT_KNOWN}"


@dataclass(frozen=True)
class _Cell:
    """The accuracies of the criteria on one network at one ratio and stage."""

    network: str
    ratio: float
    stage: str
    accuracy: Mapping[str, float]

    def range_of(self, criteria: Sequence[str]) -> float:
        """Largest difference among these criteria, in percentage points."""
        values = [self.accuracy[name] for name in criteria]
        return max(values) - min(values)


def _find(bench: Bench) -> Section:
    by_kind = {kind: bench.experiments(*kind) for kind in _KINDS}
    if not any(by_kind.values()):
        raise CwdaError("the time was over before a step of the experiments was begun")
    findings = []
    for kind, experiments in by_kind.items():
        if kind[0] != "layerwise":
            continue
        norms = tuple(name for name in NORM_BASED if name in bench.schedule.criteria)
        others = tuple(name for name in bench.schedule.criteria if name != RANDOM)
        where = _KINDS[kind]
        for stage in ("finetuned", "pruned"):
            findings += _coincide(experiments, norms, stage, f"the norms, {where}")
        if set(others) > set(norms):
            findings += _coincide(experiments, others, "finetuned", f"all criteria, {where}")
    findings += _globally(by_kind["global", "free"])
    return Section(findings, lambda: _blocks(bench, by_kind))


FIGURE_3 = Part(
    _NAME,
    "Figure 3: accuracy of pruned networks",
    "Accuracies after pruning and after fine-tuning nearly coincide.",
    _find,
)


def _cells(experiments: Sequence[Experiment], stage: str) -> list[_Cell]:
    cells = []
    for each in experiments:
        table = each.result.table
        rows = table[(table["stage"] == stage) & table["accuracy"].notna()]
        for ratio, group in rows.groupby("ratio"):
            accuracy = group.groupby("criterion")["accuracy"].mean().to_dict()
            cells.append(_Cell(each.trained.name, float(ratio), stage, accuracy))
    return cells


def _coincide(
    experiments: Sequence[Experiment], criteria: Sequence[str], stage: str, what: str
) -> list[Finding]:
    """Whether accuracies nearly coincide; nothing where none were measured."""
    cells = [
        cell for cell in _cells(experiments, stage) if set(criteria) <= cell.accuracy.keys()
    ]  # fmt: skip
    if not cells:
        return []
    having = _having(experiments, cells)
    near = [cell.range_of(criteria) <= NEAR for cell in cells]
    widest = max(cells, key=lambda cell: cell.range_of(criteria))
    return [
        Finding(
            part=_NAME,
            claim=f"Accuracies nearly coincide {_STAGES[stage]}: {what}",
            theirs=_CURVES,
            ours=f"within {NEAR:g} points in {sum(near)} of {many(len(near), 'case')}; widest "
            f"{widest.range_of(criteria):.1f} points, {widest.network} at "
            f"{100 * widest.ratio:g} %",
            rule=f"a case is a network and a ratio; {', '.join(criteria)}; agreed: highest and "
            f"lowest accuracy at most {NEAR:g} percentage points apart in all cases; partly: in "
            "some",
            verdict=agreed(near),
            networks=len(having),
            layers=sum(map(_pruned_layers, having)),
            images=_tested(having),
        )
    ]


def _globally(experiments: Sequence[Experiment]) -> list[Finding]:
    """Whether l1 and l2 differ in one ranking of all layers."""
    cells = [cell for cell in _cells(experiments, "pruned") if {"l1", "l2"} <= cell.accuracy.keys()]
    if not cells:
        return []
    having = _having(experiments, cells)
    differences = [abs(cell.accuracy["l1"] - cell.accuracy["l2"]) for cell in cells]
    apart = span(differences, "{:.1f}".format)
    differ = [difference > NEAR for difference in differences]
    return [
        Finding(
            part=_NAME,
            claim="l1 and l2 leave different accuracies in global pruning",
            theirs=f"they differ; values {NOT_KNOWN}",
            ours=f"{apart} points apart right after pruning; more than {NEAR:g} in {sum(differ)} "
            f"of {many(len(differ), 'case')}",
            rule=f"a case is a network and a ratio; agreed: more than {NEAR:g} percentage points "
            "apart in all cases; partly: in some",
            verdict=agreed(differ),
            networks=len(having),
            layers=sum(map(_pruned_layers, having)),
            images=_tested(having),
        )
    ]


def _having(experiments: Sequence[Experiment], cells: Sequence[_Cell]) -> list[Experiment]:
    """The experiments that cells stem from."""
    names = {cell.network for cell in cells}
    return [each for each in experiments if each.trained.name in names]


def _tested(experiments: Sequence[Experiment]) -> int:
    """Number of test images of each network, the largest."""
    return max(int(each.result.table["images"].max()) for each in experiments)


def _pruned_layers(each: Experiment) -> int:
    from cwda.coupling import couple
    from cwda.experiment.specimen import pruned_layers

    assert each.trained.model is not None
    assert each.trained.data is not None
    shape = (1, *each.trained.data.x_test.shape[1:])
    return len(pruned_layers(couple(each.trained.model, shape), each.step.scope))


def _blocks(
    bench: Bench, by_kind: Mapping[tuple[str, str], Sequence[Experiment]]
) -> Iterator[Block]:
    tuning = bench.schedule.finetuning
    images = f"{bench.schedule.images:,}" if bench.schedule.images else "all"
    yield Paragraph(
        "Each network is pruned once by each criterion and fine-tuned: "
        f"{many(tuning.epochs, 'epoch')} on {images} training images, learning rate "
        f"{tuning.learning_rate:g} to 0 along half a cosine, batches of {tuning.batch_size}, one "
        "seed. "
        "Free layers are the convolutions whose filters are tied to no others: in a ResNet the "
        "inner ones of each block. The paper shows ResNet-56 on CIFAR-10 and CIFAR-100; its "
        "criteria, ratios, schedule and accuracies are not known here."
    )
    for kind, experiments in by_kind.items():
        if not experiments:
            continue
        yield Heading(_KINDS[kind].capitalize(), 2)
        several = [each for each in experiments if len(each.step.ratios) > 1]
        if several:
            yield picture(
                accuracies([(each.trained.title, each.result) for each in several], kind[0]),
                f"Accuracy against the share of filters pruned {_KINDS[kind]}, by criterion: "
                "dashed after pruning, solid after fine-tuning.",
                "A panel for each network: accuracies of the criteria fall together with the "
                "ratio.",
            )
        yield _table(experiments)
    yield Note(_limits(bench))
    if left := _left(bench, by_kind):
        yield Paragraph(
            "Not begun in the time that --minutes left to the last run, which keeps what earlier "
            "runs of the same command have done:"
        )
        yield Items(left)


def _table(experiments: Sequence[Experiment]) -> Table:
    """Accuracy of each criterion: rows by network, ratio and stage."""
    criteria = list(dict.fromkeys(row.criterion for each in experiments for row in each.result))
    criteria.remove("none")
    rows = []
    for each in experiments:
        table = each.result.table
        rows.append([each.trained.name, "–", "unpruned", *[""] * len(criteria), "–"])
        rows[-1][3] = f"{each.result.baseline:.1f}"
        for stage in _STAGES:
            found = table[table["stage"] == stage]
            for ratio, group in found.groupby("ratio"):
                rows.append(
                    [each.trained.name, f"{100 * ratio:g} %", stage, *_row(group, criteria)]
                )
    columns = [Column("network", "name"), Column("ratio"), Column("stage", "text")]
    columns += [*map(Column, criteria), Column("range of the norms")]
    tested = sorted({int(each.result.table["images"].max()) for each in experiments})
    error = max(float(each.result.table["accuracy_se"].max()) for each in experiments)
    return Table(
        columns,
        rows,
        f"Accuracy in percent on {' or '.join(f'{n:,}' for n in tested)} test images (standard "
        f"error {number(error)} points at most); that of the unpruned network stands in the first "
        "of its rows.",
    )


def _row(group: pd.DataFrame, criteria: Sequence[str]) -> list[str]:
    accuracy = group.set_index("criterion")["accuracy"]
    cells = [f"{accuracy[name]:.1f}" if name in accuracy else "–" for name in criteria]
    norms = [accuracy[name] for name in NORM_BASED if name in accuracy]
    return [*cells, f"{max(norms) - min(norms):.1f}" if len(norms) > 1 else "–"]


def _limits(bench: Bench) -> str:
    """What this schedule does not show."""
    parts = [
        "One seed for each case, and one test set: differences below two standard errors are "
        "noise. Where every criterion leaves chance, accuracies coincide for no reason of the "
        "criteria"
    ]
    if bench.schedule.finetuning.epochs < 10:
        parts.append(
            "a fine-tuning this short does not reach what a long one would, and differences after "
            "a long one are likely to be smaller"
        )
    return f"{'; '.join(parts)}."


def _left(bench: Bench, by_kind: Mapping[tuple[str, str], Sequence[Experiment]]) -> list[str]:
    """Steps of the schedule that were not done."""
    steps = bench.schedule.steps
    return [
        f"{one.name}, {_KINDS[kind]}{missing}"
        for kind in dict.fromkeys((step.strategy, step.scope) for step in steps)
        for one in bench.runnable()
        if (missing := _missing(by_kind[kind], one.name, [s for s in steps if _kind(s) == kind]))
    ]


def _ratios(ratios: Sequence[float]) -> str:
    return ", ".join(f"{100 * ratio:g} %" for ratio in ratios)


def _kind(step: Step) -> tuple[str, str]:
    return step.strategy, step.scope


def _missing(experiments: Sequence[Experiment], network: str, steps: Sequence[Step]) -> str:
    """What a network lacks of the steps of one kind: all, some ratios, or their fine-tuning."""
    reached = [each.step for each in experiments if each.trained.name == network]
    if not reached:
        return " (all)"
    for words, ratios in (("at", "ratios"), ("fine-tuned at", "finetune_at")):
        wanted = {ratio for step in steps for ratio in getattr(step, ratios)}
        lacking = wanted - {*getattr(reached[-1], ratios)}
        if lacking:
            return f" {words} {_ratios(sorted(lacking))}"
    return ""
