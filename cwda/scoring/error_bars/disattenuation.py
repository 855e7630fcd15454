"""What noise takes from a correlation: Spearman and Brown's formula, and disattenuation.

The reliability of scores is their correlation with scores of the same kind whose noise is fresh:
those of the other half of the images, or of another draw of as many.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

__all__ = ["disattenuated", "spearman_brown"]

Values = TypeVar("Values", float, npt.NDArray[np.float64], Tensor)


def disattenuated(correlation: Values, first: Values, second: Values) -> Values:
    """A correlation without the noise of either side, r / sqrt(r_1 r_2).

    Estimated on few items it can exceed 1, and is given so.

    Parameters
    ----------
    correlation : float, ndarray or Tensor
        r, of scores with noise of their own.
    first, second : float, ndarray or Tensor
        Their reliabilities; NaN comes out where either is not above 0.

    References
    ----------
    Spearman (1904), The proof and measurement of association between two things, American Journal
    of Psychology 15, 72-101.

    Examples
    --------
    >>> round(disattenuated(0.6, 0.9, 0.4), 6), round(disattenuated(0.5, 0.4, 0.4), 6)
    (1.0, 1.25)
    """
    product = first * second
    if isinstance(product, Tensor):
        return correlation / product.where((first > 0) & (second > 0), math.nan).sqrt()
    defined = np.where(np.greater(first, 0) & np.greater(second, 0), product, np.nan)
    ratio = correlation / np.sqrt(defined)
    return float(ratio) if isinstance(correlation, float) else ratio


def spearman_brown(reliability: float, factor: float) -> float:
    """The reliability with `factor` times as many images: f R / (1 + (f - 1) R).

    References
    ----------
    Spearman (1910) and Brown (1910), British Journal of Psychology 3, 271-295 and 296-322.

    Examples
    --------
    >>> spearman_brown(0.5, 2), spearman_brown(-0.2, 2)
    (0.6666666666666666, -0.5)
    """
    below = 1 + (factor - 1) * reliability
    return factor * reliability / below if below > 0 else -math.inf
