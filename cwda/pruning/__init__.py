"""What is measured: importance scores, their similarity, and the filters they select."""

from cwda.pruning.cost import Cost, Latency, count, latency
from cwda.pruning.coupling import Coupling, couple
from cwda.pruning.export import export
from cwda.pruning.filters import Filters
from cwda.pruning.masks import Masks, masked
from cwda.pruning.norms import NORM_BASED, fermat, gm, l1, l2, random
from cwda.pruning.plan import Plan, overlap
from cwda.pruning.planning import make_plan
from cwda.pruning.registry import Criterion, criteria, criterion, get_criterion
from cwda.pruning.removal import Removal, remove
from cwda.pruning.scoring import scores
from cwda.pruning.selection import Selection, pruned_indices, select
from cwda.pruning.similarity import SimilarityResult, similarity

__all__ = [
    "NORM_BASED",
    "Cost",
    "Coupling",
    "Criterion",
    "Filters",
    "Latency",
    "Masks",
    "Plan",
    "Removal",
    "Selection",
    "SimilarityResult",
    "count",
    "couple",
    "criteria",
    "criterion",
    "export",
    "fermat",
    "get_criterion",
    "gm",
    "l1",
    "l2",
    "latency",
    "make_plan",
    "masked",
    "overlap",
    "pruned_indices",
    "random",
    "remove",
    "scores",
    "select",
    "similarity",
]
