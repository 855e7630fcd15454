"""Importance scores of filters, and how alike the criteria rank them."""

from cwda.scoring.catalogue import DATA_BASED, NORM_BASED, PAPER
from cwda.scoring.dispersion import DispersionResult, DispersionRow, dispersion
from cwda.scoring.error_bars import ReliabilityResult, ReliabilityRow, reliability
from cwda.scoring.filters import Filters
from cwda.scoring.invariances import InvarianceResult, InvarianceRow, invariances
from cwda.scoring.registry import Criterion, Style, criteria, criterion, get_criterion
from cwda.scoring.scores import ScoreRow, ScoresResult, scores
from cwda.scoring.similarity import SimilarityResult, SimilarityRow, similarity
from cwda.scoring.statistics import NEEDS, Collected, Statistic, collect, register_statistic

__all__ = [
    "DATA_BASED",
    "NEEDS",
    "NORM_BASED",
    "PAPER",
    "Collected",
    "Criterion",
    "DispersionResult",
    "DispersionRow",
    "Filters",
    "InvarianceResult",
    "InvarianceRow",
    "ReliabilityResult",
    "ReliabilityRow",
    "ScoreRow",
    "ScoresResult",
    "SimilarityResult",
    "SimilarityRow",
    "Statistic",
    "Style",
    "collect",
    "criteria",
    "criterion",
    "dispersion",
    "get_criterion",
    "invariances",
    "register_statistic",
    "reliability",
    "scores",
    "similarity",
]
