"""What is measured: importance scores, their similarity, and the filters they select."""

from cwda.pruning.collect import collect
from cwda.pruning.data_based import (
    DATA_BASED,
    PAPER,
    apoz,
    bn_beta,
    bn_gamma,
    entropy,
    hrank,
    mean_activation,
    obd,
    snip,
    taylor_image_l1,
    taylor_image_l2,
    taylor_l1,
    taylor_l2,
)
from cwda.pruning.dispersion import dispersion
from cwda.pruning.filters import Filters
from cwda.pruning.norms import NORM_BASED, fermat, gm, l1, l2, random
from cwda.pruning.registry import Criterion, criteria, criterion, get_criterion
from cwda.pruning.scoring import scores
from cwda.pruning.selection import Selection, overlap, pruned_indices, select
from cwda.pruning.similarity import SimilarityResult, similarity
from cwda.pruning.statistics import NEEDS, Collected

__all__ = [
    "DATA_BASED",
    "NEEDS",
    "NORM_BASED",
    "PAPER",
    "Collected",
    "Criterion",
    "Filters",
    "Selection",
    "SimilarityResult",
    "apoz",
    "bn_beta",
    "bn_gamma",
    "collect",
    "criteria",
    "criterion",
    "dispersion",
    "entropy",
    "fermat",
    "get_criterion",
    "gm",
    "hrank",
    "l1",
    "l2",
    "mean_activation",
    "obd",
    "overlap",
    "pruned_indices",
    "random",
    "scores",
    "select",
    "similarity",
    "snip",
    "taylor_image_l1",
    "taylor_image_l2",
    "taylor_l1",
    "taylor_l2",
]
