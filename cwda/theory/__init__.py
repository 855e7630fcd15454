"""What CWDA predicts: moments of the importance scores, and a layer's fitted model."""

from cwda.theory.model import FittedLayer, fit_layer
from cwda.theory.moments import (
    CRITERIA,
    NormMoments,
    ScoreMoments,
    expected_spearman,
    isotropic_moments,
    norm_moments,
    ratio_variance,
)

__all__ = [
    "CRITERIA",
    "FittedLayer",
    "NormMoments",
    "ScoreMoments",
    "expected_spearman",
    "fit_layer",
    "isotropic_moments",
    "norm_moments",
    "ratio_variance",
]
