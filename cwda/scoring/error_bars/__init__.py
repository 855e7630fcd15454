"""How far scores depend on the images, and correlations without that noise."""

from cwda.scoring.error_bars.measure import TARGET, reliability
from cwda.scoring.error_bars.result import ReliabilityResult, ReliabilityRow

__all__ = ["TARGET", "ReliabilityResult", "ReliabilityRow", "reliability"]
