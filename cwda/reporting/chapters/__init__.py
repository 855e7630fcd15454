"""One module a chapter: from subjects to blocks."""
