"""The chapters of the report, one in each file."""

from cwda.reporting.chapter import Chapter, ChapterSeries
from cwda.reporting.chapters.advice import advice
from cwda.reporting.chapters.appendix import appendix
from cwda.reporting.chapters.applicability import applicability
from cwda.reporting.chapters.assumption import assumption
from cwda.reporting.chapters.conditions.condition import conditions
from cwda.reporting.chapters.conditions.covariance import covariance
from cwda.reporting.chapters.conditions.reference import reference
from cwda.reporting.chapters.conditions.textbook import textbook
from cwda.reporting.chapters.conditions.whole import whole
from cwda.reporting.chapters.detail import detail
from cwda.reporting.chapters.experiment import experiment
from cwda.reporting.chapters.global_pruning import global_pruning
from cwda.reporting.chapters.several.networks import side_by_side
from cwda.reporting.chapters.several.trajectory import trajectory
from cwda.reporting.chapters.similarity import similarity
from cwda.reporting.chapters.summary import summary
from cwda.reporting.chapters.surveyed.other_networks import other_networks

__all__ = ["CHAPTERS"]

#: The chapters of a report, in their order; each knows whether a report has it.
CHAPTERS: tuple[Chapter | ChapterSeries, ...] = (
    trajectory,
    side_by_side,
    summary,
    assumption,
    whole,
    conditions,
    reference,
    other_networks,
    covariance,
    similarity,
    applicability,
    global_pruning,
    advice,
    experiment,
    detail,
    textbook,
    appendix,
)
