"""How far a selection depends on the draw of the images: what halves of them would select."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from cwda.scoring.error_bars.estimate import another_draw
from cwda.scoring.error_bars.measure import MOST_CHANGED

__all__ = ["Redraws", "share_changed", "warn_of_change"]

#: From scores by layer to the filters that they prune, by layer.
Select = Callable[[Mapping[str, Tensor]], Mapping[str, tuple[int, ...]]]


@dataclass(frozen=True, eq=False)
class Redraws:
    """The scores of one criterion on halves of the images, by layer.

    Attributes
    ----------
    pairs : list of pairs of dict of str to Tensor
        The two halves of several splits.
    factor : float
        How many times as many images as a half there are.
    images : int
        How many there are.
    """

    pairs: list[tuple[dict[str, Tensor], dict[str, Tensor]]]
    factor: float
    images: int


def share_changed(redraws: Redraws | None, select: Select, ratio: float) -> float | None:
    """The share of the selected filters that another draw of as many images would spare.

    Parameters
    ----------
    redraws : Redraws or None
        None for scores that need no images.
    select : callable
        From scores by layer to the selection.
    ratio : float
        The share of the filters that is selected.

    Returns
    -------
    float or None
        None where no images are needed, there are no halves, or no filter is selected.
    """
    if redraws is None:
        return None
    shares = [_differ(select(first), select(second)) for first, second in redraws.pairs]
    if not shares or not 0 < ratio < 1:
        return None
    return another_draw(sum(shares) / len(shares), ratio, redraws.factor)[0]


def _differ(first: Mapping[str, Iterable[int]], second: Mapping[str, Iterable[int]]) -> float:
    one, two = ({(layer, i) for layer in found for i in found[layer]} for found in (first, second))
    sizes = len(one) + len(two)
    return 1 - 2 * len(one & two) / sizes if sizes else 0.0


def warn_of_change(criterion: str, changed: float | None, images: int) -> None:
    """Warn that another draw of the images would prune other filters."""
    if changed is not None and changed > MOST_CHANGED:
        warnings.warn(
            f"{criterion} on {images:,} images: another draw of as many would spare "
            f"{changed:.0%} of the filters that are pruned; give more images (cwda.reliability "
            "says how many)",
            RuntimeWarning,
            stacklevel=3,
        )
