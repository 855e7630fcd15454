"""When does the assumption hold? Networks trained along one factor at a time, and tested."""

from cwda.study.arms import BASE, FACTORS, Arm, Run, plan
from cwda.study.run import BASE_RECIPE, StudyResult, measure_networks, run_study

__all__ = [
    "BASE",
    "BASE_RECIPE",
    "FACTORS",
    "Arm",
    "Run",
    "StudyResult",
    "measure_networks",
    "plan",
    "run_study",
]
