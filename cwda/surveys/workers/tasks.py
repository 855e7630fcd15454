"""What a worker is asked of one source, and what it answers: plain values that travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cwda.surveys.tables import Status

__all__ = ["Limits", "Reply", "Task"]


@dataclass(frozen=True)
class Limits:
    """What one network may take.

    Attributes
    ----------
    seconds : float
        Time, downloads included.
    memory : int
        Bytes of the process that computes; 0 for what the worker has.
    """

    seconds: float
    memory: int = 0


@dataclass(frozen=True)
class Task:
    """One source, to be read or to be measured.

    Attributes
    ----------
    source : str
        Path, URL or name.
    is_name : bool
        Whether it is the name of a model, whatever files there are.
    level : float or None
        Confidence of the intervals; None if only the fingerprint is asked for.
    limits : Limits
        What it may take.
    version : str
        Version of cwda that asks.
    survey : int or None
        Which survey of the process it belongs to, where workers are threads of that process.
    """

    source: str
    is_name: bool
    level: float | None
    limits: Limits
    version: str
    survey: int | None = None


@dataclass(frozen=True)
class Reply:
    """What became of a task.

    Attributes
    ----------
    status : str
        As in the table `networks`.
    reason : str
        Why it is not done.
    facts : mapping
        Columns of the table `networks`.
    cost : float
        Seconds that the measurement is expected to take.
    parts : mapping of str to bytes
        Parquet files by the names of their tables, if it was measured.
    worker : str
        Address of the worker in Dask.
    """

    status: Status
    reason: str = ""
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    cost: float = 0.0
    parts: Mapping[str, bytes] = field(default_factory=dict)
    worker: str = ""
