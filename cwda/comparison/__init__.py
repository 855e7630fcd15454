"""Predicted beside measured: theory meets pruning here and nowhere else."""

from cwda.comparison.applicability import Applicability, applicability
from cwda.comparison.global_pruning import GlobalPruning, global_pruning

__all__ = ["Applicability", "GlobalPruning", "applicability", "global_pruning"]
