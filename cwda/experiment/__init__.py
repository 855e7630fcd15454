"""One-shot pruning: plan, prune, fine-tune, and the accuracy that each criterion leaves."""

from cwda.experiment.finetune import FineTuning
from cwda.experiment.result import ExperimentResult
from cwda.experiment.run import run_experiment

__all__ = ["ExperimentResult", "FineTuning", "run_experiment"]
