"""What CWDA predicts: moments of the importance scores, and their rank correlations."""

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
from cwda.theory.prediction import RUNGS, PredictedCorrelation, PredictedSimilarity
from cwda.theory.similarity import predict_similarity
from cwda.theory.simulate import simulate_similarity

__all__ = [
    "CRITERIA",
    "RUNGS",
    "FittedLayer",
    "NormMoments",
    "PredictedCorrelation",
    "PredictedSimilarity",
    "ScoreMoments",
    "expected_spearman",
    "fit_layer",
    "isotropic_moments",
    "norm_moments",
    "predict_similarity",
    "ratio_variance",
    "simulate_similarity",
]
