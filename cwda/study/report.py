"""The files that a study leaves for people: effects and figures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cwda.sharing import sharing
from cwda.study.effects import factor_effects
from cwda.study.figures import (
    distance,
    factor_levels,
    factor_verdicts,
    panels,
    training,
)

if TYPE_CHECKING:
    import pandas as pd

    from cwda.study.result import StudyResult

__all__ = ["write_report"]


def write_report(result: StudyResult, folder: Path) -> list[Path]:
    """Write effects.csv and the figures; return what was written.

    Parameters
    ----------
    result : StudyResult
        What `run_study` returns.
    folder : Path
        An existing folder.
    """
    conditions = len(set(result.table["condition"]))
    drawn = {"training": partial(panels, training, result, columns=3, height=57.5, ncols=3)}
    tables: dict[str, pd.DataFrame] = {}
    if any(run.status == "done" for run in result.run_rows):
        effects = tables["effects"] = factor_effects(result).table
        height = 5.0 * len(effects) / conditions
        drawn["factors"] = partial(
            panels, factor_levels, result, columns=conditions, height=height + 25, ncols=3
        )
        drawn["distance"] = partial(panels, distance, result, columns=3, height=60, ncols=6)
        drawn["verdicts"] = partial(
            panels, factor_verdicts, result, columns=conditions, height=height + 30, ncols=3
        )
    written = []
    for name, table in tables.items():
        written.append(folder / f"{name}.csv")
        table.to_csv(written[-1], index=False, float_format="%.6g")
    with sharing():  # of the effects, which most panels show
        for name, draw in drawn.items():
            written.append(folder / f"{name}.png")
            draw().savefig(written[-1], dpi=130)
    return written
