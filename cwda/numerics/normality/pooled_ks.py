"""Kolmogorov's distance of all weights of a layer from the normal law, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from scipy import special
from torch import Tensor

from cwda.brief import brief
from cwda.errors import CwdaError
from cwda.numerics.normality.pooled_weights import Pooled, counted
from cwda.numerics.normality.standard_normal import upper_tail

__all__ = ["PooledKS", "pooled_ks"]

# Quantiles of the normal law at which, beside the place of the supremum, the deviation's error
# is measured: fine enough that the deviation, which is smooth, has no room between them.
_GRID = 63
# A filter of a smaller root mean square than this share of the median one has no log scale.
_DEAD = 1e-3
# Beyond the rounding of a weight in standard form: the supremum lies on a weight.
_ROUNDING = 1e-9
# Of so many weights, evenly strided, so many equal another by chance: float32 has .3 on average.
_LOOKED_AT, _CHANCE_TIES = 4096, 8
# Random halves of the filters over which the cross-fitted deviation is averaged.
_SPLITS = 8
# A standard normal variable, by Gauss and Hermite.
_NODES, _SHARES = (torch.from_numpy(x) for x in np.polynomial.hermite_e.hermegauss(61))
_SHARES = _SHARES / _SHARES.sum()


@dataclass(frozen=True, eq=False)
class PooledKS:
    """Distance of the pooled, standardised weights from the normal law.

    Attributes
    ----------
    distance : float
        D = sup |F - Phi|; NaN, as all else, where the weights are constant or not finite.
    cross_fitted : float
        Deviation of one half of the filters where that of the other half is largest, with the
        sign that it has there: an estimate that noise does not inflate. It may be negative.
    location : float
        Where it is attained, in standard deviations from the mean.
    standard_error : float
        Standard error of the deviation at `location`: se(u) of `pooled_ks`.
    low, high : float
        Interval at 1 - 2 alpha.
    leave_one_out : Tensor
        Shape (n,), float64: |F - Phi| at `location` without each filter, standardised anew.
    """

    distance: float
    cross_fitted: float
    location: float
    standard_error: float
    low: float
    high: float
    leave_one_out: Tensor

    __repr__ = brief


def pooled_ks(filters: Tensor, alpha: float = 0.05) -> PooledKS:
    """Distance sup |F - Phi| of the weights of a layer, filters being the unit of replication.

    All n d weights are standardised by their mean and standard deviation. Delta(u) = F(u) -
    Phi(u) is jackknifed over filters at 63 quantiles u of the normal law and at the place of the
    supremum, with mean and standard deviation exactly those without the filter. Where many
    weights are equal (dead filters, pruned weights, few bits), F(-i) is taken at the same weight
    for all i and only Phi moves: to first order the same at the supremum, while a moving
    threshold would pass over the jump. se(u) is its standard error, but at least

        sqrt(e [Phi(1 - Phi) - phi(u)^2 (1 + u^2/2)] / (n d)),

    that of independent normal weights times a design effect e >= 1, the median over u of the
    ratio of both variances: at quantiles that few weights reach, F is a step function whose
    jackknife has no error. The limits, each meant to have an error of at most alpha,

        high = max(max_u (|Delta(u)| + t se(u)), D_s, p / 2),
        low = max(0, max_u (|Delta(u)| - c se(u))),

    t the quantile of Student's law with n - 1 degrees of freedom, c that of the largest of the
    whole process |Delta - E Delta| / se (the volume of the tube about the path of its
    correlations; Sun and Loader 1994). For the upper limit t is enough: it need only hold where
    the true supremum lies. For the lower one it is not: D is the largest of many noisy values
    and so too large, and the usual D - t se(location) lies above the truth far too often.

    D_s is the distance of normal filters whose scales are log-normal, with an SD at its own
    upper limit (chi-squared law, live filters, less what normal weights of one scale show). A
    sample without the few largest filters is close to normal, and its jackknife cannot know it.
    p is the upper limit of the share of dead filters, by Clopper and Pearson, if any is dead.

    Shares of 300 layers, alpha = .05, in which a limit missed the truth (standard error .013),
    the largest over the sizes n = 8, 32, 128; iid and kernels with correlations of .9 between
    neighbours also at n = 16, 64, the former at d = 1 and 2 too, the latter at d = 9 too:

    =========================  ==========  ======  ====  ====
    weights                    d           truth   low   high
    =========================  ==========  ======  ====  ====
    normal                     1 to 576    0       .027  .000
    smooth kernels, .9         9 to 576    0       .027  .000
    unequal variances          9 to 576    .01     .003  .000
    t_5                        9 to 576    .038    .003  .000
    log scales, SD .3          144         .024    .000  .003
    log scales, SD .45         144, 576    .05     .000  .063
    log scales, SD .68         144, 576    .10     .003  .070
    log scales, SD .8          9, 576      .13     .000  .053
    =========================  ==========  ======  ====  ====

    So the interval is conservative where filters have one scale. It knows nothing of rare
    filters that a sample lacks: with a chance of .1 for each filter to be dead (truth .05), the
    upper limit missed in .40 of 400 layers of 8 filters, d = 144, and in .04 of 32 and of 64.

    Parameters
    ----------
    filters : Tensor
        Shape (n, d), n >= 3 filters, any floating dtype.
    alpha : float
        Error of each limit, between 0 and 1/2.

    Raises
    ------
    CwdaError
        If `filters` is not a matrix of floating numbers or n < 3.

    References
    ----------
    J. Sun, C. Loader (1994), Simultaneous confidence bands for linear regression and smoothing,
    Annals of Statistics 22, 1328-1345.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.normality.pooled_ks import pooled_ks
    >>> uniform = torch.rand(64, 144, generator=torch.Generator().manual_seed(0))
    >>> found = pooled_ks(uniform)  # truth 0.0572
    >>> found.low < 0.0572 < found.high
    True
    """
    if filters.ndim != 2 or not filters.is_floating_point() or len(filters) < 3:
        raise CwdaError(
            f"the pooled distance needs a matrix of floating numbers with 3 filters (rows) or "
            f"more, not {filters.dtype} of shape {tuple(filters.shape)}"
        )
    n = len(filters)
    pooled = Pooled.of(filters)
    if math.isnan(pooled.factor):
        nan = math.nan
        return PooledKS(nan, nan, nan, nan, nan, nan, pooled.sums)
    counts = counted(pooled)
    signed, location = counts.supremum()

    points = torch.special.ndtri(
        torch.arange(1, _GRID + 1, dtype=torch.float64, device=filters.device) / (_GRID + 1)
    )
    # A point so close to the supremum tells nothing more, and the jump's side may be beyond it.
    points = points[(points - location).abs() > 2 * _ROUNDING]
    points = torch.sort(torch.cat([points, points.new_tensor([location])])).values
    at = int(torch.searchsorted(points, location))
    live = _live(pooled)
    phi = upper_tail(-points)
    if _jumps(pooled, live):
        # A threshold that moves with mean and SD would pass over all equal weights at once.
        places, expected = points.clone(), upper_tail(-_standardised_anew(pooled, points))
        places[at] += math.copysign(_ROUNDING, signed)  # F just above its jump there, or below
        thresholds = places.expand(n, -1).contiguous()
    else:
        places, expected, thresholds = points, phi, _thresholds(pooled, points)
    everywhere, others = counts.up_to(places, thresholds)
    # Integers would divide in float32.
    without = others.double() / (filters.numel() - filters.shape[1]) - expected
    centred = without - without.mean(0)
    squares = (centred * centred).sum(0)
    variance = squares * (n - 1) / n
    independent = _variance_if_independent(points, phi) / filters.numel()
    design_effect = (variance / independent).median().clamp(min=1)
    error = torch.maximum(variance, design_effect * independent).sqrt()
    signed_deviation = everywhere.double() / filters.numel() - phi
    deviation = signed_deviation.abs()
    deviation[at] = abs(signed)

    paths = centred / squares.clamp(min=torch.finfo(torch.float64).tiny).sqrt()
    cosines = (paths[:, 1:] * paths[:, :-1]).sum(0)
    length = float(torch.acos(cosines.clamp(-1, 1)).sum())
    band = _simultaneous_quantile(length, n - 1, alpha)
    pointwise = float(special.stdtrit(n - 1, 1 - alpha))
    by_scale = _scale_limit(pooled.squares[live], filters.shape[1], points, phi, alpha)
    by_dead = _dead_limit(n - int(live.sum()), n, alpha)
    fixed = torch.arange(len(points), device=points.device) != at
    return PooledKS(
        distance=abs(signed),
        cross_fitted=_cross_fitted((signed_deviation - (n - 1) * centred)[:, fixed]),
        location=location,
        standard_error=float(error[at]),
        low=max(0.0, float((deviation - band * error).max())),
        high=min(1.0, max(float((deviation + pointwise * error).max()), by_scale, by_dead)),
        leave_one_out=without[:, at].abs(),
    )


def _cross_fitted(pseudo: Tensor) -> float:
    """Mean deviation of half of the filters where the other half's is largest, over some splits.

    To first order a half has the mean of the jackknife's pseudo-values, n x points, of its
    filters. The place is chosen by other filters than those whose deviation is taken there, so
    that its expectation is that of one place, the supremum at most.
    """
    n = len(pseudo)
    first = torch.from_numpy(_halves(n)).to(pseudo.device)
    halves = torch.stack([first / (n // 2), (1 - first) / (n - n // 2)]) @ pseudo
    chosen = halves.abs().argmax(dim=2, keepdim=True)
    signs = halves.gather(2, chosen).sign()
    return float((signs * halves.flip(0).gather(2, chosen)).mean())


@lru_cache(maxsize=64)
def _halves(n: int) -> npt.NDArray[np.float64]:
    """Random halves of n filters, (splits, n) of 0 and 1; the same for all layers of so many."""
    # Kept as numpy has it: a tensor would belong to the mode of torch in which it was first made.
    rng = np.random.default_rng(n)
    order = np.stack([rng.permutation(n) for _ in range(_SPLITS)])
    return (order < n // 2).astype(np.float64)


def _live(pooled: Pooled) -> Tensor:
    """Which filters are not zero beside the others."""
    shift, d = pooled.mean * pooled.factor, pooled.filters.shape[1]
    energy = pooled.squares + shift * (2 * pooled.sums + d * shift)
    return energy > _DEAD**2 * energy.median()


def _jumps(pooled: Pooled, live: Tensor) -> bool:
    """Whether many weights are equal: in dead filters, or by few bits, or for most are zero."""
    flat = pooled.filters.reshape(-1)
    some = flat[:: -(-len(flat) // _LOOKED_AT)].sort().values
    ties = (some[1:] == some[:-1]).sum()
    return bool((ties > _CHANCE_TIES) | ~live.all())


def _left_out(pooled: Pooled) -> tuple[Tensor, Tensor]:
    """Mean and SD of all weights but a filter's, in standard deviations of all: (n, 1) each."""
    total, d = pooled.filters.numel(), pooled.filters.shape[1]
    rest = total - d
    mean = (pooled.sums.sum() - pooled.sums) / rest
    squares = (total - 1) - pooled.squares - rest * mean**2
    sd = (squares.clamp(min=0) / (rest - 1)).sqrt()
    return mean[:, None], sd[:, None]


