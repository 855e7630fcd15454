"""Filters that are not independent draws of one normal law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from cwda.calibration.laws.distance import mixture_distance
from cwda.calibration.laws.law import SimulatedLaw
from cwda.calibration.laws.moments import Moments
from cwda.calibration.laws.size import Size
from cwda.conditions.calibration import LayerSize

__all__ = ["Clusters", "Copies", "Orthogonal", "TwoPopulations"]

Array = npt.NDArray[np.float64]


class _Dependent(SimulatedLaw):
    """The moments of one filter do not say how several vary."""

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"dependent filters"})

    def moments(self, size: LayerSize) -> Moments | None:
        """None: filters depend on one another."""
        return None

    @property
    def log_scale_sd(self) -> float:
        """None: the scales are not independent draws."""
        return math.nan

    def truth(self, condition: str, size: LayerSize) -> float:
        """None: every effect is one of independent filters."""
        return math.nan

    def is_null(self, condition: str, size: LayerSize) -> bool:
        """No: every null hypothesis is about independent filters."""
        return False


@dataclass(frozen=True)
class Orthogonal(_Dependent):
    """Filters are orthogonal and of one norm, as in an orthogonal initialisation."""

    name: str = "orthogonal"

    @property
    def words(self) -> str:
        """What the filters are like."""
        return "orthogonal filters of one norm"

    def fits(self, size: LayerSize) -> bool:
        """There are at most d orthogonal filters."""
        return size.n_filters <= size.dim

    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""
        q, r = np.linalg.qr(rng.standard_normal((size.dim, size.n_filters)))
        rows = (q * np.sign(np.diagonal(r))).T * math.sqrt(size.dim)
        return np.ascontiguousarray(rows).reshape(-1, size.channels, size.kernel_size)


@dataclass(frozen=True)
class Copies(_Dependent):
    """A share of the filters comes in pairs f and `sign` f, but for noise of 2 %."""

    name: str
    sign: Literal[1, -1] = 1
    share: float = 0.5

    @property
    def words(self) -> str:
        """What the filters are like."""
        kind = "f and f" if self.sign > 0 else "f and -f"
        return f"{100 * self.share:g} % of the filters in pairs {kind}, but for noise of 2 %"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"dependent filters", "copies"})

    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""
        filters: Array = rng.standard_normal((size.n_filters, size.channels, size.kernel_size))
        end = 2 * max(1, round(self.share * size.n_filters / 2))
        noise = rng.standard_normal(filters[1:end:2].shape)
        filters[1:end:2] = self.sign * filters[0:end:2] + 0.02 * noise
        return filters


@dataclass(frozen=True)
class Clusters(_Dependent):
    """Filters scatter around centres, `members` around each, which hold half of the variance."""

    name: str = "clusters"
    members: int = 4

    @property
    def words(self) -> str:
        """What the filters are like."""
        return f"clusters of {self.members} filters, whose centres hold half of the variance"

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"dependent filters", "clusters"})

    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""
        shape = (size.channels, size.kernel_size)
        centres = rng.standard_normal((-(-size.n_filters // self.members), *shape))
        noise = rng.standard_normal((size.n_filters, *shape))
        around = np.repeat(centres, self.members, axis=0)[: size.n_filters]
        return np.asarray((around + noise) / math.sqrt(2))


@dataclass(frozen=True)
class TwoPopulations(SimulatedLaw):
    """Half of the filters is strong in one half of the channels, the others in the other half.

    Variances are `strong` in the one half of the channels and 2 - `strong` in the other, so
    that Sigma is that of equal, independent weights.
    """

    name: str
    halves: Literal["even", "first", "random"]
    strong: float = 1.6

    @property
    def words(self) -> str:
        """What the filters are like."""
        which = {
            "even": "the even or in the odd channels",
            "first": "the first or in the second half of the channels",
            "random": "one or in the other random half of the channels",
        }[self.halves]
        return f"two populations, strong in {which}; variances {self.strong:g} and " + (
            f"{2 - self.strong:g}"
        )

    @property
    def departures(self) -> frozenset[str]:
        """Names of its departures."""
        return frozenset({"gaussianity", "two populations"})

    @property
    def normal(self) -> bool:
        """No: each position is a mixture of two normal laws."""
        return False

    @property
    def log_scale_sd(self) -> float:
        """None: the halves have scales that oppose each other."""
        return math.nan

    def fits(self, size: LayerSize) -> bool:
        """Channels come in two halves of one size."""
        return size.channels > 1 and size.channels % 2 == 0

    def distance(self, size: LayerSize) -> float:
        """KS distance of the mixture from the normal law."""
        scales = np.sqrt([self.strong, 2 - self.strong])
        return mixture_distance(np.zeros(2), scales, np.full(2, 0.5))

    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""
        channels = np.arange(size.channels)
        if self.halves == "random":
            # The same halves in all layers: they are a part of the law.
            channels = np.random.default_rng(size.channels).permutation(channels)
        inside = channels % 2 == 0 if self.halves == "even" else channels < size.channels // 2
        mine = rng.random(size.n_filters) < 0.5
        strong = mine[:, None] == inside
        scale = np.sqrt(np.where(strong, self.strong, 2 - self.strong))
        noise = rng.standard_normal((size.n_filters, size.channels, size.kernel_size))
        return np.asarray(scale[:, :, None] * noise)
