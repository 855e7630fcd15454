"""The statistical report: one document, set in type as PDF or HTML."""

from cwda.report.report import report

__all__ = ["report"]
