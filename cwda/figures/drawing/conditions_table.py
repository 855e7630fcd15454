"""What the figures of conditions share: the columns they read, and how a margin is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cwda.figures.drawing.tables import tidy
from cwda.formatting import number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["conditions_table", "margin_text"]

_COLUMNS = ("layer", "condition", "effect", "effect_low", "effect_high", "margin", "verdict")


def conditions_table(source: object, *more: str, several: bool = False) -> pd.DataFrame:
    """The table of `cwda.check`, checked as by `tidy`; `more` names further columns."""
    return tidy(source, (*_COLUMNS, *more), "cwda.check(...)", several=several)


def margin_text(margins: npt.ArrayLike) -> str:
    """The one margin of some rows, or that it differs between them."""
    margins = np.asarray(margins, dtype=np.float64)
    different = np.unique(margins[np.isfinite(margins)])
    return number(float(different[0])) if len(different) == 1 else "differs"
