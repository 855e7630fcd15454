"""A part of the laboratory: the accuracy that pruning by each criterion leaves.

One-shot pruning of one network: plan, prune, fine-tune, and measure, cell by cell.
"""

from cwda.experiment.finetune import FineTuning
from cwda.experiment.result import Accuracy, CriteriaPair, ExperimentResult
from cwda.experiment.run import run_experiment

__all__ = ["Accuracy", "CriteriaPair", "ExperimentResult", "FineTuning", "run_experiment"]
