"""A part of the laboratory: when does the assumption hold?

Networks are trained along one factor at a time and tested before, during and after training.
"""

from cwda.study.arms import BASE, FACTORS, Arm, Run, plan
from cwda.study.effects import FactorEffect, FactorEffects, factor_effects
from cwda.study.result import RunState, Standing, StudyResult
from cwda.study.run import BASE_RECIPE, run_study

__all__ = [
    "BASE",
    "BASE_RECIPE",
    "FACTORS",
    "Arm",
    "FactorEffect",
    "FactorEffects",
    "Run",
    "RunState",
    "Standing",
    "StudyResult",
    "factor_effects",
    "plan",
    "run_study",
]
