"""Predicted beside measured: theory meets pruning here and nowhere else."""

from cwda.comparison.applicability import Applicability, applicability
from cwda.comparison.global_pruning import global_pruning
from cwda.comparison.global_result import GlobalPruning

__all__ = ["Applicability", "GlobalPruning", "applicability", "global_pruning"]
