"""Figures: one function each, which draws on `ax=` or on a new figure and returns its Axes.

As the last value of a notebook's cell they show their figure; `save` writes it to a file.
"""

from cwda.figures.conditions.contrast import contrast
from cwda.figures.conditions.effects import effects
from cwda.figures.conditions.layer_effects import layer_effects
from cwda.figures.conditions.layer_trajectory import layer_trajectory
from cwda.figures.conditions.network_effects import network_effects
from cwda.figures.conditions.overview import overview
from cwda.figures.conditions.trajectory import trajectory
from cwda.figures.drawing.saving import save
from cwda.figures.pruning.accuracy_curves import accuracy_curves
from cwda.figures.pruning.global_shares import global_shares
from cwda.figures.ranking.criteria_matrix import criteria_matrix
from cwda.figures.ranking.predicted_measured import predicted_measured
from cwda.figures.ranking.similarity_map import similarity_map
from cwda.figures.ranking.triangle import triangle
from cwda.figures.scores.dispersion import dispersion
from cwda.figures.scores.score_histogram import score_histogram
from cwda.figures.scores.score_histograms import score_histograms
from cwda.figures.survey.survey_effects import survey_effects
from cwda.figures.survey.survey_map import survey_map
from cwda.figures.survey.survey_places import survey_places
from cwda.figures.survey.survey_predictions import survey_predictions
from cwda.figures.survey.survey_terms import survey_terms
from cwda.figures.survey.survey_verdicts import survey_verdicts
from cwda.figures.weights.covariance import covariance
from cwda.figures.weights.covariance_blocks import covariance_blocks
from cwda.figures.weights.filter_image import filter_image
from cwda.figures.weights.nearest_filters import nearest_filters
from cwda.figures.weights.norm_ratios import norm_ratios
from cwda.figures.weights.qq import qq

__all__ = [
    "accuracy_curves",
    "contrast",
    "covariance",
    "covariance_blocks",
    "criteria_matrix",
    "dispersion",
    "effects",
    "filter_image",
    "global_shares",
    "layer_effects",
    "layer_trajectory",
    "nearest_filters",
    "network_effects",
    "norm_ratios",
    "overview",
    "predicted_measured",
    "qq",
    "save",
    "score_histogram",
    "score_histograms",
    "similarity_map",
    "survey_effects",
    "survey_map",
    "survey_places",
    "survey_predictions",
    "survey_terms",
    "survey_verdicts",
    "trajectory",
    "triangle",
]
