"""What to prune by: criteria that stand for one another, layers to rank, images to take."""

from cwda.advice.advise import advise
from cwda.advice.regret import Regret, RegretRow
from cwda.advice.result import (
    Advice,
    Cluster,
    GlobalScale,
    LayerAdvice,
    PairAgreement,
    Sentence,
)

__all__ = [
    "Advice",
    "Cluster",
    "GlobalScale",
    "LayerAdvice",
    "PairAgreement",
    "Regret",
    "RegretRow",
    "Sentence",
    "advise",
]
