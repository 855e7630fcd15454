"""How much of a selection depends on the images, and how many images would settle it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from cwda.scoring import Criterion, ReliabilityResult

__all__ = ["Images", "images_of"]


@dataclass(frozen=True)
class Images:
    """What is known of the criteria that look at images.

    Attributes
    ----------
    number : int
        Images that were seen.
    changed : mapping of (str, str) to float
        By layer and criterion, the share of the pruned filters that as many other images would
        exchange.
    overall, needed : mapping of str to float
        By criterion, that share of all pruned filters, and the number of images at which it falls
        to one in ten in the median layer.
    unknown : mapping of str to str
        Why that is not known of a criterion.
    """

    number: int
    changed: Mapping[tuple[str, str], float]
    overall: Mapping[str, float]
    needed: Mapping[str, float]
    unknown: Mapping[str, str]

    def of(self, criterion: Criterion) -> dict[str, float]:
        """What the table of clusters says of a stand-in."""
        default = math.nan if criterion.needs_images else 0.0
        return {
            "changed": self.overall.get(criterion.name, default),
            "images_needed": self.needed.get(criterion.name, default),
        }


def images_of(reliability: ReliabilityResult | None) -> Images:
    """The part of a `cwda.reliability` that advice rests on; None where no images are looked at."""
    if reliability is None:
        return Images(0, {}, {}, {}, {})
    known = {
        (row.layer, row.criterion): row.share_changed
        for row in reliability
        if math.isfinite(row.share_changed)
    }
    names = {criterion for _, criterion in known}
    summary = [row for row in reliability.summary().itertuples() if row.criterion in names]
    return Images(
        reliability.images,
        known,
        {row.criterion: float(row.share_changed) for row in summary},
        {row.criterion: float(row.images_for_share) for row in summary},
        {
            row.criterion: row.reason
            for row in reliability
            if row.criterion not in names and row.reason
        },
    )
