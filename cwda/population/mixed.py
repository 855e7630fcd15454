"""A mixed model by statsmodels, with intervals that rest on its families and not on the model.

The estimates are generalised least squares with the variances that restricted maximum likelihood
finds: random intercepts of units (families) and of the networks in them, and a random slope of
every term by unit. With V_g the covariance of unit g,

    b = S^-1 sum_g X_g' V_g^-1 y_g,   S = sum_g S_g,   S_g = X_g' V_g^-1 X_g.

Their standard errors do not take these variances for true. They come from leaving each of the G
units out in turn, the variances held:

    v_j = (G - 1) / G sum_g (b_(-g),j - b_j)^2,

which is right whatever the units have in common inside. As t with 1 / sum_g w_g^2 - 1 degrees of
freedom, w_g the share of unit g in the variance S^-1_jj: G - 1 where all units tell the same, and
fewer where a term is seen in few of them.

References
----------
Bell and McCaffrey (2002), Bias reduction in standard errors for linear regression with multi-stage
samples, Survey Methodology 28. MacKinnon, Nielsen and Webb (2023), Cluster-robust inference: a
guide to empirical practice, Journal of Econometrics 232.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cwda.errors import CwdaError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CannotModel", "MixedFit", "fit_mixed"]

Array = npt.NDArray[np.float64]

_SINGULAR = 1e-8

#: Variances in those of layers from which the fit starts, one after the other: a line search now
#: and then ends at a variance of 0, and does not from another start.
_STARTS = (0.2, 1.0, 0.05)


class CannotModel(CwdaError):  # noqa: N818 (it says what is the case)
    """There is no mixed model; the message says why, for the table."""


@dataclass(frozen=True, eq=False)
class MixedFit:
    """A fitted model of the intercept and k terms.

    Attributes
    ----------
    estimates, errors, freedom : ndarray of shape (1 + k,)
        Coefficients, the intercept first, with standard errors and degrees of freedom; NaN errors
        of a coefficient that one unit alone tells.
    unit_sd, network_sd, layer_sd : float
        Standard deviations of random intercepts and of the rest; NaN of networks where no unit has
        two.
    slope_sds : ndarray of shape (k,)
        Standard deviations of the slopes of each term between units.
    network_slope_sd : float
        That of the slopes of the first term between networks of a unit.
    converged : bool
        Whether the standard deviations maximise the likelihood.
    """

    estimates: Array
    errors: Array
    freedom: Array
    unit_sd: float
    network_sd: float
    layer_sd: float
    slope_sds: Array
    network_slope_sd: float
    converged: bool


@dataclass(frozen=True, eq=False)
class _Unit:
    """Response, fixed design, and the random designs of one unit by their names."""

    y: Array
    fixed: Array
    random: dict[str, Array]


def fit_mixed(
    rows: pd.DataFrame, terms: Sequence[str], unit: str, first_by_network: bool
) -> MixedFit:
    """Fit the columns `terms` to the column `y`, of networks in the units of the column `unit`.

    Parameters
    ----------
    rows : DataFrame
        Columns `y`, `network`, the terms and the unit.
    terms : sequence of str
        Columns of full rank together with an intercept.
    unit : str
        Column of the clusters that are sampled.
    first_by_network : bool
        Whether networks have an intercept, and a slope of the first term, of their own.

    Raises
    ------
    CannotModel
        If no variances are found.
    """
    middle = rows[list(terms)].to_numpy(dtype=np.float64).mean(axis=0)
    units = [_unit(part, terms, middle, first_by_network) for _, part in rows.groupby(unit)]
    fit = _fitted(units)
    scale = float(fit.scale)
    variances = dict(zip(units[0].random, fit.vcomp, strict=True))
    variances = {name: max(float(each), 0.0) for name, each in variances.items()}
    variances["unit"] = max(float(np.ravel(fit.cov_re)[0]), 0.0)
    moments = [_moments(each, variances, scale) for each in units]
    estimates, errors, freedom = _left_out(
        np.array([each[0] for each in moments]), np.array([each[1] for each in moments])
    )
    return MixedFit(
        estimates,
        errors,
        freedom,
        unit_sd=math.sqrt(variances["unit"]),
        network_sd=math.sqrt(variances.get("network", math.nan)),
        layer_sd=math.sqrt(scale),
        slope_sds=np.sqrt([variances[f"slope {term}"] for term in terms]),
        network_slope_sd=math.sqrt(variances.get("network slope", math.nan)),
        converged=bool(fit.converged),
    )


def _unit(rows: pd.DataFrame, terms: Sequence[str], middle: Array, first_by_network: bool) -> _Unit:
    values = rows[list(terms)].to_numpy(dtype=np.float64)
    slopes = values - middle
    random = {f"slope {term}": slopes[:, [i]] for i, term in enumerate(terms)}
    if first_by_network:
        _, number = np.unique(rows["network"].to_numpy(dtype=str), return_inverse=True)
        which = np.eye(number.max() + 1)[number]
        random |= {"network": which, "network slope": which * slopes[:, [0]]}
    fixed = np.column_stack([np.ones(len(rows)), values])
    return _Unit(rows["y"].to_numpy(dtype=np.float64), fixed, random)


def _fitted(units: Sequence[_Unit]) -> Any:
    """The model of statsmodels, fitted, or as far as it came.

    Raises
    ------
    CannotModel
        If no variances are found.
    """
    from statsmodels.regression.mixed_linear_model import MixedLM, MixedLMParams, VCSpec

    names = list(units[0].random)
    matrices = [[unit.random[name] for unit in units] for name in names]
    columns = [[[*map(str, range(each.shape[1]))] for each in kind] for kind in matrices]
    sizes = [len(unit.y) for unit in units]
    fits = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on variances of 0, which are as good as others here
        model = MixedLM(
            np.concatenate([unit.y for unit in units]),
            np.concatenate([unit.fixed for unit in units]),
            np.repeat(np.arange(len(units)), sizes),
            exog_re=np.ones((sum(sizes), 1)),
            exog_vc=VCSpec(names, columns, matrices),
        )
        for start in _STARTS:
            first = MixedLMParams(model.k_fe, model.k_re, model.k_vc)
            first.fe_params = np.zeros(model.k_fe)
            first.cov_re, first.vcomp = start * np.eye(1), np.full(model.k_vc, start)
            with suppress(np.linalg.LinAlgError):
                fits.append(model.fit(reml=True, method="lbfgs", start_params=first))
                if fits[-1].converged:
                    return fits[-1]
    fits = [fit for fit in fits if math.isfinite(fit.llf)]
    if not fits:
        raise CannotModel("the fit did not converge")
    return max(fits, key=lambda fit: float(fit.llf))


def _moments(unit: _Unit, variances: dict[str, float], scale: float) -> tuple[Array, Array]:
    """X' V^-1 X and X' V^-1 y of a unit, by Woodbury's identity."""
    parts = [np.ones((len(unit.y), 1)) * math.sqrt(variances["unit"])]
    parts += [each * math.sqrt(variances[name]) for name, each in unit.random.items()]
    random = np.hstack(parts)
    data = np.column_stack([unit.fixed, unit.y])
    crossed = random.T @ data
    inner = scale * np.eye(random.shape[1]) + random.T @ random
    whole = (data.T @ data - crossed.T @ np.linalg.solve(inner, crossed)) / scale
    return whole[:-1, :-1], whole[:-1, -1]


