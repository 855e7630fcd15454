"""Plans of pruning: which filters go, masked, removed and written."""

from cwda.pruning.export import export
from cwda.pruning.masks import Masks, masked
from cwda.pruning.plan import Plan, overlap
from cwda.pruning.planning import make_plan
from cwda.pruning.removal import Removal, remove
from cwda.pruning.selection import pruned_indices, select

__all__ = [
    "Masks",
    "Plan",
    "Removal",
    "export",
    "make_plan",
    "masked",
    "overlap",
    "pruned_indices",
    "remove",
    "select",
]
