"""The bench of the laboratory: a grid of cells, measured one by one, kept as they are done.

`cwda.experiment`, `cwda.calibration` and `cwda.study` say what their cells are and how one is
measured. This room skips what is done, says how far it is, and survives a kill at any byte.
"""

from cwda.grid.cell import Cell
from cwda.grid.loop import run
from cwda.grid.store import Store

__all__ = ["Cell", "Store", "run"]
