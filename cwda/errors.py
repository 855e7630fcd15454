"""The errors that a user can cause; each message is one line that says what to do."""

from __future__ import annotations

__all__ = [
    "CwdaError",
    "DataError",
    "SampleError",
    "SourceError",
    "TrainingError",
    "UnreadableError",
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
