"""The files that a study leaves for people: effects and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cwda.study.effects import factor_effects
from cwda.study.figures import (
    plot_distance,
    plot_factors,
    plot_networks,
    plot_training,
    plot_verdicts,
)

if TYPE_CHECKING:
    import pandas as pd

    from cwda.study.run import StudyResult

__all__ = ["write_report"]


def write_report(
    result: StudyResult, folder: Path, evidence: pd.DataFrame | None = None
) -> list[Path]:
    """Write effects.csv, evidence.csv and the figures; return what was written.

    Parameters
    ----------
    result : StudyResult
        Of `run_study`.
    folder : Path
        An existing folder.
    evidence : DataFrame, optional
        Of `measure_networks`: trained networks to set beside the study.
    """
    figures = {"training": plot_training(result.summary)}
    written = []
    if (result.runs["status"] == "done").any():
        effects = factor_effects(result)
        effects.to_csv(folder / "effects.csv", index=False, float_format="%.6g")
        written.append(folder / "effects.csv")
        figures["factors"] = plot_factors(effects, result)
        figures["distance"] = plot_distance(result)
        figures["verdicts"] = plot_verdicts(effects)
    if evidence is not None:
        evidence.to_csv(folder / "evidence.csv", index=False, float_format="%.6g")
        written.append(folder / "evidence.csv")
        figures["networks"] = plot_networks(evidence)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=130)
        written.append(folder / f"{name}.png")
    return written
