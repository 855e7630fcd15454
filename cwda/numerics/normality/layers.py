"""Tests of normality on many samples at once: each row of a matrix is a sample."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Literal, get_args

import torch
from torch import Tensor

from cwda.brief import brief
from cwda.errors import CwdaError
from cwda.numerics.moments import chi2_2_pvalue, jarque_bera, k_squared, power_sums
from cwda.numerics.normality.anderson_darling import (
    adjusted_statistic,
    anderson_darling_pvalue,
    weighted_log_sum,
)
from cwda.numerics.normality.kolmogorov import largest_deviation
from cwda.numerics.normality.shapiro_wilk import (
    LARGEST_SAMPLE,
    shapiro_wilk_pvalue,
    shapiro_wilk_weights,
)
from cwda.numerics.normality.sorted_columns import anderson_darling_side_by_side
from cwda.numerics.normality.sorting import sort_rows
from cwda.numerics.normality.standard_normal import standardise_sorted, tails

__all__ = ["MarginalStatistics", "Statistic", "marginals", "unit_norm_allowed"]

Statistic = Literal["anderson_darling", "shapiro_wilk", "moments", "ks"]
"""What `marginals` can compute."""

# Number of values in work at once: on the CPU the temporaries then stay in the caches; on other
# devices each step is large enough to fill them.
_TILE_CPU, _TILE_OTHER = 1 << 18, 1 << 24


@dataclass(frozen=True, eq=False)
class MarginalStatistics:
    """Statistics of normality of m samples; tensors of shape (m,), float64.

    A field is None where its statistic was not asked for, and NaN for degenerate samples. The
    null hypothesis of each p-value: the n values are independent draws of one normal law with
    unknown mean and variance.

    Attributes
    ----------
    n : int
        Number of values of each sample.
    degenerate : Tensor
        bool: the sample is constant or not finite.
    anderson_darling, anderson_darling_adjusted, anderson_darling_pvalue : Tensor or None
        A^2 with estimated mean and variance, A*^2 = A^2 (1 + 0.75/n + 2.25/n^2) and the p-value:
        simulated above .5, of D'Agostino and Stephens below; 5e-31 beyond A*^2 = 13.
    shapiro_wilk, shapiro_wilk_pvalue : Tensor or None
        W and its p-value after Royston (1995); scipy's within 1e-8 (W) and 2e-6 p.
    skewness, kurtosis : Tensor or None
        m_3 / m_2^1.5 and m_4 / m_2^2 - 3 (biased moments, excess kurtosis).
    jarque_bera, jarque_bera_pvalue, k_squared, k_squared_pvalue : Tensor or None
        Jarque-Bera and D'Agostino-Pearson K^2 (NaN for n < 8). The p-values are descriptive:
        at the 0.1 % level both are 3 to 7 times too liberal for n <= 576.
    ks : Tensor or None
        sup |F_n - Phi| of the standardised sample. An effect size without a p-value: with
        estimated parameters Kolmogorov's law almost never rejects (type I error 0.0000), and
        Lilliefors' tables end at .001, which is of no use among many tests.
    """

    n: int
    degenerate: Tensor
    anderson_darling: Tensor | None = None
    anderson_darling_adjusted: Tensor | None = None
    anderson_darling_pvalue: Tensor | None = None
    shapiro_wilk: Tensor | None = None
    shapiro_wilk_pvalue: Tensor | None = None
    skewness: Tensor | None = None
    kurtosis: Tensor | None = None
    jarque_bera: Tensor | None = None
    jarque_bera_pvalue: Tensor | None = None
    k_squared: Tensor | None = None
    k_squared_pvalue: Tensor | None = None
    ks: Tensor | None = None

    __repr__ = brief


def marginals(
    rows: Tensor, statistics: Collection[Statistic] = get_args(Statistic)
) -> MarginalStatistics:
    """Test each row of a matrix for normality.

    Rows are taken in small blocks; each block is sorted and standardised once for all
    statistics, so that memory beyond the input stays at a few blocks (about one row in float64
    where a row is longer than a block).

    Parameters
    ----------
    rows : Tensor
        Shape (m, n), n >= 3: m samples of n values, any floating dtype and strides (a transposed
        view is not copied as a whole), on any device with float64.
    statistics : collection of str
        Any of ``"anderson_darling"``, ``"shapiro_wilk"`` (n <= 5000), ``"moments"`` (skewness,
        kurtosis and the tests made of them) and ``"ks"``; all by default.

    Raises
    ------
    CwdaError
        If `rows` is not a matrix of floating numbers, n < 3, or n > 5000 for Shapiro-Wilk.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.normality.layers import marginals
    >>> rows = torch.tensor([[-1.0, 0.2, 0.3, 0.9, -0.4], [0.0, 0.0, 0.1, 9.0, 0.0]])
    >>> found = marginals(rows, ["anderson_darling", "shapiro_wilk"])
    >>> found.anderson_darling_pvalue
    tensor([0.8321, 0.0009], dtype=torch.float64)
    >>> found.shapiro_wilk
    tensor([0.9762, 0.5597], dtype=torch.float64)
    """
    wanted = frozenset(statistics)
    _check(rows, wanted)
    m, n = rows.shape
    if wanted == {"anderson_darling"}:
        a_squared = anderson_darling_side_by_side(rows)
        if a_squared is not None:
            return MarginalStatistics(n, a_squared.isnan(), **_anderson_darling(a_squared, n))
    tile = _TILE_CPU if rows.device.type == "cpu" else _TILE_OTHER
    height = max(1, tile // n)
    blocks = [_block(sort_rows(rows[i : i + height]), wanted, tile) for i in range(0, m, height)]
    joined = {
        field.name: torch.cat([getattr(block, field.name) for block in blocks])
        for field in fields(MarginalStatistics)
        if isinstance(getattr(blocks[0], field.name), Tensor)
    }
    return MarginalStatistics(n, **joined)


def unit_norm_allowed(n: int, d_eff: float) -> bool:
    """Whether positions may be tested after each filter is divided by its root mean square.

    The division gives the n weights of a position an excess kurtosis of -6 / (d_eff + 2) under
    normality. The tests keep their size (.048 at the limit, .086 at twice, .168 at four times
    it, for a nominal .05) where n (6 / (d_eff + 2))^2 / 24 <= 0.5.

    Parameters
    ----------
    n : int
        Number of filters.
    d_eff : float
        Effective dimension tr(Sigma)^2 / tr(Sigma^2) of a filter.

    Examples
    --------
    >>> from cwda.numerics.normality.layers import unit_norm_allowed
    >>> unit_norm_allowed(64, 576), unit_norm_allowed(64, 9)
    (True, False)
    """
    return n * (6 / (d_eff + 2)) ** 2 / 24 <= 0.5


def _check(rows: Tensor, wanted: frozenset[Statistic]) -> None:
    unknown = sorted(wanted.difference(get_args(Statistic)))
    if unknown:
        raise CwdaError(
            f"unknown statistic {unknown[0]!r}; take any of {', '.join(get_args(Statistic))}"
        )
    if rows.ndim != 2 or not rows.is_floating_point() or len(rows) == 0:
        raise CwdaError(
            f"samples must be the rows of a matrix of floating numbers, "
            f"not {rows.dtype} of shape {tuple(rows.shape)}"
        )
    n = rows.shape[1]
    if n < 3:
        raise CwdaError(f"a test of normality needs at least 3 values a sample, not {n}")
    if "shapiro_wilk" in wanted and n > LARGEST_SAMPLE:
        raise CwdaError(
            f"the Shapiro-Wilk test is defined up to {LARGEST_SAMPLE} values a sample, not {n}; "
            f"leave it out"
        )


@dataclass
class _Sums:
    """What the columns of sorted, standardised rows add up to."""

    logs: Tensor
    contrast: Tensor
    cubes: Tensor
    fourths: Tensor
    ks: Tensor


def _block(ordered: Tensor, wanted: frozenset[Statistic], tile: int) -> MarginalStatistics:
    """All statistics of a block of sorted rows, `tile` columns at a time if they are long."""
    n = ordered.shape[1]
    standard = standardise_sorted(ordered)
    sums = _accumulate(standard.z, wanted, tile)
    found: dict[str, Tensor] = {}
    if "anderson_darling" in wanted:
        found |= _anderson_darling(-n - sums.logs / n, n)
    if "shapiro_wilk" in wanted:
        w = (sums.contrast**2 / (n - 1)).clamp(max=1.0)
        found["shapiro_wilk"] = w
        found["shapiro_wilk_pvalue"] = shapiro_wilk_pvalue(w, n)
    if "moments" in wanted:
        # z has the variance 1 with n - 1, the moments are with n.
        skewness = sums.cubes / n * (n / (n - 1)) ** 1.5
        kurtosis = sums.fourths / n * (n / (n - 1)) ** 2 - 3
        found |= {"skewness": skewness, "kurtosis": kurtosis}
        found["jarque_bera"] = jarque_bera(skewness, kurtosis, n)
        found["jarque_bera_pvalue"] = chi2_2_pvalue(found["jarque_bera"])
        found["k_squared"] = k_squared(skewness, kurtosis, n)
        found["k_squared_pvalue"] = chi2_2_pvalue(found["k_squared"])
    if "ks" in wanted:
        found["ks"] = sums.ks
    return MarginalStatistics(n, standard.degenerate, **found)


def _anderson_darling(a_squared: Tensor, n: int) -> dict[str, Tensor]:
    adjusted = adjusted_statistic(a_squared, n)
    return {
        "anderson_darling": a_squared,
        "anderson_darling_adjusted": adjusted,
        "anderson_darling_pvalue": anderson_darling_pvalue(adjusted, n),
    }


def _accumulate(rows: Tensor, wanted: frozenset[Statistic], tile: int) -> _Sums:
    n = rows.shape[1]
    sums = _Sums(*(rows.new_zeros(len(rows)) for _ in fields(_Sums)))
    for start in range(0, n, tile):
        z = rows[:, start : start + tile]
        if "shapiro_wilk" in wanted:
            weights = shapiro_wilk_weights(n)[start : start + tile]
            sums.contrast += z @ weights.to(z.device)
        if "moments" in wanted:
            cubes, fourths = power_sums(z)
            sums.cubes += cubes
            sums.fourths += fourths
        if wanted & {"anderson_darling", "ks"}:
            normal = tails(z)
            if "ks" in wanted:
                sums.ks = torch.maximum(sums.ks, largest_deviation(normal.lower, start, n))
            if "anderson_darling" in wanted:
                sums.logs += weighted_log_sum(z, normal, start, n)
    return sums
