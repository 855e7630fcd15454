"""What CWDA predicts: moments of the importance scores, and their rank correlations."""

from cwda.theory.applicability import predict_dispersion, swap_probability
from cwda.theory.global_pruning import predict_overlap, predict_shares
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
from cwda.theory.score_law import ScoreLaw, score_law
from cwda.theory.similarity import predict_similarity
from cwda.theory.simulate import simulate_similarity

__all__ = [
    "CRITERIA",
    "RUNGS",
    "FittedLayer",
    "NormMoments",
    "PredictedCorrelation",
    "PredictedSimilarity",
    "ScoreLaw",
    "ScoreMoments",
    "expected_spearman",
    "fit_layer",
    "isotropic_moments",
    "norm_moments",
    "predict_dispersion",
    "predict_overlap",
    "predict_shares",
    "predict_similarity",
    "ratio_variance",
    "score_law",
    "simulate_similarity",
    "swap_probability",
]
