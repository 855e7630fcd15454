"""What the calibration study must know of a condition to measure how often its test errs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cwda.brief import brief
from cwda.errors import CwdaError

__all__ = ["Calibration", "Law", "LayerSize"]


class LayerSize(Protocol):
    """Size of a simulated layer: n = N' filters of N channels with k^2 positions."""

    @property
    def n_filters(self) -> int:
        """N'."""

    @property
    def channels(self) -> int:
        """N."""

    @property
    def kernel_size(self) -> int:
        """k^2."""

    @property
    def dim(self) -> int:
        """d = N k^2."""


class Law(Protocol):
    """The law that simulated filters are drawn from; see `cwda.calibration.Design`."""

    @property
    def parameters(self) -> Mapping[str, float]:
        """How far it departs from i.i.d. normal weights, by the name of the departure."""

    @property
    def second_moment(self) -> float:
        """Mean square of the weights over their variance."""

    def distance(self, size: LayerSize) -> float:
        """Kolmogorov-Smirnov distance of the standardised weights from the normal law."""


@dataclass(frozen=True)
class Calibration:
    """What a condition says of the study that measures its errors.

    Attributes
    ----------
    truth : callable
        From a law and a size to the true effect; NaN where there is no closed form.
    null : callable
        Whether the null hypothesis is true; by default, whether the true effect is 0.
    draw : callable
        From a generator, a size and an effect to filters, n x N x k^2, that depart from i.i.d.
        normal weights in this condition only, by that effect.
    parameter : str
        In place of `draw`: the parameter of `cwda.calibration.Design` that is that effect.
    fewest_weights : int
        With fewer weights in a filter `draw` does not have the effect asked for.
    undisturbed : mapping
        The parameters of the law that depart from everything, changed so that this condition is
        met; empty where that law meets it.
    excluded : tuple of str
        Departures under which the test does not claim its error.
    interval_excluded : tuple of str
        Departures under which the interval does not.
    interval_fewest_channels : int
        With fewer input channels the interval does not either.

    Raises
    ------
    CwdaError
        Unless it has either `draw` or `parameter`: without an alternative the power of the test
        could not be measured.
    """

    truth: Callable[[Law, LayerSize], float]
    null: Callable[[Law, LayerSize], bool] | None = None
    draw: Callable[[np.random.Generator, LayerSize, float], npt.NDArray[np.float64]] | None = None
    parameter: str = ""
    fewest_weights: int = 1
    undisturbed: Mapping[str, float] = field(default_factory=dict)
    excluded: tuple[str, ...] = ()
    interval_excluded: tuple[str, ...] = ()
    interval_fewest_channels: int = 1

    __repr__ = brief

    def __post_init__(self) -> None:
        if (self.draw is None) is not bool(self.parameter):
            raise CwdaError(
                "a calibration has alternatives to the null hypothesis: give either draw or the "
                "parameter of a Design"
            )

    def is_null(self, law: Law, size: LayerSize) -> bool:
        """Whether the null hypothesis is true."""
        return self.null(law, size) if self.null else self.truth(law, size) == 0
