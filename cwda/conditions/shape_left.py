"""What of the distance from the normal law is left without the scales of filters and positions."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import special
from torch import Tensor

from cwda.numerics.normality.pooled_ks import PooledKS, pooled_ks

__all__ = ["shape_left"]

# Weights and filters looked at, evenly strided; a share then has a standard error of .004.
_MOST, _MOST_FILTERS = 1 << 14, 256
# Filters from which the effective dimension is estimated.
_FILTERS = 128
_FEWEST = 8
# Below it the correction was wrong in simulations: 16 filters of 9 weights have 4.7.
_SMALLEST_SPHERE = 6
_NORMAL_GRID = np.linspace(0, 6, 121)
_TAIL = special.erfc(_NORMAL_GRID * math.sqrt(0.5))
# Steps of the table of scores: evenly spaced, so that values need no search.
_STEPS = 4096


def shape_left(filters: Tensor, alpha: float = 0.05) -> PooledKS | None:
    """Distance of the weights from the normal law, without scales of filters and positions.

    Each filter is divided by its root mean square, then each position is standardised over
    filters. Under normality this shortens the tails: a coordinate of a point on a sphere in m
    dimensions has the excess kurtosis -6/(m + 2), which is -6/(d_eff + 2) after the first
    step and -6/(n + 1) (Thompson's law) after the second. So values are compared with the
    spherical law whose kurtosis is the sum of both. d_eff is one over the mean squared cosine
    between filters. Zero filters and constant positions are left out, and of large layers
    even strides of filters, at most 256, and of positions are taken, about 16,384 weights.

    None where fewer than 8 filters or positions remain, or m < 6, as in 8 or 16 filters of 9
    weights.

    Examples
    --------
    >>> normal = torch.randn(64, 144, generator=torch.Generator().manual_seed(0))
    >>> scaled = normal * torch.linspace(-2, 2, 64).exp()[:, None]
    >>> pooled_ks(scaled).low > 0.05 > shape_left(scaled).high
    True
    """
    filters = filters[:: -(-len(filters) // _MOST_FILTERS)]
    n, d = filters.shape
    wanted = min(d, max(_FEWEST, _MOST // n))
    step = d // wanted
    while math.gcd(step, d) > 1:  # a stride of k^2 would always meet one place of a kernel
        step += 1
    chosen = torch.arange(wanted, device=filters.device) * step % d
    z = filters[:, chosen].double()
    z /= z.abs().amax(1, keepdim=True).clamp(min=torch.finfo(z.dtype).tiny)
    size = torch.linalg.vector_norm(z, dim=1, keepdim=True)
    alive = torch.isfinite(size) & (size > 0)
    z = z[alive[:, 0]] / size[alive[:, 0]] * math.sqrt(wanted)
    if len(z) < _FEWEST:
        return None
    z -= z.mean(0)
    sd = torch.linalg.vector_norm(z, dim=0) / math.sqrt(len(z) - 1)
    z, sd = z[:, sd > 1e-8], sd[sd > 1e-8]
    if z.shape[1] < _FEWEST:
        return None
    m = 1 / (1 / (_dimension(z) + 2) + 1 / (len(z) + 1)) - 2
    if m < _SMALLEST_SPHERE:
        return None
    return pooled_ks(_normal_scores(z / sd, m), alpha=alpha)


def _dimension(z: Tensor) -> float:
    """d_eff of centred filters, from the squared cosines between some of them."""
    part = z[:: -(-len(z) // _FILTERS)]
    part = part / torch.linalg.vector_norm(part, dim=1, keepdim=True).clamp(min=1e-300)
    k = len(part)
    squares = (part @ part.T).square()
    mean = float(squares.sum() - squares.diagonal().sum()) / (k * (k - 1))
    # Cosines of centred filters have the mean -1/(n - 1).
    return 1 / max(mean - 1 / (len(z) - 1) ** 2, 1 / z.shape[1])


def _normal_scores(z: Tensor, m: float) -> Tensor:
    """Values of the spherical law in m dimensions, variance 1, as those of the normal law."""
    # P(z^2 > x) = tail, z^2 / m being a Beta(1/2, (m - 1)/2) variable.
    places = np.sqrt(m * (1 - special.betaincinv((m - 1) / 2, 0.5, _TAIL)))
    even = np.linspace(0, places[-1], _STEPS + 1)
    scores = torch.from_numpy(np.interp(even, places, _NORMAL_GRID)).to(z.device)
    place = z.abs().mul_(_STEPS / places[-1]).clamp_(max=_STEPS * (1 - 1e-12))
    left = place.long()
    found = torch.lerp(scores[left], scores[left + 1], place.sub_(left))
    return found.copysign_(z)
