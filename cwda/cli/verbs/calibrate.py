"""`cwda calibrate`: how often the tests and intervals err."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cwda.cli.completion import complete_conditions
from cwda.cli.messages import is_quiet, note
from cwda.cli.verb import Verb

if TYPE_CHECKING:
    from cwda.calibration import CalibrationResult
    from cwda.cli.screen.screen import Screen

__all__ = ["calibrate"]


@click.command(
    cls=Verb,
    short_help="Type I error, power and coverage of the tests.",
    epilog="""\b
Examples:
  cwda calibrate
  cwda calibrate --replicates 2000 --designs 'iid,cwda,t5,all but *'
  cwda calibrate --conditions epsilon,independence --output epsilon.jsonl
""",
)
@click.option("--replicates", default=400, show_default=True, type=click.IntRange(min=1),
              help="Layers drawn per cell; cells that have more keep them.")  # fmt: skip
@click.option("--conditions", metavar="NAMES", shell_complete=complete_conditions,
              help="Comma-separated names of conditions, or of the other tests and intervals "
              "as the summary prints them. Default: all.")  # fmt: skip
@click.option("--designs", default="*", show_default=True, metavar="GLOB",
              help="Only designs whose name matches, such as 'iid,mean *'.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              default="calibration.jsonl", show_default=True,
              help="The file that holds the study; if it exists, the study goes on from "
              "there.")  # fmt: skip
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write the tables as a page of documentation.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0),
              help="Seed of all draws.")  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="auto, cpu, cuda, cuda:1 ...")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=1),
              help="Number of processes.")  # fmt: skip
def calibrate(
    replicates: int,
    conditions: str | None,
    designs: str,
    output: Path,
    markdown: Path | None,
    seed: int,
    device: str,
    workers: int,
) -> None:
    """Measure type I error, power and coverage on simulated layers.

    Each test and interval is applied to layers drawn from laws whose true effects are known. The
    study is seeded, and goes on where it was cut off.
    """
    from cwda.calibration import calibrate as run
    from cwda.calibration import to_markdown
    from cwda.cli.screen.screen import Screen
    from cwda.errors import CwdaError
    from cwda.files import whole_file

    for path in (output, markdown):
        if path and not path.parent.is_dir():
            raise CwdaError(f"{path}: the folder {path.parent} does not exist")
    names = [name.strip() for name in conditions.split(",")] if conditions else None
    result = run(
        names,
        designs=designs,
        replicates=replicates,
        output=output,
        workers=workers,
        device=device,
        seed=seed,
    )
    _show(result, Screen(more="--markdown FILE has them all", silent=is_quiet()))
    if markdown:
        with whole_file(markdown) as partial:
            partial.write_text(to_markdown(result), encoding="utf-8")
    note(f"wrote {', '.join(str(path) for path in (output, markdown) if path)}")


def _show(result: CalibrationResult, screen: Screen) -> None:
    from cwda.cli.screen.table import Column, Table

    heads = ("nominal", "ok", "?", "low", "high", "from", "to")
    shown = Table([Column("procedure"), Column("measure", right=False), *map(Column, heads)], gap=2)
    for _, row in result.summary().iterrows():
        shown.add(
            *(row["procedure"], row["measure"], f"{row['nominal']:g}"),
            *(str(row[name]) for name in ("ok", "undecided", "too_conservative", "too_liberal")),
            *(f"{row[name]:.3f}" for name in ("lowest", "highest")),
        )
    screen.line("Cells within the domain, by verdict", "bold")
    screen.table(shown)
    screen.remark("?: undecided; low, high: error too low (conservative), too high (liberal)")
