"""What every analysis gives back: rows that are also a table, and can be saved."""

from cwda.answers.answer import Answer, aside, column, columns_of, rows_field, spread, table_of

__all__ = ["Answer", "aside", "column", "columns_of", "rows_field", "spread", "table_of"]
