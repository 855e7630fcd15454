"""`cwda calibrate`: how often the tests and intervals err."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cwda.cli.completion import conditions as all_conditions
from cwda.cli.completion import last_of
from cwda.cli.messages import is_quiet, note
from cwda.cli.options import COUNT, FILE, NAMES, bad_usage, device_option, option, seed_option
from cwda.cli.overwriting import DRAWN
from cwda.cli.verb import verb

if TYPE_CHECKING:
    from cwda.calibration import CalibrationResult
    from cwda.cli.screen.screen import Screen

__all__ = ["calibrate"]


@verb(
    "calibrate",
    "Type I error, power and coverage of the tests.",
    examples="""
        cwda calibrate
        cwda calibrate --replicates 2000 --designs 'iid,cwda,t5,all but *'
        cwda calibrate --conditions epsilon,independence --output epsilon.jsonl
    """,
)
@option(
    "--replicates",
    "Layers drawn per cell; cells that have more keep them.",
    default=400,
    type=COUNT,
)
@option(
    "--conditions",
    "Conditions, or other tests and intervals as the summary prints them, separated by commas.",
    show_default="all",
    type=NAMES,
    shell_complete=lambda context, parameter, begun: last_of(begun, all_conditions()),
)
@option(
    "--designs",
    "Only laws of simulated layers whose name matches, such as 'iid,mean *'.",
    default="*",
    metavar="GLOB",
)
@option(
    "--output",
    "File that holds the study; if it exists, the study resumes there.",
    default="calibration.jsonl",
    type=FILE,
)
@option("--markdown", "Write the tables to FILE as a page of documentation.", type=DRAWN)
@seed_option
@device_option()
@option("--workers", "Number of processes.", default=2, type=COUNT)
def calibrate(
    replicates: int,
    conditions: list[str] | None,
    designs: str,
    output: Path,
    markdown: Path | None,
    seed: int,
    device: str,
    workers: int,
) -> None:
    """Measure type I error, power and coverage on simulated layers.

    Each test and interval is applied to layers drawn from laws whose true effects are known. The
    study is seeded; rerun the same command to resume one that was cut off.
    """
    from cwda.calibration import calibrate as run
    from cwda.calibration import to_markdown
    from cwda.calibration.run import cases_of
    from cwda.cli.output import require_distinct
    from cwda.cli.screen.screen import Screen
    from cwda.files import require_writable, whole_file

    with bad_usage():
        cases_of(conditions or None, designs)
    if markdown:
        require_distinct([(output, "the study"), (markdown, "the page of --markdown")])
    for path in filter(None, (output, markdown)):
        require_writable(path)
    result = run(
        conditions or None,
        designs=designs,
        replicates=replicates,
        output=output,
        workers=workers,
        device=device,
        seed=seed,
    )
    _show(result, Screen(silent=is_quiet()))
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
            *(str(row[name]) for name in ("ok", "undecided", "conservative", "too_liberal")),
            *(f"{row[name]:.3f}" for name in ("lowest", "highest")),
        )
    screen.line("Cells within the domain, by verdict", "bold")
    screen.table(shown)
    screen.remark("?: undecided; low, high: error too low (conservative), too high (liberal)")
