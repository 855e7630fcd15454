"""The statistical report: one document, set in type as PDF or HTML."""

from cwda.reporting.build import report

__all__ = ["report"]
