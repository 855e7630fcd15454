"""`cwda trajectory`: when conditions begin to hold or to fail, along a training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cwda.choices import Scale
from cwda.cli.completion import conditions as all_conditions
from cwda.cli.options import (
    bad_usage,
    device_option,
    margin_option,
    names_option,
    option,
    scale_option,
    verdict_level_option,
)
from cwda.cli.output import Outputs, training_output_option
from cwda.cli.overwriting import DRAWN
from cwda.cli.sources import SOURCES, Sources, source_options
from cwda.cli.verb import verb
from cwda.formatting import MARKS, number

if TYPE_CHECKING:
    from cwda.callbacks import Trajectory
    from cwda.cli.screen.screen import Screen

__all__ = ["trajectory"]

#: Most verdicts of one condition on the screen.
_MARKS = 30


@verb(
    "trajectory",
    "When conditions begin to hold or to fail, along a training.",
    examples="""
        cwda trajectory net-epoch-*.pth
        cwda trajectory effects.csv --figure effects.svg
        cwda trajectory net-epoch-*.pth --conditions mean,epsilon --output effects.csv
    """,
    about_source=SOURCES,
)
@source_options
@names_option(
    "--conditions", "Conditions to test, separated by commas.", all_conditions, "unknown condition"
)
@verdict_level_option
@margin_option
@scale_option
@device_option()
@training_output_option
@option(
    "--figure",
    "Draw the effects over their margins against the epoch to FILE.svg, FILE.pdf or FILE.png.",
    type=DRAWN,
    metavar="FILE",
)
def trajectory(
    sources: Sources,
    conditions: list[str] | None,
    level: float,
    margins: tuple[tuple[str, float], ...],
    scale: Scale,
    device: str,
    output: Outputs,
    figure: Path | None,
) -> None:
    """Follow the network-level effects along the checkpoints of one training.

    The epoch of a checkpoint is the number after "epoch", "ep" or "step" in its name, or the only
    number that varies. The only SOURCE may also be the CSV file of a cwda.callbacks.Monitor: its
    conditions, levels and margins are then those of the file.
    """
    output.require()

    from cwda.callbacks import read_trajectory
    from cwda.callbacks import trajectory as follow
    from cwda.cli.figure_file import require_drawable, write_figure
    from cwda.conditions.check import choose_conditions, resolve_margins

    with bad_usage():
        resolve_margins(dict(margins), choose_conditions(conditions))
    if figure:
        require_drawable(figure)
    recorded = _record(sources)
    if recorded:
        along = read_trajectory(recorded)
        output.require_training({row.network for row in along})
    else:
        networks = sources.load()
        output.require_training({network.name for network in networks})
        along = follow(
            networks,
            conditions,
            margins=dict(margins),
            scale=scale,
            level=level,
            device=device,
        )
    _show(along, output.screen())
    output.write(one.table for one in [along])
    if figure:
        from cwda.figures import trajectory as draw

        write_figure(draw(along).figure, figure)
    sources.finish()


def _record(sources: Sources) -> Path | None:
    """The file of a monitor, if that is the only source."""
    if len(sources.entries) != 1:
        return None
    (entry,) = sources.entries
    path = Path(entry.text)
    return path if path.suffix == ".csv" and not entry.is_name else None


def _show(along: Trajectory, screen: Screen) -> None:
    from cwda.callbacks.trajectory import decided
    from cwda.cli.screen.table import Column, Table

    ends = sorted({along.epochs[0], along.epochs[-1]})  # one where one epoch is recorded
    screen.line(along.title(), "bold")
    screen.line()
    shown = Table(
        [
            Column("condition", right=False),
            *(Column(f"effect\nat {epoch:g}") for epoch in ends),
            Column("margin"),
            Column("verdicts", right=False),
        ],
        gap=2,
    )
    every = -(-len(along.epochs) // _MARKS)
    told = []
    for one in along.courses():
        rows = [row for row in along if row.condition == one.condition]
        verdicts = [row.verdict for row in rows]
        question = decided(rows)
        if question or len({*verdicts}) > 1:
            told.append("; ".join(filter(None, (f"{one.condition} {one.course}", question))))
        marks = "".join(MARKS[verdict] for verdict in verdicts[::-every][::-1])
        effects = [number(one.first_effect), number(one.last_effect)][: len(ends)]
        shown.add(one.condition, *effects, number(one.margin), marks)
    which = "at each record" if every == 1 else f"at every {_ordinal(every)} record"
    screen.table(
        shown,
        "effect: in the network as a whole; margin: largest effect that counts as negligible; "
        f"verdicts: {which}, " + ", ".join(f"{mark} {verdict}" for verdict, mark in MARKS.items()),
    )
    screen.remarks(told)
    screen.line("the figure: --figure FILE; all numbers: --output FILE", "dim")


def _ordinal(n: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(n, f"{n}th")
