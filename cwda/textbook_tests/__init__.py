"""The tests of textbooks that readers expect, by the libraries that keep them."""

from cwda.textbook_tests.definition import TextbookTest
from cwda.textbook_tests.result import TextbookCount, TextbookResult, TextbookRow
from cwda.textbook_tests.run import textbook
from cwda.textbook_tests.tests import TESTS
from cwda.textbook_tests.weights import MOST_SAMPLES

__all__ = [
    "MOST_SAMPLES",
    "TESTS",
    "TextbookCount",
    "TextbookResult",
    "TextbookRow",
    "TextbookTest",
    "textbook",
]