def _thresholds(pooled: Pooled, points: Tensor) -> Tensor:
    """The points mean(-i) + sd(-i) u for filter i left out: (n, points)."""
    mean, sd = _left_out(pooled)
    return mean + sd * points


def _standardised_anew(pooled: Pooled, points: Tensor) -> Tensor:
    """The points (u - mean(-i)) / sd(-i): the same weights for all filters, (n, points)."""
    mean, sd = _left_out(pooled)
    # Where nothing varies beside one filter, no weight but the mean has a finite place.
    return (points - mean) / sd.clamp(min=torch.finfo(torch.float64).tiny)


def _variance_if_independent(points: Tensor, phi: Tensor) -> Tensor:
    """Variance of sqrt(m) (F - Phi) of m independent normal weights in standard form."""
    squares = points * points
    density_squares = torch.exp(-squares) / (2 * math.pi)
    variance = phi * (1 - phi) - density_squares * (1 + squares / 2)
    return variance.clamp(min=torch.finfo(torch.float64).tiny)  # far out it cancels


def _scale_limit(squares: Tensor, d: int, points: Tensor, phi: Tensor, alpha: float) -> float:
    """Distance of normal filters of log-normal scale, SD(log s) being at its upper limit."""
    logs = squares[squares > _DEAD**2 * squares.median()].log() / 2
    k = len(logs)
    if k < 3:
        return 0.0
    # Normal weights of one scale alone give the logs this variance.
    noise = float(special.polygamma(1, d / 2)) / 4
    spread = float(logs.var()) * (k - 1) / float(special.chdtri(k - 1, 1 - alpha)) - noise
    if spread <= 0:
        return 0.0
    scales = torch.exp(math.sqrt(spread) * _NODES.to(logs.device) - spread)
    law = upper_tail(-points[:, None] / scales) @ _SHARES.to(logs.device)
    return float((law - phi).abs().max())


def _dead_limit(dead: int, n: int, alpha: float) -> float:
    """Distance of normal filters among dead ones, half their share at its upper limit."""
    return float(special.betaincinv(dead + 1, n - dead, 1 - alpha)) / 2 if dead else 0.0


def _simultaneous_quantile(length: float, df: int, alpha: float) -> float:
    """The c for which length/pi (1 + c^2/df)^(-df/2) + P(|T_df| > c) = alpha."""

    def tube(c: float) -> float:
        return length / math.pi * math.exp(-df / 2 * math.log1p(c * c / df))

    # Newton's method: to the right of 1 the probability is convex, so that from below, where
    # the second term alone is alpha, each step stays below.
    log_density = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - math.log(math.pi * df) / 2
    c = max(1.0, float(special.stdtrit(df, 1 - alpha / 2)))
    for _ in range(100):
        excess = tube(c) + 2 * float(special.stdtr(df, -c)) - alpha
        density = math.exp(log_density - (df + 1) / 2 * math.log1p(c * c / df))
        step = excess / (tube(c) * c / (1 + c * c / df) + 2 * density)
        c += step
        if abs(step) <= 1e-14 * c:
            break
    return c
