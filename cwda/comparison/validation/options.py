"""What a validity is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cwda.arguments import require_between, require_count
from cwda.errors import SelectionError
from cwda.scoring.catalogue import RANDOM
from cwda.scoring.registry import Criterion
from cwda.typing import Device

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """What is asked, checked."""

    criteria: Sequence[Criterion]
    ratio: float
    level: float
    draws: int
    seed: int
    batch_size: int
    device: Device

    def __post_init__(self) -> None:
        require_between(self.ratio, 0, 1, "a pruning ratio", SelectionError)
        require_between(self.level, 0, 1, "the confidence level", SelectionError)
        require_count(self.draws, 100, "draws, the number of random rankings,")
        require_count(self.seed, 0, "seed")
        # They are always there, and not as one draw.
        kept = tuple(each for each in self.criteria if each.name != RANDOM)
        object.__setattr__(self, "criteria", kept)

    def generator(self, layer: str) -> np.random.Generator:
        """Random numbers of a layer, whatever other layers there are."""
        return np.random.default_rng([self.seed, *layer.encode()])
