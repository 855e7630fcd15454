"""What CWDA predicts: moments of the importance scores, and their rank correlations."""

from cwda.filters.norm_moments import NormMoments, norm_moments
from cwda.theory.closed_form import predict
from cwda.theory.criteria import CRITERIA
from cwda.theory.model import FittedLayer, fit_layer
from cwda.theory.moments import expected_spearman, spearman_with_dead
from cwda.theory.prediction import PredictedCorrelation, PredictedSimilarity
from cwda.theory.rungs import BLOCK, CROSS_FITTED, DIAGONAL, ISOTROPIC, LADDER, MEAN, SCALE, Rung
from cwda.theory.score_law import ScoreLaw, score_law
from cwda.theory.shares import Shares, predict_overlap, predict_shares
from cwda.theory.simulation import simulate
from cwda.theory.swaps import swap_probability

__all__ = [
    "BLOCK",
    "CRITERIA",
    "CROSS_FITTED",
    "DIAGONAL",
    "ISOTROPIC",
    "LADDER",
    "MEAN",
    "SCALE",
    "FittedLayer",
    "NormMoments",
    "PredictedCorrelation",
    "PredictedSimilarity",
    "Rung",
    "ScoreLaw",
    "Shares",
    "expected_spearman",
    "fit_layer",
    "norm_moments",
    "predict",
    "predict_overlap",
    "predict_shares",
    "score_law",
    "simulate",
    "spearman_with_dead",
    "swap_probability",
]
