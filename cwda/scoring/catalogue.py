"""The criteria of the house: importing a module registers those that it defines."""

from __future__ import annotations

from cwda.scoring import data_based, norms  # noqa: F401
from cwda.scoring.registry import registered

__all__ = ["DATA_BASED", "NORM_BASED", "PAPER"]

_PAPER = [criterion for criterion in registered() if criterion.paper]

#: The ten criteria that the paper compares.
PAPER = tuple(criterion.name for criterion in _PAPER)

#: Those of them that need the weights alone.
NORM_BASED = tuple(criterion.name for criterion in _PAPER if not criterion.needs)

#: Those of them that need more.
DATA_BASED = tuple(criterion.name for criterion in _PAPER if criterion.needs)
