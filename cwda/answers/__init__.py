"""What every analysis gives back: rows that are also a table, and can be saved."""

from cwda.answers.answer import Answer, aside, column, columns_of, rows_field, spread, table_of
from cwda.answers.common import common

__all__ = ["Answer", "aside", "column", "columns_of", "common", "rows_field", "spread", "table_of"]
