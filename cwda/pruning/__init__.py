"""What is measured: importance scores, their similarity, and the filters they select."""

from cwda.pruning.collect import collect
from cwda.pruning.cost import Cost, Latency, count, latency
from cwda.pruning.coupling import Coupling, couple
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
from cwda.pruning.export import export
from cwda.pruning.filters import Filters
from cwda.pruning.masks import Masks, masked
from cwda.pruning.norms import NORM_BASED, fermat, gm, gm_cityblock, l1, l2, random
from cwda.pruning.plan import Plan, overlap
from cwda.pruning.planning import make_plan
from cwda.pruning.registry import Criterion, criteria, criterion, get_criterion
from cwda.pruning.removal import Removal, remove
from cwda.pruning.scoring import scores
from cwda.pruning.selection import pruned_indices, select
from cwda.pruning.similarity import SimilarityResult, similarity
from cwda.pruning.statistics import NEEDS, Collected

__all__ = [
    "DATA_BASED",
    "NEEDS",
    "NORM_BASED",
    "PAPER",
    "Collected",
    "Cost",
    "Coupling",
    "Criterion",
    "Filters",
    "Latency",
    "Masks",
    "Plan",
    "Removal",
    "SimilarityResult",
    "apoz",
    "bn_beta",
    "bn_gamma",
    "collect",
    "count",
    "couple",
    "criteria",
    "criterion",
    "dispersion",
    "entropy",
    "export",
    "fermat",
    "get_criterion",
    "gm",
    "gm_cityblock",
    "hrank",
    "l1",
    "l2",
    "latency",
    "make_plan",
    "masked",
    "mean_activation",
    "obd",
    "overlap",
    "pruned_indices",
    "random",
    "remove",
    "scores",
    "select",
    "similarity",
    "snip",
    "taylor_image_l1",
    "taylor_image_l2",
    "taylor_l1",
    "taylor_l2",
]
