"""Laws of simulated layers: what is drawn, and what is true of it."""

from cwda.calibration.laws.covariances import (
    ChannelFactor,
    ChannelGroup,
    ChannelPairs,
    FirstLayer,
    SmoothKernels,
)
from cwda.calibration.laws.factors import Design
from cwda.calibration.laws.law import SimulatedLaw, calibration_of
from cwda.calibration.laws.marginals import Gamma, Laplace, Quantised, Sparse, Uniform
from cwda.calibration.laws.means import UnevenMean
from cwda.calibration.laws.populations import Clusters, Copies, Orthogonal, TwoPopulations
from cwda.calibration.laws.scales import DeadFilters, SmallFilters, TwoScales
from cwda.calibration.laws.size import Size
from cwda.calibration.laws.tuned import Departure, Tuned

__all__ = [
    "ChannelFactor",
    "ChannelGroup",
    "ChannelPairs",
    "Clusters",
    "Copies",
    "DeadFilters",
    "Departure",
    "Design",
    "FirstLayer",
    "Gamma",
    "Laplace",
    "Orthogonal",
    "Quantised",
    "SimulatedLaw",
    "Size",
    "SmallFilters",
    "SmoothKernels",
    "Sparse",
    "Tuned",
    "TwoPopulations",
    "TwoScales",
    "UnevenMean",
    "Uniform",
    "calibration_of",
]
