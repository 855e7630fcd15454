"""The papers that can be reproduced, one folder or file each."""

from __future__ import annotations

from cwda.reproduction.huang2021 import HUANG2021
from cwda.reproduction.paper import Paper

__all__ = ["PAPERS"]

#: By the name that the command line takes.
PAPERS: dict[str, Paper] = {paper.name: paper for paper in (HUANG2021,)}
