"""What was measured when the networks were pruned: accuracies, and what the advice cost."""

from __future__ import annotations

import math

from cwda import figures
from cwda.errors import CwdaError
from cwda.experiment.result import ExperimentResult
from cwda.formatting import many, number, percent
from cwda.reporting.blocks import Block, Column, Heading, Paragraph, Table
from cwda.reporting.chapter import Chapter, Report
from cwda.reporting.pictures import picture
from cwda.reporting.subject import Subject

__all__ = ["experiment"]

#: What a stage is called.
STAGES = {"pruned": "pruned", "finetuned": "fine-tuned"}


def _blocks(report: Report) -> list[Block]:
    """Accuracy after pruning by each criterion, and what following the advice cost."""
    by_name = {subject.network.name: subject for subject in report.all_subjects}
    blocks: list[Block] = [
        Paragraph(
            "Filters were pruned by each criterion, and the accuracy was measured on test images, "
            "before and after fine-tuning. Means are over the seeds, ranges from the lowest to the "
            "highest."
        )
    ]
    for result in report.experiments:
        name = result.networks[0].name
        if len(report.experiments) > 1:
            blocks.append(Heading(name, 2))
        blocks += [*_accuracies(result), *_cost(result, by_name.get(name))]
    return blocks


experiment = Chapter("Experiment", _blocks, when=lambda report: bool(report.experiments))


def _accuracies(result: ExperimentResult) -> list[Block]:
    summary = result.summary()
    strategies = list(dict.fromkeys(summary["strategy"]))
    columns = [Column("strategy", "text"), Column("stage", "text"), Column("ratio")]
    columns += [Column("criterion", "text"), Column("accuracy"), Column("range"), Column("seeds")]
    return [
        *(
            picture(
                figures.accuracy_curves(result, strategy),
                f"Accuracy of {result.networks[0].name} after pruning ({strategy}) and after "
                "fine-tuning, by criterion.",
                f"Curves of accuracy against ratio; {result.baseline:.2f} % unpruned.",
            )
            for strategy in strategies
        ),
        Table(
            columns,
            [
                [
                    row.strategy,
                    STAGES[row.stage],
                    percent(row.ratio),
                    row.criterion,
                    _accuracy(row.accuracy),
                    f"{_accuracy(row.lowest)} to {_accuracy(row.highest)}",
                    str(row.seeds),
                ]
                for row in summary.itertuples()
            ],
            f"Accuracy in per cent; {result.title()}.",
        ),
    ]


def _accuracy(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _cost(result: ExperimentResult, subject: Subject | None) -> list[Block]:
    """The regret of the advice, where the experiment has its criterion at its ratio."""
    if subject is None or not subject.has_weights or not subject.advice.criterion:
        return []
    try:
        cost = subject.advice.regret(result)
    except CwdaError as error:
        return [Paragraph(f"What the advice cost cannot be told: {error}.")]
    columns = [Column("strategy", "text"), Column("stage", "text"), Column("advised", "text")]
    columns += [Column("accuracy"), Column("best", "text"), Column("regret"), Column("gain")]
    columns.append(Column("picked blindly"))
    return [
        Table(
            columns,
            [
                [
                    row.strategy,
                    STAGES[row.stage],
                    row.advised,
                    _accuracy(row.accuracy),
                    row.best,
                    f"{number(row.regret)} ± {number(row.regret_se)}",
                    f"{number(row.gain)} ± {number(row.gain_se)}",
                    number(row.typical),
                ]
                for row in cost
            ],
            f"What following the advice cost, in percentage points, over "
            f"{many(cost.rows[0].seeds, 'seed')}: regret against the best criterion, which "
            "is high by luck; gain over a random choice; regret of a criterion picked blindly. "
            "± one standard error.",
        )
    ]
