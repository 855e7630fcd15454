"""Moments of the scores of isotropic filters, as docs/theory.md states them."""

import math

from scipy import special, stats


def isotropic_moments(criterion, dim, sigma=1.0, n=None):
    """Mean and variance of a score under f_j ~ N(0, sigma^2 I_d); those of Fermat to first order.

    Huang et al. (2021), table 2; Kibble (1941) for E |x||y| of correlated normal vectors.
    """
    m, variance = (float(x) for x in stats.chi.stats(dim, moments="mv"))
    if criterion == "l1":
        return math.sqrt(2 / math.pi) * sigma * dim, (1 - 2 / math.pi) * sigma**2 * dim
    if criterion == "l2":
        return sigma * m, sigma**2 * variance
    if criterion == "gm":
        shared = m * m * (float(special.hyp2f1(-0.5, -0.5, dim / 2, 0.25)) - 1)
        mean = (n - 1) * math.sqrt(2) * sigma * m
        return mean, 2 * sigma**2 * (n - 1) * (variance + (n - 2) * shared)
    pull = 1 + 2 / n / (1 - 2 / n) ** 2
    return sigma * math.sqrt(1 - 1 / n) * m, sigma**2 * (1 - 1 / n) * variance * pull
