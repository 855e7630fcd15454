"""Predicted compared with measured: theory meets pruning here and nowhere else."""

from cwda.comparison.applicability import Applicability, applicability
from cwda.comparison.geometry import GeometryResult, geometry
from cwda.comparison.global_pruning import global_pruning
from cwda.comparison.global_result import GlobalPruning
from cwda.comparison.results import Comparison
from cwda.comparison.similarity import compare

__all__ = [
    "Applicability",
    "Comparison",
    "GeometryResult",
    "GlobalPruning",
    "applicability",
    "compare",
    "geometry",
    "global_pruning",
]
