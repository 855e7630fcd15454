"""Criteria handed to Torch-Pruning, and its importances taken as criteria."""

from cwda.torch_pruning.importances import importance
from cwda.torch_pruning.score import as_score

__all__ = ["as_score", "importance"]
