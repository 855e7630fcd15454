"""Traces of the covariance and of its square, without bias and without the mean.

All estimates here are U-statistics of degree 4, over quadruples of distinct filters, of the
squared distances |f_i - f_j|^2: whatever the mean of the filters is, it does not enter. Expanded,
they consist of a few numbers of each filter, so that they and their values without each filter in
turn take no loop over pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from cwda.brief import brief
from cwda.numerics.pairs.sums import Array

__all__ = ["Estimate", "GramMoments"]

_Number = TypeVar("_Number", Array, np.float64)


@dataclass(frozen=True)
class Estimate:
    """An estimate and its values without each filter in turn, exactly.

    Examples
    --------
    >>> import numpy as np
    >>> one = Estimate(3.0, np.array([2.0, 4.0]))
    >>> (one - one.times(0.5)).without.tolist()
    [1.0, 2.0]
    """

    value: float
    without: Array

    __repr__ = brief

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.value - other.value, self.without - other.without)

    def times(self, factor: float) -> Estimate:
        """The same, multiplied by a number."""
        return Estimate(self.value * factor, self.without * factor)


@dataclass(frozen=True)
class GramMoments:
    """What each filter adds to sums over the Gram matrices of blocks, after centring.

    With B_b the Gram matrix of block b of the filters about their sample mean, v_b its diagonal,
    and sums over blocks: one block is the filter as a whole, an input channel, or a position.

    Attributes
    ----------
    squares : ndarray
        sum_b (B_b^2)_ii, float64, shape (n,).
    energy_squares : ndarray
        sum_b v_bi^2.
    energy_totals : ndarray
        sum_b v_bi sum_j v_bj.
    thirds : ndarray
        sum_b (B_b v_b)_i.
    """

    squares: Array
    energy_squares: Array
    energy_totals: Array
    thirds: Array

    __repr__ = brief

    @property
    def squared_trace(self) -> Estimate:
        """sum_b tr(Sigma_b)^2, with n >= 5 filters.

        The mean of |f_i - f_j|^2 |f_k - f_l|^2 / 4 over distinct i, j, k, l is

            ((n^2 - 3 n + 1) T^2 - n (n - 1) sum v^2 + 2 sum B^2) / (n (n - 1) (n - 2) (n - 3)),

        T = sum v. It is never negative.
        """
        return self._combined(lambda n: (2, n * n - 3 * n + 1))

    @property
    def trace_of_square(self) -> Estimate:
        """sum_b tr(Sigma_b^2), with n >= 5 filters.

        The same as the U-statistic of the squared, U-centred Gram matrices,

            ((n - 1) (n - 2) sum B^2 + T^2 - n (n - 1) sum v^2) / (n (n - 1) (n - 2) (n - 3)).
        """
        return self._combined(lambda n: ((n - 1) * (n - 2), 1))

    def _combined(self, weights: Callable[[int], tuple[int, int]]) -> Estimate:
        n = len(self.squares)
        parts = self.squares, self.energy_totals, self.energy_squares
        value = _combine(n, weights(n), *(part.sum() for part in parts))
        return Estimate(float(value), _combine(n - 1, weights(n - 1), *self._without()))

    def _without(self) -> tuple[Array, Array, Array]:
        """Sums of B^2, of T^2 and of v^2 over the others, about their own mean, without each.

        That mean moves by -z_i / m, m = n - 1, so that z_j becomes z_j + z_i / m.
        """
        m = len(self.squares) - 1
        r, tv, v2, bv = self.squares, self.energy_totals, self.energy_squares, self.thirds
        squares = r.sum() - 2 * r + v2 - 2 / m * (r - v2) + v2 / m**2
        totals = tv.sum() - 2 * (m + 1) / m * tv + ((m + 1) / m) ** 2 * v2
        own = v2.sum() - v2 + v2 / m**3 - 4 / m**3 * v2
        energies = own + 4 / m**2 * (r - v2) + 4 / m * (bv - v2) + 2 / m**2 * (tv - v2)
        return squares, totals, energies

    def with_centred_squares(self, rows: Array) -> GramMoments:
        """The same with `squares` from the row sums of sum_b B~_b^2, B~_b U-centred.

        Parameters
        ----------
        rows : ndarray
            sum_{j != i} sum_b B~_b,ij^2.
        """
        return replace(self, squares=rows - self._centring())

    def centred_squares(self) -> Array:
        """Row sums of the squared, U-centred Gram matrices, sum_{j != i} sum_b B~_b,ij^2."""
        return self.squares + self._centring()

    def _centring(self) -> Array:
        """What B~_b,ij = B_b,ij + c (v_bi + v_bj) - s_b adds to the sum over j != i of squares."""
        n = len(self.energy_squares)
        c, (tv, v2, bv) = 1 / (n - 2), (self.energy_totals, self.energy_squares, self.thirds)
        product = 2 * c * (bv - 2 * v2 + tv / (n - 1))
        own = c**2 * ((n - 4) * v2 + v2.sum() + 2 * tv)
        shift = c**2 / (n - 1) * (2 * (n - 2) * tv + tv.sum())
        out: Array = product + own - shift - v2
        return out


def _combine(
    n: int, weights: tuple[int, int], squares: _Number, totals: _Number, energies: _Number
) -> _Number:
    of_squares, of_totals = weights
    pairs = n * (n - 1)
    found = of_squares * squares + of_totals * totals - pairs * energies
    return found / (pairs * (n - 2) * (n - 3))
