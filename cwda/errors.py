"""The errors that a user can cause; each message is one line that says what to do."""

from __future__ import annotations

__all__ = [
    "CriterionError",
    "CwdaError",
    "DataError",
    "LayerError",
    "SampleError",
    "SelectionError",
    "SourceError",
    "TrainingError",
    "UnreadableError",
    "WeightsError",
]


class CwdaError(Exception):
    """Base of all errors of this package that stem from the input, not from a defect."""


class SourceError(CwdaError):
    """The source of a network is unknown, missing or cannot be reached."""


class UnreadableError(SourceError):
    """A file exists but gives no convolution weights: wrong type, damaged or empty."""


class DataError(CwdaError):
    """Images or labels are missing, damaged or do not fit the model."""


class TrainingError(CwdaError):
    """Training cannot go on, for example because the loss is not finite."""


class SampleError(CwdaError):
    """A sample has the wrong shape or size for the statistic asked for."""


class LayerError(CwdaError):
    """The network has no such layer."""


class WeightsError(CwdaError):
    """The weights of a layer give no scores, as when they are not finite."""


class CriterionError(CwdaError):
    """A pruning criterion is unknown, or does not give one score for each filter."""


class SelectionError(CwdaError):
    """Filters cannot be selected as asked: impossible ratio, unknown strategy."""
