"""Importance scores of filters, and how alike the criteria rank them."""

from cwda.scoring.data_based import (
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
from cwda.scoring.dispersion import dispersion
from cwda.scoring.filters import Filters
from cwda.scoring.norms import NORM_BASED, fermat, gm, gm_cityblock, l1, l2, random
from cwda.scoring.registry import Criterion, criteria, criterion, get_criterion
from cwda.scoring.scores import scores
from cwda.scoring.similarity import SimilarityResult, similarity
from cwda.scoring.statistics import NEEDS, Collected, collect

__all__ = [
    "DATA_BASED",
    "NEEDS",
    "NORM_BASED",
    "PAPER",
    "Collected",
    "Criterion",
    "Filters",
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
    "gm_cityblock",
    "hrank",
    "l1",
    "l2",
    "mean_activation",
    "obd",
    "random",
    "scores",
    "similarity",
    "snip",
    "taylor_image_l1",
    "taylor_image_l2",
    "taylor_l1",
    "taylor_l2",
]