def _left_out(squares: Array, products: Array) -> tuple[Array, Array, Array]:
    """Estimates, errors and degrees of freedom of (G, k, k) and (G, k) sums over G units."""
    units, total = len(squares), squares.sum(axis=0)
    inverse = np.linalg.inv(total)
    estimates = inverse @ products.sum(axis=0)
    variance, told = np.zeros(len(total)), np.ones(len(total), dtype=bool)
    for square, product in zip(squares, products, strict=True):
        others, seen = _inverse(total - square, total)
        told &= seen
        variance += (others @ (products.sum(axis=0) - product) - estimates) ** 2
    weights = np.einsum("ij,gjk,ki->gi", inverse, squares, inverse)
    weights /= weights.sum(axis=0)
    freedom = np.maximum(1 / (weights**2).sum(axis=0) - 1, 1.0)
    errors = np.sqrt((units - 1) / units * variance)
    return estimates, np.where(told, errors, math.nan), freedom


def _inverse(square: Array, total: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Inverse of a part of `total`, and which coefficients it tells."""
    unit = 1 / np.sqrt(np.diag(total))
    values, vectors = np.linalg.eigh(unit[:, None] * square * unit)
    kept = values > _SINGULAR * values.max()
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    seen = (vectors[:, ~kept] ** 2).sum(axis=1) < math.sqrt(_SINGULAR)
    return unit[:, None] * inverse * unit, seen
