"""From scores of halves of the images to reliabilities, and to correlations without noise.

A half has m images, all have M. The mean correlation of the scores of two halves is the
reliability r_m of m images, and Spearman and Brown's formula steps it up to M.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from scipy.special import ndtri
from torch import Tensor

from cwda.numerics.jackknife import grouped_jackknife_variance, jackknife_radius
from cwda.numerics.ranking.overlap import lowest_count
from cwda.numerics.ranking.ranks import ascending, spearman
from cwda.scoring.error_bars.disattenuation import disattenuated, spearman_brown
from cwda.scoring.error_bars.pruned_sets import kappa_of_latent, latent_of_kappa

__all__ = [
    "Correlations",
    "another_draw",
    "crossed",
    "disattenuated_interval",
    "images_needed",
    "split_changes",
    "stepped_up",
]

#: Filters are left out one by one up to so many, then in so many groups.
GROUPS = 64

_NUMBERS_AT_A_TIME = 1 << 21


def images_needed(reliability: float, images: int, target: float) -> float:
    """With how many images a criterion reaches a reliability, if `images` give it this one.

    M T (1 - R) / (R (1 - T)), rounded up; infinite where R is 0 or negative.

    Examples
    --------
    >>> images_needed(0.5, 512, 0.9), images_needed(-0.1, 512, 0.9)
    (4608.0, inf)
    """
    if math.isnan(reliability):
        return math.nan
    if reliability <= 0:
        return math.inf
    needed = images * target * (1 - reliability) / (reliability * (1 - target))
    return float(max(1, math.ceil(needed - 1e-9)))


class Correlations(NamedTuple):
    """Mean rank correlations between the scores of two halves, over the splits.

    Attributes
    ----------
    values : Tensor
        Criteria x criteria: the first criterion on one half with the second on the other, and
        the other way round; the diagonal holds reliabilities of a half.
    left_out : Tensor
        The same without some of the filters in turn, groups x criteria x criteria.
    sizes : Tensor
        Share of the filters in each of these groups.
    """

    values: Tensor
    left_out: Tensor
    sizes: Tensor


def crossed(halves: Tensor) -> Correlations:
    """Rank correlations of scores that share no image.

    Parameters
    ----------
    halves : Tensor
        float64, splits x 2 x criteria x filters.
    """
    n = halves.shape[-1]
    count = min(n, GROUPS)
    places = torch.arange(n) % count
    sizes = torch.bincount(places, minlength=count)
    left_out = []
    step = max(1, _NUMBERS_AT_A_TIME // halves.numel())
    for size in sizes.unique(sorted=True).flip(0):  # groups of one size, the larger come first
        groups = (sizes == size).nonzero()
        for some in groups.split(step):
            kept = (places != some).nonzero()[:, 1].view(len(some), -1)
            left_out.append(_crossed(halves[..., kept].movedim(-2, 0)))
    return Correlations(_crossed(halves), torch.cat(left_out), sizes.double() / n)


def _crossed(halves: Tensor) -> Tensor:
    """The mean correlations of one half with the other; (..., splits, 2, criteria, filters)."""
    criteria = halves.shape[-2]
    between = spearman(halves.flatten(-3, -2))[..., :criteria, criteria:]
    return ((between + between.mT) / 2).mean(-3)


def stepped_up(
    correlations: Correlations, criterion: int, n: int, factor: float, level: float
) -> tuple[float, float, float]:
    """The reliability of one criterion on all images, and its interval.

    The interval is the jackknife's over the filters, on Fisher's scale of the correlation of
    the halves; where no filter changes it, its variance is (1 + r^2 / 2) / (n - 3) (Bonett and
    Wright 2000).
    """
    at = criterion, criterion
    half, left_out = correlations.values[at], correlations.left_out[:, *at]
    bound = 1 - 6 / max(n**3 - n, 7)
    z, others = (x.clamp(-bound, bound).atanh() for x in (half, left_out))
    estimate = spearman_brown(float(half), factor)
    if n < 4:
        return estimate, math.nan, math.nan
    variance = float(grouped_jackknife_variance(z, others, correlations.sizes))
    width = jackknife_radius(variance, len(others), level)
    if variance < 1e-20:
        width = float(ndtri((1 + level) / 2)) * math.sqrt((1 + float(half) ** 2 / 2) / (n - 3))
    low, high = (spearman_brown(math.tanh(float(z) + side), factor) for side in (-width, width))
    return estimate, min(low, estimate), max(high, estimate)


def disattenuated_interval(
    correlations: Correlations, a: int, b: int, spread: float, level: float
) -> tuple[float, float, float]:
    """The correlation of two criteria without the noise of the images, and its interval.

    The mean correlation of one criterion on a half with the other one on the other half,
    divided by the root of the product of their reliabilities there. It can exceed 1.

    Parameters
    ----------
    correlations : Correlations
        Of both criteria, and others.
    a, b : int
        The criteria.
    spread : float
        Standard error of the correlation that comes from the images.
    level : float
        Confidence level of the interval, in which the variances over images and over filters
        add up.
    """
    whole, left_out = (
        disattenuated(each[..., a, b], each[..., a, a], each[..., b, b])
        for each in (correlations.values, correlations.left_out)
    )
    of_filters = float(grouped_jackknife_variance(whole, left_out, correlations.sizes))
    reliable = correlations.values[a, a] * correlations.values[b, b]
    noise = spread / float(reliable.sqrt())
    width = jackknife_radius(of_filters + noise**2, len(correlations.sizes), level)
    value = float(whole)
    return value, value - width, value + width


def split_changes(halves: Tensor, ratio: float) -> Tensor:
    """The share of the filters pruned by one half that the other one keeps, over the splits.

    Parameters
    ----------
    halves : Tensor
        float64, splits x 2 x criteria x filters.
    ratio : float
        Share of the filters pruned; NaN where that is none or all.

    Returns
    -------
    Tensor
        One share per criterion.
    """
    n = halves.shape[-1]
    count = lowest_count(n, ratio)
    if not 0 < count < n:
        return halves.new_full((halves.shape[2],), torch.nan)
    pruned = torch.zeros_like(halves).scatter_(-1, ascending(halves)[..., :count], 1.0)
    return 1 - (pruned[:, 0] * pruned[:, 1]).sum(-1).mean(0) / count


def another_draw(changed: float, ratio: float, factor: float) -> tuple[float, float]:
    """The share that would change with `factor` times the images, and the latent correlation.

    Two normal scores with correlation r, of which each prunes what lies below
    c = Phi^-1(ratio), disagree on the share 1 - Phi_2(c, c; r) / ratio of it. The r that gives
    the share of the halves is stepped up like a reliability.

    Examples
    --------
    >>> share, latent = another_draw(1 / 3, 0.5, 2)  # r = .5, stepped up to 2/3
    >>> round(share, 4), round(latent, 4)
    (0.2677, 0.6667)
    """
    if math.isnan(changed):
        return math.nan, math.nan
    latent = spearman_brown(_latent(changed, ratio), factor)
    latent = max(latent, -1.0)
    return _changed(latent, ratio), latent


def images_for_share(latent: float, images: int, ratio: float, most: float) -> float:
    """With how many images at most the share `most` of the pruned filters would change."""
    if math.isnan(latent):
        return math.nan
    return images_needed(latent, images, _latent(most, ratio))


def _changed(correlation: float, ratio: float) -> float:
    changed = (1 - ratio) * (1 - float(kappa_of_latent(correlation, ratio)))
    return min(max(changed, 0.0), 1.0)


def _latent(changed: float, ratio: float) -> float:
    """The correlation at which a share changes."""
    return float(latent_of_kappa(1 - changed / (1 - ratio), ratio))
