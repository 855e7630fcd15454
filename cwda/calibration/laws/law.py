"""`SimulatedLaw`: what every law of simulated filters says of itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from cwda.brief import brief
from cwda.calibration.laws.distance import mixture_distance
from cwda.calibration.laws.moments import Moments
from cwda.calibration.laws.size import Size
from cwda.conditions import CONDITIONS, Calibration
from cwda.conditions.calibration import Law, LayerSize
from cwda.errors import CwdaError
from cwda.layers import ConvLayer

__all__ = ["Population", "SimulatedLaw", "calibration_of"]

Array = npt.NDArray[np.float64]


def calibration_of(condition: str) -> Calibration:
    """What a condition of the register says of its calibration.

    Raises
    ------
    CwdaError
        If it says nothing.
    """
    calibration = CONDITIONS[condition].calibration
    if calibration is None:
        raise CwdaError(f"condition {condition!r} does not say how it is calibrated")
    return calibration


class SimulatedLaw(ABC):
    """A law of layers, which draws them and knows what is true of them.

    A law has a `name`, draws `filters`, and says in `words` what they are like. It names its
    `departures` from i.i.d. normal weights, which the domain of a claim may exclude, and gives
    the `moments` of a filter where it knows them: effects of the second order follow from those.
    """

    name: str

    @property
    @abstractmethod
    def words(self) -> str:
        """What the filters are like, for the table of designs."""

    @property
    @abstractmethod
    def departures(self) -> frozenset[str]:
        """Names of the ways in which it departs from i.i.d. normal weights."""

    @abstractmethod
    def filters(self, size: Size, rng: np.random.Generator) -> Array:
        """One layer, n x N x k^2, float64."""

    def fits(self, size: LayerSize) -> bool:
        """Whether layers of this size can follow it."""
        return True

    def moments(self, size: LayerSize) -> Moments | None:
        """Mean and covariance of a filter; None where they do not say all (filters depend)."""
        return Moments(np.zeros(size.dim), np.eye(size.dim), size.kernel_size)

    @property
    def normal(self) -> bool:
        """Whether the filters' weights at every position are normal."""
        return True

    @property
    def normal_within(self) -> bool:
        """Whether each filter's weights are normal, whatever its scale is."""
        return self.normal

    @property
    def log_scale_sd(self) -> float:
        """Standard deviation of the filters' log scale; NaN where it is not defined."""
        return 0.0

    def distance(self, size: LayerSize) -> float:
        """KS distance of the standardised, pooled weights from the normal law; NaN if unknown."""
        moments = self.moments(size)
        if not self.normal or moments is None:
            return math.nan
        each = np.column_stack([moments.means, np.sqrt(moments.variances)]).round(12)
        different, counts = np.unique(each, axis=0, return_counts=True)
        means, scales = different.T
        return mixture_distance(means, scales, counts / counts.sum())

    def draw(self, size: Size, rng: np.random.Generator) -> ConvLayer:
        """One layer of this law, n x N x k^2, float64.

        Raises
        ------
        CwdaError
            If a layer of this size cannot follow it.
        """
        if not self.fits(size):
            raise CwdaError(f"design {self.name!r}: a layer {size} cannot depart so far")
        return ConvLayer("simulated", torch.from_numpy(self.filters(size, rng)))

    def truth(self, condition: str, size: LayerSize) -> float:
        """True effect of a condition; NaN where there is no closed form."""
        return calibration_of(condition).truth(self._population(size), size)

    def is_null(self, condition: str, size: LayerSize) -> bool:
        """Whether the null hypothesis of a condition is true."""
        return bool(calibration_of(condition).is_null(self._population(size), size))

    def weight_mean(self, size: LayerSize) -> float:
        """Mean of all weights over the root of their mean variance; NaN if unknown."""
        moments = self.moments(size)
        if moments is None:
            return math.nan
        return float(moments.means.mean() / math.sqrt(moments.variances.mean()))

    def _population(self, size: LayerSize) -> Law:
        # Whatever the number of filters that are drawn from it.
        return _population(self, Size(1, size.channels, size.kernel_size))


@dataclass(frozen=True)
class Population:
    """A law at one size, with the effects that follow from its moments.

    Attributes
    ----------
    law : SimulatedLaw
        Whose population it is.
    parameters : mapping of str to float
        Effects by name; NaN where there is no closed form. "gaussianity" is 0 where the weights
        of a filter are normal, of whatever scale.
    second_moment : float
        Mean square of the weights over their variance.
    """

    law: SimulatedLaw
    parameters: Mapping[str, float]
    second_moment: float

    __repr__ = brief

    def distance(self, size: LayerSize) -> float:
        """Kolmogorov-Smirnov distance of the standardised weights from the normal law."""
        return self.law.distance(size)


@lru_cache(maxsize=512)
def _population(law: SimulatedLaw, size: Size) -> Population:
    moments = law.moments(size)
    unknown = dict.fromkeys(("mean", "variance", "epsilon", "independence"), math.nan)
    parameters = {
        **(moments.effects if moments else unknown),
        "homogeneity": law.log_scale_sd,
        "gaussianity": 0.0 if law.normal_within else law.distance(size),
        "heavy": float("heavy" in law.departures),
    }
    return Population(law, parameters, moments.second_moment if moments else math.nan)
