"""`geometry`: are filters equal in norm, equidistant and orthogonal, as CWDA predicts?"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from cwda.arguments import require_between
from cwda.errors import CwdaError
from cwda.layers import ConvLayer
from cwda.loading.sources import Source, network_of
from cwda.numerics.device import resolve_device
from cwda.numerics.ranking.concentration import Concentration, concentration
from cwda.theory.geometry import concentration_limits, predict_concentration
from cwda.theory.model import FittedLayer, fit_or_reason
from cwda.theory.prediction import choose_rungs

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "QUANTITIES", "STATEMENTS", "GeometryResult", "geometry"]

#: What is measured and predicted in each layer.
QUANTITIES = (
    *("norm_cv", "distance_cv", "distance_ratio"),
    *("cosine_mean", "cosine_sd", "effective_dim"),
)

#: Columns of the table.
COLUMNS = (
    *("network", "layer", "quantity", "rung", "measured", "predicted", "difference"),
    *("n_filters", "dim", "reason"),
)

#: Columns of the statements.
STATEMENTS = (
    *("network", "layer", "equal_norms", "equidistant", "orthogonal"),
    *("norm_cv", "norm_cv_limit", "distance_cv", "distance_cv_limit"),
    *("cosine_rms", "cosine_rms_limit", "effective_dim", "n_filters", "dim", "reason"),
)


@dataclass(frozen=True, eq=False)
class GeometryResult:
    """Norms, distances and angles of the filters, predicted beside measured.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per layer, quantity and rung: ``network, layer, quantity, rung, measured,
        predicted, difference, n_filters, dim, reason``.
    statements : pandas.DataFrame
        A row per layer: whether its filters are ``equal_norms, equidistant, orthogonal`` as
        far as CWDA predicts, that is, whether norm_cv, distance_cv and the root mean square
        cosine stay below the limits given beside them; NA, with the reason, where undefined.
    level : float
        Level of the limits, for each layer and statement.
    """

    table: pd.DataFrame
    statements: pd.DataFrame
    level: float

    def summary(self) -> pd.DataFrame:
        """Medians over the layers: a row per quantity; measured, then a column per rung."""
        medians = self.table.groupby(["quantity", "rung"], sort=False)["predicted"].median()
        wide = medians.unstack("rung")[list(self.table["rung"].drop_duplicates())]
        measured = self.table.groupby("quantity", sort=False)["measured"].median()
        wide.insert(0, "measured", measured)
        return wide.loc[list(QUANTITIES)].rename_axis(columns=None)

    def __repr__(self) -> str:
        return f"{self._title()}\n{self.summary().round(3).to_string()}"

    def _repr_html_(self) -> str:
        shown: str = self.summary().round(3).to_html(border=0)
        return f"<p>{html.escape(self._title())}</p>{shown}"

    def _title(self) -> str:
        rows = self.statements
        known = rows["equal_norms"].notna().sum()
        words = ", ".join(
            f"{rows[column].sum()} {column.replace('_', ' ')}"
            for column in ("equal_norms", "equidistant", "orthogonal")
        )
        names = ", ".join(rows["network"].drop_duplicates())
        return f"Geometry of {names}: of {known} layers {words} as far as CWDA predicts"


def geometry(
    source: Source,
    rungs: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    device: str | torch.device = "auto",
) -> GeometryResult:
    """Measure norms, distances and angles of the filters, and predict them.

    CWDA in d_eff effective dimensions predicts a relative SD of 1 / sqrt(2 d_eff) of norms and
    distances, and cosines of mean 0 and SD 1 / sqrt(d_eff): filters equal in norm, equidistant
    and orthogonal. The formulas of all rungs are in `cwda.theory.geometry`.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to measure: a name, file, Module, layer or array N x k^2 x N'.
    rungs : sequence of str, optional
        Any of isotropic, diagonal, block, scale, shape; all by default.
    level : float
        Level of the limits of the statements.
    device : str or torch.device
        Where to compute, in float64.

    Returns
    -------
    GeometryResult
        A layer that cannot be measured keeps its rows, with the reason.

    Raises
    ------
    CwdaError
        If a rung is unknown, or source, level or device impossible.

    Examples
    --------
    >>> import numpy as np
    >>> array = np.random.default_rng(1).normal(size=(16, 9, 64))
    >>> found = geometry(array, ["block"])
    >>> found.statements[["equal_norms", "equidistant", "orthogonal"]].to_numpy().tolist()
    [[True, True, True]]
    >>> found.summary().loc["cosine_sd"].round(3).tolist()
    [0.082, 0.083]
    """
    import pandas as pd

    require_between(level, 0, 1, "level", CwdaError)
    network, ladder, where = network_of(source), choose_rungs(rungs), resolve_device(device)
    rows: list[dict[str, Any]] = []
    statements: list[dict[str, Any]] = []
    for layer in network:
        about = {"network": network.name, "layer": layer.name}
        sizes = {"n_filters": layer.n_filters, "dim": layer.dim}
        quantities, statement = _of_layer(layer, ladder, level, where)
        rows += [about | row | sizes for row in quantities]
        statements.append(about | statement | sizes)
    said = pd.DataFrame(statements, columns=list(STATEMENTS))
    said = said.astype(dict.fromkeys(STATEMENTS[2:5], "boolean"))
    return GeometryResult(pd.DataFrame(rows, columns=list(COLUMNS)), said, level)


def _of_layer(
    layer: ConvLayer, rungs: Sequence[str], level: float, device: torch.device
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of one layer in the table, and its statement."""
    fitted, reason = fit_or_reason(layer, device=device)
    if fitted is None:
        nothing = [
            {"quantity": quantity, "rung": rung, "reason": reason}
            for quantity in QUANTITIES
            for rung in rungs
        ]
        return nothing, {"reason": reason}
    filters = layer.blocks(device).reshape(layer.n_filters, layer.dim)
    filters /= filters.abs().max()  # squares of tiny or huge weights leave the range of float64
    found = concentration(filters)
    zero = int((filters == 0).all(1).sum())
    remark = f"{zero} filter{'s' * (zero > 1)} of zeros left out of the cosines" if zero else ""
    measured = asdict(found) | {"effective_dim": fitted.effective_dim}
    predictions = {rung: _predicted(fitted, rung) for rung in rungs}
    rows = []
    for quantity in QUANTITIES:
        for rung in rungs:
            predicted = predictions[rung][quantity]
            rows.append(
                {
                    "quantity": quantity,
                    "rung": rung,
                    "measured": measured[quantity],
                    "predicted": predicted,
                    "difference": predicted - measured[quantity],
                    "reason": _reason(quantity, measured[quantity], remark),
                }
            )
    return rows, _statement(found, fitted, level) | {"reason": remark}


