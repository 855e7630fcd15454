"""The criteria of the package, in the order of tables."""

from __future__ import annotations

from cwda.scoring.data_based import OF_DATA
from cwda.scoring.norms import OF_WEIGHTS, random
from cwda.scoring.redundancy import OF_REDUNDANCY
from cwda.scoring.registry import arrange

__all__ = ["BUILT_IN", "DATA_BASED", "NORM_BASED", "PAPER", "RANDOM"]

#: The criteria of the package, in the order of tables.
BUILT_IN = (*OF_WEIGHTS, *OF_DATA, *OF_REDUNDANCY)
arrange(BUILT_IN)

_PAPER = [criterion for criterion in BUILT_IN if criterion.paper]

#: The ten criteria that the paper compares.
PAPER = tuple(criterion.name for criterion in _PAPER)

#: Those of them that need the weights alone.
NORM_BASED = tuple(criterion.name for criterion in _PAPER if not criterion.needs)

#: Those of them that need more.
DATA_BASED = tuple(criterion.name for criterion in _PAPER if criterion.needs)

#: The criterion that ranks nothing: the zero of all others, and never advised.
RANDOM = random.name
