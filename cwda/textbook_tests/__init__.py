"""The tests of textbooks that readers expect, by the libraries that keep them."""

from cwda.textbook_tests.definition import TextbookTest
from cwda.textbook_tests.result import TextbookCount, TextbookResult, TextbookRow
from cwda.textbook_tests.run import textbook
from cwda.textbook_tests.tests import TESTS

__all__ = ["TESTS", "TextbookCount", "TextbookResult", "TextbookRow", "TextbookTest", "textbook"]
