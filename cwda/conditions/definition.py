"""What a condition is: a name, a null hypothesis, a margin and a measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cwda.conditions.results import Measurement
from cwda.conditions.workspace import Workspace
from cwda.layers import ConvLayer

__all__ = ["Condition", "always_applicable"]


@dataclass(frozen=True)
class Condition:
    """A necessary condition of CWDA and how it is measured in one layer.

    Attributes
    ----------
    name : str
        Value of the column ``condition``.
    null_hypothesis : str
        The point null that the p-value is about.
    effect : str
        What the effect is, in words.
    margin : float
        Default margin.
    method : str
        Statistic and null distribution, for the column ``method``.
    inapplicable : callable
        From a layer to the reason why the condition says nothing about it, or "".
    measure : callable
        From a workspace to a measurement.
    """

    name: str
    null_hypothesis: str
    effect: str
    margin: float
    method: str
    inapplicable: Callable[[ConvLayer], str]
    measure: Callable[[Workspace], Measurement]


def always_applicable(layer: ConvLayer) -> str:
    """No reason: the condition says something about every layer."""
    return ""
