"""Predicted beside measured: theory meets pruning here and nowhere else."""

from cwda.comparison.geometry import GeometryResult, geometry
from cwda.comparison.results import Comparison
from cwda.comparison.similarity import compare

__all__ = ["Comparison", "GeometryResult", "compare", "geometry"]
