"""What CWDA predicts: moments of the importance scores."""

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
    "NormMoments",
    "ScoreMoments",
    "expected_spearman",
    "isotropic_moments",
    "norm_moments",
    "ratio_variance",
]
