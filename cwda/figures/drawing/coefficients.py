"""Rank correlations on Fisher's scale, as cells and as an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, Normalize

from cwda.errors import CwdaError
from cwda.figures.drawing.heat import colour_bar, heat
from cwda.figures.drawing.style import VALUES
from cwda.formatting import number
from cwda.scoring import SimilarityResult

__all__ = ["MOST", "coefficient_cells", "fisher", "require_similarity", "undefined", "unfisher"]

#: Largest coefficient that is distinguished from 1 on Fisher's scale.
MOST = 0.9995
_FINITE = 1 - 1e-9

_TICKS = (-0.9, -0.5, 0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)

Array = npt.NDArray[np.float64]


def fisher(rho: Any) -> Any:
    """atanh, finite at 1."""
    return np.arctanh(np.clip(rho, -_FINITE, _FINITE))


def unfisher(z: Any) -> Any:
    """The inverse of `fisher`."""
    return np.tanh(z)


def coefficient_cells(ax: Axes, values: Array, coefficient: str) -> None:
    """The cells and the bar; rank correlations on Fisher's scale, overlaps as they are."""
    finite = values[np.isfinite(values)]
    low = float(finite.min()) if finite.size else 0.0
    if coefficient in ("spearman", "kendall"):
        low = max(-MOST, min(low, 0.9))
        norm: Normalize = FuncNorm((fisher, unfisher), vmin=low, vmax=MOST, clip=True)
        name = {"spearman": "Spearman's ρ", "kendall": "Kendall's τ"}[coefficient]
        ticks = [tick for tick in _TICKS if low <= tick <= MOST]
    else:
        norm, name, ticks = Normalize(0, 1), coefficient.replace("_", " "), [0, 0.5, 1]
    mesh = heat(ax, values, norm, VALUES, _text)
    colour_bar(ax, mesh, name, ticks)


def _text(value: float) -> str:
    """Only what is 1 is written as 1."""
    if abs(value - 1) < 1e-12:
        return "1"
    return ">.999" if value >= MOST else number(value)


def require_similarity(source: object, coefficient: str) -> SimilarityResult:
    """Raise unless it is measured similarity that has this coefficient."""
    if not isinstance(source, SimilarityResult):
        raise CwdaError(
            f"the figure needs what cwda.similarity(...) returns, not {type(source).__name__}"
        )
    if source.table.empty:
        raise CwdaError("the network has no layers: there is nothing to draw")
    if not isinstance(coefficient, str) or coefficient not in source.table.columns:
        raise CwdaError(
            f"no coefficient {coefficient!r}; take spearman, kendall, rbo or overlap_10"
        )
    return source


def undefined(rows: Any) -> str:
    """Why no coefficient of these rows is defined."""
    return f"No rank correlation is defined: {rows['reason'].iloc[0]}"
