"""Whether filters differ in where they are strong: covariance of their profiles of energy.

A profile is the row of root energies of a filter in its channels (or at its positions), without
the filter's scale and the level of each channel. Under CWDA filters differ in it by chance alone,
each channel for itself. Where two populations are strong in different channels, the profiles
lie along few directions: the squared covariance matrix C of the profiles has a larger trace,

    tr(C^2) / tr(C)^2    over its value under CWDA.
"""

from __future__ import annotations

import math

import torch
from scipy import special
from torch import Tensor

from cwda.filters.norm_shape import SMALLEST
from cwda.filters.ratio import Ratio
from cwda.numerics.jackknife import jackknife_variance
from cwda.numerics.ranking.live import live_filters

__all__ = ["FEWEST_PLACES", "profile_ratio"]

#: Two channels leave a profile without scale one direction.
FEWEST_PLACES = 3


def profile_ratio(energy: Tensor, shared: Tensor | None = None) -> Ratio | None:
    """tr(C^2) / tr(C)^2 of the profiles over its value under CWDA.

    Parameters
    ----------
    energy : Tensor
        Energies of n filters in m channels or at m positions, n x m, float64, no row zero.
    shared : Tensor, optional
        Covariance of the energies under CWDA, relative to their means, m x m up to a factor; by
        default they are independent, with the variances that are measured.

    Returns
    -------
    Ratio or None
        None where fewer than 3 of the m have energy.

    Notes
    -----
    tr(C^2) is the U-statistic of the squared, U-centred Gram matrix (Szekely and Rizzo 2014), free
    of the noise of few filters. The p-value is John's: for independent normal profiles n m / 2
    times the excess of the ratio has the chi-square law with m (m + 1) / 2 - 1 degrees of freedom.

    References
    ----------
    John (1971), Some optimal multivariate tests, Biometrika 58, 123-127.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> filters = torch.randn(64, 32, 9, generator=generator, dtype=torch.float64)
    >>> energy = filters.square().sum(dim=2)
    >>> round(profile_ratio(energy).value, 1)
    1.0
    >>> energy[::2, ::2] *= 4  # every other filter is strong in even channels
    >>> round(profile_ratio(energy).value, 1)
    4.4
    """
    alive = live_filters(energy.sum(dim=0).sqrt().cpu().numpy())
    if alive.sum() < FEWEST_PLACES:
        return None
    if not alive.all():
        kept = torch.from_numpy(alive).to(energy.device)
        energy = energy[:, kept]
        shared = None if shared is None else shared[kept][:, kept]
    z = _profiles(energy.sqrt())
    n, places = z.shape
    q = z.square().sum(dim=1)
    total = float(q.sum())
    trace = total / (n - 1)
    if trace <= 1e-20 * places:
        return None  # all profiles are equal
    equal = 1 / (places - 1)  # of equal variances
    level = max(equal, _independent(z, trace)) if shared is None else _level(shared)
    rows = _squared_rows(z, q)
    squares = float(rows.sum())
    value = squares / (n * (n - 3))
    squared_without = (squares - 2 * rows) / ((n - 1) * (n - 4))
    trace_without = (total - n / (n - 1) * q) / (n - 2)
    trace_squared = trace**2 - float(q.var()) / n
    ratio = value / max(trace_squared, 1e-9 * trace**2) / level
    spread = 4 / n**2
    if value > 0 and (squared_without > 0).all():
        changes = squared_without.log() - 2 * trace_without.log()
        # The Gram matrices stay centred with all filters, which takes (n - 3) / (n - 1) off.
        spread = max((n - 1) / (n - 3) * float(jackknife_variance(changes)), spread)
    ratio = max(ratio, SMALLEST)
    pvalue = _pvalue(ratio, n, 1 / level)
    return Ratio(ratio, math.sqrt(spread), math.inf, n - 1, pvalue, ratio * level)


def _profiles(roots: Tensor) -> Tensor:
    """Root energies relative to the level of their channel and the scale of their filter."""
    # Its norm first: what follows must not depend on the scale of a filter.
    scale = torch.linalg.vector_norm(roots, dim=1, keepdim=True)
    for _ in range(2):
        level = (roots / scale).mean(dim=0)
        scale = (roots / level).mean(dim=1, keepdim=True)
    z: Tensor = roots / (scale * level)
    z -= z.mean(dim=0)
    return z


def _independent(z: Tensor, trace: float) -> float:
    """tr(C0^2) / tr(C)^2 of independent places with the variances measured, centred in rows."""
    n, m = z.shape
    squares = z * z
    variances = squares.sum(dim=0) / (n - 1)
    noise = squares.var(dim=0) / n
    unbiased = float((variances**2 - noise).sum())
    # Centring a row turns the variances v into v (1 - 2 / m) + mean(v) / m.
    before = (m / (m - 2)) ** 2 * (unbiased - trace**2 * (2 * m - 3) / (m * (m - 1) ** 2))
    summed = trace * m / (m - 1)
    return (before * (1 - 2 / m) + (summed / m) ** 2) / trace**2


def _level(shared: Tensor) -> float:
    """tr(C0^2) / tr(C0)^2 of C0, `shared` with rows and columns centred."""
    centred = shared - shared.mean(dim=0) - shared.mean(dim=1, keepdim=True) + shared.mean()
    return float(centred.square().sum() / centred.trace() ** 2)


def _squared_rows(z: Tensor, q: Tensor) -> Tensor:
    """Row sums of the squared, U-centred Gram matrix with zero diagonal.

    Where filters are many, by their m x m matrix: the Gram matrix of 50,000 would take 20 GB.
    """
    n, places = z.shape
    row = q / (n - 2)
    column = row - row.sum() / (n - 1)
    if n <= 2 * places:
        gram = torch.addmm(column, z, z.T)
        gram += row[:, None]
        return gram.fill_diagonal_(0).square_().sum(dim=1)
    # sum over j != i of (z_i . z_j + row_i + column_j)^2
    products = (z @ (z.T @ z) * z).sum(dim=1) - q.square()
    mixed = z @ (z.T @ column) - q * column
    linear = z @ z.sum(dim=0) - q + column.sum() - column
    squares = column.square().sum() - column.square() + (n - 1) * row.square()
    return products + squares + 2 * (mixed + row * linear)


def _pvalue(ratio: float, n: int, places: float) -> float:
    freedom = places * (places + 1) / 2 - 1
    excess = freedom + (n - 1) * places / 2 * (ratio - 1)
    return float(special.chdtrc(freedom, excess)) if excess > 0 else 1.0
