"""A part of the laboratory: the results of papers, computed anew and put beside theirs."""

from cwda.reproduction.bench import Bench
from cwda.reproduction.finding import Finding
from cwda.reproduction.paper import Paper, Part, Section
from cwda.reproduction.papers import PAPERS
from cwda.reproduction.result import Reproduction
from cwda.reproduction.run import reproduce
from cwda.reproduction.schedule import SCHEDULES, Schedule, Step

__all__ = [
    "PAPERS",
    "SCHEDULES",
    "Bench",
    "Finding",
    "Paper",
    "Part",
    "Reproduction",
    "Schedule",
    "Section",
    "Step",
    "reproduce",
]
