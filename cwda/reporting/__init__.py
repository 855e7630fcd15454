"""The statistical report: one document, typeset as PDF or HTML."""

from cwda.reporting.blocks import (
    Box,
    Cell,
    Column,
    Equation,
    Heading,
    Items,
    Link,
    Name,
    Note,
    PageBreak,
    Paragraph,
    Picture,
    Strong,
    Table,
)
from cwda.reporting.build import report
from cwda.reporting.chapter import Chapter, ChapterSeries, Report
from cwda.reporting.chapters import CHAPTERS
from cwda.reporting.pictures import picture
from cwda.reporting.subject import Subject
from cwda.reporting.survey.build import survey_report

__all__ = [
    "CHAPTERS",
    "Box",
    "Cell",
    "Chapter",
    "ChapterSeries",
    "Column",
    "Equation",
    "Heading",
    "Items",
    "Link",
    "Name",
    "Note",
    "PageBreak",
    "Paragraph",
    "Picture",
    "Report",
    "Strong",
    "Subject",
    "Table",
    "picture",
    "report",
    "survey_report",
]
