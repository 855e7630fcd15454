"""What is measured: importance scores, their similarity, and the filters they select."""

from cwda.pruning.dispersion import dispersion
from cwda.pruning.filters import Filters
from cwda.pruning.norms import NORM_BASED, fermat, gm, l1, l2, random
from cwda.pruning.registry import Criterion, criteria, criterion, get_criterion
from cwda.pruning.scoring import scores
from cwda.pruning.selection import Selection, overlap, pruned_indices, select
from cwda.pruning.similarity import SimilarityResult, similarity

__all__ = [
    "NORM_BASED",
    "Criterion",
    "Filters",
    "Selection",
    "SimilarityResult",
    "criteria",
    "criterion",
    "dispersion",
    "fermat",
    "get_criterion",
    "gm",
    "l1",
    "l2",
    "overlap",
    "pruned_indices",
    "random",
    "scores",
    "select",
    "similarity",
]
