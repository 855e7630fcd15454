"""The tables on many networks as CSV files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cwda.arguments import as_path, require_between
from cwda.errors import CwdaError
from cwda.files import whole_file
from cwda.population.bands import GROUPINGS
from cwda.population.effects import effect_quantiles
from cwda.population.networks import standings
from cwda.population.predictions import prediction_accuracy
from cwda.population.regression import mixed_models
from cwda.population.shares import verdict_shares
from cwda.population.tables import Surveyed, require_survey

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_tables"]


class _Grouped(Protocol):
    """A function of this room that takes a grouping."""

    def __call__(self, survey: Surveyed, by: str | None = ..., *, level: float = ...) -> Any: ...


def write_tables(survey: Surveyed, folder: str | Path, *, level: float = 0.95) -> list[Path]:
    """Write what is said of many networks as CSV files, each with all groupings.

    They are ``effects.csv``, ``verdicts.csv``, ``predictions.csv``, ``terms.csv`` (of the mixed
    models) and ``networks.csv``, with the columns of the functions of this room.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    folder : path
        Where to write; made if it is not there.
    level : float
        Confidence of the intervals.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    CwdaError
        If this is no survey, no network was analysed, or the folder cannot be written.
    """
    folder = as_path(folder)
    survey = require_survey(survey)
    level = require_between(level, 0, 1, "level")
    tables = {
        "effects": _by_all(effect_quantiles, survey, level),
        "verdicts": _by_all(verdict_shares, survey, level),
        "predictions": _by_all(prediction_accuracy, survey, level),
        "terms": mixed_models(survey, level=level).table,
        "networks": standings(survey).table,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CwdaError(f"{folder}: cannot be made ({error.strerror or error})") from None
    return [_write(table, folder / f"{name}.csv") for name, table in tables.items()]


def _by_all(function: _Grouped, survey: Surveyed, level: float) -> pd.DataFrame:
    import pandas as pd

    parts = [function(survey, by, level=level).table for by in GROUPINGS]
    return pd.concat(parts, ignore_index=True)


def _write(table: pd.DataFrame, path: Path) -> Path:
    with whole_file(path) as unfinished:
        table.to_csv(unfinished, index=False, float_format="%.6g")
    return path
