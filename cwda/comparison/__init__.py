"""Predicted compared with measured: theory meets pruning here and nowhere else."""

from cwda.comparison.applicability import Applicability, LayerApplicability, applicability
from cwda.comparison.geometry import GeometryQuantity, GeometryResult, GeometryStatement, geometry
from cwda.comparison.global_pruning import global_pruning
from cwda.comparison.global_result import CriteriaOverlap, GlobalPruning, LayerShare
from cwda.comparison.results import ComparedCorrelation, Comparison
from cwda.comparison.similarity import compare
from cwda.comparison.validation import (
    LayerTriangle,
    LayerValidity,
    Triangle,
    Validity,
    triangle,
    validity,
)

__all__ = [
    "Applicability",
    "ComparedCorrelation",
    "Comparison",
    "CriteriaOverlap",
    "GeometryQuantity",
    "GeometryResult",
    "GeometryStatement",
    "GlobalPruning",
    "LayerApplicability",
    "LayerShare",
    "LayerTriangle",
    "LayerValidity",
    "Triangle",
    "Validity",
    "applicability",
    "compare",
    "geometry",
    "global_pruning",
    "triangle",
    "validity",
]
