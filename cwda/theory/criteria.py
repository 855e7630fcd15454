"""The criteria that theory covers."""

from __future__ import annotations

__all__ = ["CRITERIA"]

#: Their names, in the order of tables and of the rows of matrices.
CRITERIA = ("l1", "l2", "gm", "fermat")
