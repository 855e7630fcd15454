"""The Anderson-Darling test of normality, mean and variance estimated."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from cwda.numerics.normality.standard_normal import Tails, upper_tail

__all__ = [
    "LARGEST",
    "SHARES",
    "SIZES",
    "adjusted_statistic",
    "anderson_darling_pvalue",
    "weighted_log_sum",
]

#: A*^2 from which on the p-value is no longer known.
LARGEST = 13.0

#: Shares of normal samples, 1 - p, at which the law of A*^2 is tabulated, and sizes of samples.
SHARES = (
    *(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1),
    *(0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
)
SIZES = (8, 10, 12, 16, 24, 32, 64, 256)

# Quantiles of A*^2, a row for each size. Samples: 4,000,000 up to n = 64, 1,000,000 at n = 256,
# seed (20260, n). `benchmarks/anderson_darling.py` computes them anew.
_TABLE = (
    (  # n = 8
        *(0.1130, 0.1173, 0.1244, 0.1339, 0.1489, 0.1610, 0.1835, 0.2087),
        *(0.2287, 0.2467, 0.2637, 0.2804, 0.2973, 0.3146, 0.3326, 0.3517),
    ),
    (  # n = 10
        *(0.1024, 0.1080, 0.1165, 0.1268, 0.1429, 0.1556, 0.1786, 0.2040),
        *(0.2241, 0.2422, 0.2594, 0.2763, 0.2934, 0.3108, 0.3289, 0.3479),
    ),
    (  # n = 12
        *(0.0971, 0.1033, 0.1121, 0.1231, 0.1396, 0.1525, 0.1758, 0.2012),
        *(0.2215, 0.2397, 0.2570, 0.2740, 0.2911, 0.3086, 0.3268, 0.3459),
    ),
    (  # n = 16
        *(0.0912, 0.0982, 0.1074, 0.1188, 0.1359, 0.1490, 0.1727, 0.1984),
        *(0.2188, 0.2372, 0.2546, 0.2717, 0.2889, 0.3064, 0.3247, 0.3439),
    ),
    (  # n = 24
        *(0.0868, 0.0938, 0.1036, 0.1154, 0.1329, 0.1463, 0.1701, 0.1962),
        *(0.2169, 0.2354, 0.2529, 0.2701, 0.2873, 0.3050, 0.3233, 0.3425),
    ),
    (  # n = 32
        *(0.0843, 0.0919, 0.1025, 0.1143, 0.1317, 0.1451, 0.1692, 0.1952),
        *(0.2159, 0.2345, 0.2520, 0.2693, 0.2865, 0.3041, 0.3224, 0.3417),
    ),
    (  # n = 64
        *(0.0822, 0.0898, 0.1004, 0.1126, 0.1304, 0.1440, 0.1681, 0.1944),
        *(0.2152, 0.2337, 0.2513, 0.2685, 0.2858, 0.3034, 0.3217, 0.3410),
    ),
    (  # n = 256
        *(0.0819, 0.0885, 0.0993, 0.1113, 0.1295, 0.1432, 0.1676, 0.1938),
        *(0.2145, 0.2331, 0.2507, 0.2680, 0.2854, 0.3030, 0.3214, 0.3408),
    ),
)

# Beyond this the tail probability is no longer a normal float64 number.
_UNDERFLOW = 37.0


def weighted_log_sum(z: Tensor, normal: Tails, before: int, n: int) -> Tensor:
    """The part of the Anderson-Darling sum that some columns of sorted rows contribute.

    sum_i (2i - 1) log Phi(z_i) + (2(n - i) + 1) log(1 - Phi(z_i)), from which
    A^2 = -n - (sum over all columns) / n.

    Parameters
    ----------
    z : Tensor
        Standardised values, shape (m, c), columns before + 1, ..., before + c of sorted rows.
    normal : Tails
        `tails` of z; overwritten, as nothing else needs them after their logarithms.
    before, n : int
        Number of columns before these, and in all.
    """
    rank = torch.arange(before + 1, before + z.shape[1] + 1, dtype=z.dtype, device=z.device)
    extreme = torch.maximum(-z[:, 0], z[:, -1])
    if bool((extreme > _UNDERFLOW).any()):  # possible only for n > 1370; slower, but never -inf
        log_lower, log_upper = torch.special.log_ndtr(z), torch.special.log_ndtr(-z)
    else:
        log_lower, log_upper = normal.lower.log_(), normal.upper.log_()
    total: Tensor = log_lower @ (2 * rank - 1) + log_upper @ (2 * (n - rank) + 1)
    return total


def adjusted_statistic(a_squared: Tensor, n: int) -> Tensor:
    """A*^2 = A^2 (1 + 0.75/n + 2.25/n^2), whose law depends little on n."""
    return a_squared * (1 + 0.75 / n + 2.25 / n**2)


def anderson_darling_pvalue(adjusted: Tensor, n: int) -> Tensor:
    """p-value of the adjusted statistic of n values where mean and variance are estimated.

    Above p = .5 from the simulated table of this module: normal scores of p are linear in
    log A*^2 between its knots and below the first, and knots linear in 1/n between its sizes.
    From the last knot on by the exponential formulas of D'Agostino and Stephens (1986, table
    4.9), to which the table is joined. Their formulas for larger p are too small near 1,
    which makes combined p-values too small as well.

    The last formula is a parabola, which turns up again: beyond A*^2 = 13 the p-value
    stays at 5e-31, and means "at most". NaN stays NaN; fewer than 8 values count as 8.

    Examples
    --------
    >>> import torch
    >>> from cwda.numerics.normality.anderson_darling import anderson_darling_pvalue
    >>> anderson_darling_pvalue(torch.tensor([0.15, 0.5, 0.752, 1e6], dtype=torch.float64), 64)
    tensor([9.7417e-01, 2.0871e-01, 5.0340e-02, 4.9542e-31], dtype=torch.float64)
    """
    a = adjusted.clamp(max=LARGEST)
    square = a * a
    pvalue = torch.exp(1.2937 - 5.709 * a + 0.0186 * square)
    pvalue = torch.where(a < 0.6, _middle(a), pvalue)
    places, scores = (part.to(a.device) for part in _knots(n))
    inside = a < places[-1].exp()
    place = torch.where(inside, a, 0.2).log()  # where() takes the other side anyway
    right = torch.searchsorted(places, place).clamp(1, len(places) - 1)
    slope = (scores[right] - scores[right - 1]) / (places[right] - places[right - 1])
    score = scores[right - 1] + slope * (place - places[right - 1])
    return torch.where(inside, upper_tail(score), pvalue)


def _middle(a: Tensor) -> Tensor:
    """The formula of D'Agostino and Stephens for .34 <= A*^2 < .6."""
    return torch.exp(0.9177 - 4.279 * a - 1.38 * a * a)


@lru_cache(maxsize=64)
def _knots(n: int) -> tuple[Tensor, Tensor]:
    """log A*^2 at the shares of the table, for n values, and the normal scores of p."""
    inverse = 1 / np.array(SIZES[::-1])
    values = np.array(_TABLE[::-1])
    places = torch.tensor([np.interp(1 / n, inverse, column) for column in values.T])
    shares = torch.tensor(SHARES, dtype=torch.float64)
    shares[-1] = 1 - _middle(places[-1])
    return places.log(), torch.special.ndtri(shares)
