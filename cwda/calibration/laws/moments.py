"""Mean and covariance of a filter's law, and the effects that follow from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Moments"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """First two moments of a filter of N channels with k^2 positions.

    Attributes
    ----------
    means : array, d
        Mean filter mu, channel by channel.
    covariance : array, d x d
        Sigma.
    kernel_size : int
        k^2.
    """

    means: Array
    covariance: Array
    kernel_size: int

    @property
    def variances(self) -> Array:
        """a_p, the diagonal of Sigma."""
        return np.diagonal(self.covariance)

    @property
    def second_moment(self) -> float:
        """Mean square of the weights over their mean variance."""
        return 1 + float((self.means**2).mean() / self.variances.mean())

    @property
    def effects(self) -> dict[str, float]:
        """Mean, variance, epsilon and independence by their definitions.

        RMS mean over RMS weight; coefficient of variation of the variances; RMS covariance
        within and between the blocks over the mean variance.

        Examples
        --------
        >>> moments = Moments(np.zeros(2), np.array([[1, 0.5], [0.5, 1]]), 2)
        >>> moments.effects["epsilon"]
        0.5
        """
        dim, average = len(self.means), float(self.variances.mean())
        squares = self.covariance**2
        blocks = squares.reshape(dim // self.kernel_size, self.kernel_size, -1, self.kernel_size)
        inside = float(np.einsum("bpbq->", blocks))
        within = inside - float((self.variances**2).sum())
        between = float(squares.sum()) - inside
        pairs = dim * (self.kernel_size - 1), dim * (dim - self.kernel_size)
        # A sum of squares that is nothing but rounding is none.
        small = 1e-13 * float(squares.sum())
        epsilon, independence = (
            math.sqrt(total / count) / average if count and total > small else 0.0
            for total, count in zip((within, between), pairs, strict=True)
        )
        spread = float(self.variances.std()) / average
        shift = self.second_moment - 1
        return {
            "mean": math.sqrt(shift / (1 + shift)),
            "variance": spread if spread > 1e-12 else 0.0,
            "epsilon": epsilon,
            "independence": independence,
        }
