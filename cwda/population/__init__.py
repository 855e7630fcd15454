"""What is said of many networks: how large effects are, what holds where, what depends on what.

Every function takes a survey, the tables that `cwda.read_survey` gives. Networks with the same
weights count once, the layers of a network together count as one network, and intervals are over
families of networks.
"""

from cwda.population.effects import EffectQuantiles, EffectSpread, effect_quantiles
from cwda.population.generality import generality
from cwda.population.networks import NetworkStanding, Standings, standings
from cwda.population.predictions import (
    PredictionAccuracies,
    PredictionAccuracy,
    prediction_accuracy,
)
from cwda.population.reference import make_reference
from cwda.population.regression import MixedModels, ModelTerm, mixed_models
from cwda.population.shares import VerdictShare, VerdictShares, verdict_shares
from cwda.population.writing import write_tables

__all__ = [
    "EffectQuantiles",
    "EffectSpread",
    "MixedModels",
    "ModelTerm",
    "NetworkStanding",
    "PredictionAccuracies",
    "PredictionAccuracy",
    "Standings",
    "VerdictShare",
    "VerdictShares",
    "effect_quantiles",
    "generality",
    "make_reference",
    "mixed_models",
    "prediction_accuracy",
    "standings",
    "verdict_shares",
    "write_tables",
]
