"""Figures: one function each, which draws on `ax=` or on a new figure and returns its Axes.

In a notebook the last line ``ax.figure`` shows it; ``ax.figure.savefig("name.svg")`` saves it.
"""

from cwda.figures.accuracy import accuracy_curves
from cwda.figures.conditions import effects, overview
from cwda.figures.covariance import covariance, covariance_blocks, filter_image
from cwda.figures.histograms import score_histogram, score_histograms
from cwda.figures.matrices import criteria_matrix, similarity_map
from cwda.figures.pruned import global_shares
from cwda.figures.quantiles import qq
from cwda.figures.scatter import dispersion, predicted_measured
from cwda.figures.trajectory import trajectory

__all__ = [
    "accuracy_curves",
    "covariance",
    "covariance_blocks",
    "criteria_matrix",
    "dispersion",
    "effects",
    "filter_image",
    "global_shares",
    "overview",
    "predicted_measured",
    "qq",
    "score_histogram",
    "score_histograms",
    "similarity_map",
    "trajectory",
]
