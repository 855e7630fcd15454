"""What one pass over the data leaves of each layer: the material of data-based criteria."""

from cwda.scoring.statistics.collect import collect
from cwda.scoring.statistics.one_pass import NEEDS, Collected

__all__ = ["NEEDS", "Collected", "collect"]
