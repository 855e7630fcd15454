"""`geometry`: are filters equal in norm, equidistant and orthogonal, as CWDA predicts?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import torch

from cwda.answers import Answer, column, common, rows_field, table_of
from cwda.arguments import require_between
from cwda.errors import OutOfMemory
from cwda.formatting import many
from cwda.layers import ConvLayer
from cwda.loading.source import Source
from cwda.loading.sources import network_of
from cwda.numerics.device import Placement, resolve_device
from cwda.numerics.ranking.concentration import Concentration, concentration
from cwda.progress import showing, steps
from cwda.theory.geometry import concentration_limits, predict_concentration
from cwda.theory.model import FittedLayer, fit_or_reason
from cwda.theory.rungs import BLOCK, GEOMETRY_LADDER, Rung, Rungs, choose_rungs, rung_meaning
from cwda.typing import Device

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["QUANTITIES", "GeometryQuantity", "GeometryResult", "GeometryStatement", "geometry"]

#: What is measured and predicted in each layer.
QUANTITIES = {
    "norm_cv": "SD over mean of the norms",
    "distance_cv": "SD over mean of the distances between filters",
    "distance_ratio": "mean distance over the root of twice the mean squared norm",
    "cosine_mean": "mean cosine of the angle between two filters",
    "cosine_sd": "SD of the cosines",
    "effective_dim": "tr(Sigma)^2 / tr(Sigma^2), measured on the whole of Sigma",
}


@dataclass(frozen=True)
class GeometryQuantity:
    """One quantity of one layer: measured, and as one rung predicts it."""

    network: str = common("network")
    layer: str = common("layer")
    quantity: str = column("; ".join(f"`{name}`: {words}" for name, words in QUANTITIES.items()))
    rung: str = column(rung_meaning(GEOMETRY_LADDER))
    measured: float = column("value that the filters show")
    predicted: float = column("value that the rung predicts")
    difference: float = column("predicted - measured")
    n_filters: int = common("n_filters")
    dim: int = common("dim")
    reason: str = column("why a number is missing, or what was left out; empty otherwise")


@dataclass(frozen=True)
class GeometryStatement:
    """Whether the filters of one layer are equal in norm, equidistant and orthogonal."""

    network: str = common("network")
    layer: str = common("layer")
    equal_norms: bool | None = column(
        "whether `norm_cv` is at most its limit; NA where undefined", default=None
    )
    equidistant: bool | None = column(
        "whether `distance_cv` is at most its limit; NA where undefined", default=None
    )
    orthogonal: bool | None = column(
        "whether `cosine_rms` is at most its limit; NA where undefined", default=None
    )
    norm_cv: float = column("SD over mean of the norms", default=math.nan)
    norm_cv_limit: float = column("upper limit of `norm_cv` under CWDA", default=math.nan)
    distance_cv: float = column("SD over mean of the distances", default=math.nan)
    distance_cv_limit: float = column("upper limit of `distance_cv` under CWDA", default=math.nan)
    cosine_rms: float = column("root mean square cosine", default=math.nan)
    cosine_rms_limit: float = column("upper limit of `cosine_rms` under CWDA", default=math.nan)
    effective_dim: float = column("effective dimension of the blocks of Sigma", default=math.nan)
    n_filters: int = common("n_filters", kw_only=True)
    dim: int = common("dim", kw_only=True)
    reason: str = column("why nothing is stated, or what was left out; empty otherwise", default="")


@dataclass(frozen=True, eq=False, repr=False)
class GeometryResult(Answer[GeometryQuantity]):
    """Norms, distances and angles of the filters, one row per layer, quantity and rung.

    `level` is that of the limits, for each layer and statement.

    Attributes
    ----------
    statements : tuple of GeometryStatement
        One record per layer; `.statement_table` has them.
    """

    row: ClassVar[type] = GeometryQuantity
    statements: tuple[GeometryStatement, ...] = rows_field(
        GeometryStatement,
        "whether filters are equal in norm, equidistant and orthogonal as far as CWDA predicts",
    )

    @cached_property
    def statement_table(self) -> pd.DataFrame:
        """One row per layer: are its filters equal in norm, equidistant and orthogonal?

        They are, as far as CWDA predicts, where norm_cv, distance_cv and the root mean square
        cosine stay below their limits.
        """
        return table_of(self.statements, GeometryStatement)

    def summary(self) -> pd.DataFrame:
        """Medians over the layers: one row per quantity; measured, then one column per rung."""
        medians = self.table.groupby(["quantity", "rung"], sort=False)["predicted"].median()
        wide = medians.unstack("rung")[list(self.table["rung"].drop_duplicates())]
        measured = self.table.groupby("quantity", sort=False)["measured"].median()
        wide.insert(0, "measured", measured)
        return wide.reindex(list(QUANTITIES)).rename_axis(columns=None).reset_index()

    def title(self) -> str:
        """How many layers have filters equal in norm, equidistant, orthogonal."""
        stated = [row for row in self.statements if row.equal_norms is not None]
        equal, equidistant, orthogonal = (
            sum(bool(getattr(row, name)) for row in stated)
            for name in ("equal_norms", "equidistant", "orthogonal")
        )
        return (
            f"{self.networks[0].name}: of {many(len(stated), 'layer')}, {equal} with filters of "
            f"equal norm, {equidistant} with equidistant and {orthogonal} with orthogonal "
            "filters, as far as CWDA predicts"
        )


def geometry(
    source: Source,
    *,
    rungs: Rungs | None = None,
    level: float = 0.95,
    device: Device = "auto",
    progress: bool = True,
) -> GeometryResult:
    """Measure norms, distances and angles of the filters, and predict them.

    CWDA in d_eff effective dimensions predicts a relative SD of 1 / sqrt(2 d_eff) of norms and
    distances, and cosines of mean 0 and SD 1 / sqrt(d_eff): filters equal in norm, equidistant
    and orthogonal. The formulas of all rungs are in `cwda.theory.geometry`.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to measure: a name, file, Module, layer or array N x k^2 x N'.
    rungs : str, Rung or several, optional
        Models to predict by: isotropic, diagonal, block, scale, mean, or a `Rung` of
        your own; all of the ladder by default.
    level : float
        Confidence level of the limits of the statements.
    device : str or torch.device
        Where to compute, in float64.
    progress : bool
        Show a bar while it takes long.

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
    >>> answer = geometry(array, rungs="block")
    >>> answer.statement_table[["equal_norms", "equidistant", "orthogonal"]].to_numpy().tolist()
    [[True, True, True]]
    >>> answer.summary().set_index("quantity").loc["cosine_sd"].round(3).tolist()
    [0.082, 0.083]
    """
    require_between(level, 0, 1, "level")
    ladder = choose_rungs(rungs, GEOMETRY_LADDER)
    resolve_device(device)
    network = network_of(source)
    rows: list[GeometryQuantity] = []
    statements: list[GeometryStatement] = []
    with showing(progress):
        for layer in steps(network.layers, "measuring geometry"):
            quantities, statement = _of_layer(network.name, layer, ladder, level, device)
            rows += quantities
            statements.append(statement)
    return GeometryResult(tuple(rows), (network,), level=level, statements=tuple(statements))


def _of_layer(
    network: str, layer: ConvLayer, rungs: Sequence[Rung], level: float, device: Device
) -> tuple[list[GeometryQuantity], GeometryStatement]:
    """The rows of one layer in the table, and its statement."""
    fitted, reason = fit_or_reason(layer, device=device)
    measured = dict.fromkeys(QUANTITIES, math.nan)
    predictions = [measured] * len(rungs)
    shown = None
    if fitted is not None:
        try:
            placement = Placement(device, f"layer {layer.name}", layer.n_weights)
            shown, zero = placement.run(lambda device: _measured(layer, device))
        except OutOfMemory as error:
            fitted, reason = None, str(error)
    if fitted is None or shown is None:
        statement = GeometryStatement(
            network, layer.name, n_filters=layer.n_filters, dim=layer.dim, reason=reason
        )
    else:
        measured = asdict(shown) | {"effective_dim": fitted.effective_dim}
        predictions = [_predicted(rung(fitted)) for rung in rungs]
        reason = f"{many(zero, 'filter')} of zeros left out of the cosines" if zero else ""
        statement = _statement(network, shown, BLOCK(fitted), level, reason)
    rows = [
        GeometryQuantity(
            network,
            layer.name,
            quantity,
            rung.name,
            measured=measured[quantity],
            predicted=predicted[quantity],
            difference=predicted[quantity] - measured[quantity],
            n_filters=layer.n_filters,
            dim=layer.dim,
            reason=reason if fitted is None else _reason(quantity, measured[quantity], reason),
        )
        for quantity in QUANTITIES
        for rung, predicted in zip(rungs, predictions, strict=True)
    ]
    return rows, statement


def _measured(layer: ConvLayer, device: torch.device) -> tuple[Concentration, int]:
    """The concentration of the filters, and how many of them are zero."""
    filters = layer.blocks(device).reshape(layer.n_filters, layer.dim)
    filters /= filters.abs().max()  # squares of tiny or huge weights leave the range of float64
    return concentration(filters), int((filters == 0).all(1).sum())


def _predicted(fitted: FittedLayer) -> dict[str, float]:
    effective_dim = fitted.moments.effective_dim
    return asdict(predict_concentration(fitted)) | {"effective_dim": effective_dim}


def _reason(quantity: str, measured: float, remark: str) -> str:
    if quantity == "effective_dim" and math.isnan(measured):
        return "the unbiased estimate of trace(Sigma^2) is not positive"
    return remark if quantity.startswith("cosine") else ""


def _statement(
    network: str, shown: Concentration, fitted: FittedLayer, level: float, reason: str
) -> GeometryStatement:
    limits = concentration_limits(fitted, level)
    cosine = math.hypot(shown.cosine_mean, shown.cosine_sd)
    return GeometryStatement(
        network,
        fitted.name,
        equal_norms=shown.norm_cv <= limits.norm_cv,
        equidistant=shown.distance_cv <= limits.distance_cv,
        orthogonal=cosine <= limits.cosine_rms,
        norm_cv=shown.norm_cv,
        norm_cv_limit=limits.norm_cv,
        distance_cv=shown.distance_cv,
        distance_cv_limit=limits.distance_cv,
        cosine_rms=cosine,
        cosine_rms_limit=limits.cosine_rms,
        effective_dim=fitted.moments.effective_dim,
        n_filters=fitted.n_filters,
        dim=fitted.dim,
        reason=reason,
    )