def _predicted(fitted: FittedLayer, rung: str) -> dict[str, float]:
    moments = getattr(fitted, rung if rung in ("isotropic", "diagonal") else "block")
    return asdict(predict_concentration(fitted, rung)) | {"effective_dim": moments.effective_dim}


def _reason(quantity: str, measured: float, remark: str) -> str:
    if quantity == "effective_dim" and math.isnan(measured):
        return "the unbiased estimate of trace(Sigma^2) is not positive"
    return remark if quantity.startswith("cosine") else ""


def _statement(found: Concentration, fitted: FittedLayer, level: float) -> dict[str, Any]:
    limits = concentration_limits(fitted, level)
    cosine = math.hypot(found.cosine_mean, found.cosine_sd)
    return {
        "equal_norms": found.norm_cv <= limits.norm_cv,
        "equidistant": found.distance_cv <= limits.distance_cv,
        "orthogonal": cosine <= limits.cosine_rms,
        "norm_cv": found.norm_cv,
        "norm_cv_limit": limits.norm_cv,
        "distance_cv": found.distance_cv,
        "distance_cv_limit": limits.distance_cv,
        "cosine_rms": cosine,
        "cosine_rms_limit": limits.cosine_rms,
        "effective_dim": fitted.block.effective_dim,
    }
