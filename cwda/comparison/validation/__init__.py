"""Whether a ranking is right: criteria compared with the loss when filters are removed."""

from cwda.comparison.validation.result import VERDICTS, LayerValidity, Validity
from cwda.comparison.validation.triangle import LayerTriangle, Triangle, triangle
from cwda.comparison.validation.validity import validity

__all__ = [
    "VERDICTS",
    "LayerTriangle",
    "LayerValidity",
    "Triangle",
    "Validity",
    "triangle",
    "validity",
]
