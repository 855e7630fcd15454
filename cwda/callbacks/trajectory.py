"""`Trajectory`: the conditions in a network as a whole, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar

from cwda.answers import Answer, column, table_of
from cwda.choices import Verdict
from cwda.conditions.results import by_question
from cwda.conditions.whole.result import NetworkCondition, NetworkResult
from cwda.formatting import listed, percent

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Course", "EpochCondition", "Trajectory", "decided", "level_of", "recorded"]

NAN = math.nan

#: A condition that judges less than this share of the weights is said to.
_MOST = 0.9


@dataclass(frozen=True, kw_only=True)
class _When:
    """The columns that come first."""

    epoch: float = column("Epochs done; 0 before the first step.")
    level: float = column("Confidence of the interval.")


@dataclass(frozen=True, kw_only=True)
class EpochCondition(NetworkCondition, _When):
    """One condition in a network at one epoch: a row of the table of `Trajectory`."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """The course of one condition: a row of `Trajectory.summary`."""

    condition: str = column("Name of the condition.")
    margin: float = column("Largest effect that counts as negligible.")
    first_effect: float = column("Effect at the first epoch recorded.")
    last_effect: float = column("Effect at the last epoch recorded.")
    verdict: Verdict = column("Verdict at the last epoch.")
    since: float = column(
        "First recorded epoch from which on the verdict is that of the last one; it may have "
        "changed at any epoch after the record before."
    )
    course: str = column("The verdicts in order, each with the epochs that have it.")


@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Answer[EpochCondition]):
    """The conditions in a network as a whole, along its training.

    Attributes
    ----------
    rows : tuple of EpochCondition
        One row per epoch and condition, by epoch.
    networks : tuple of Network
        The checkpoints; none where the weights have changed since.
    level : float
        Confidence of the intervals; NaN if epochs differ in it.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> along = cwda.trajectory({0: net.select("layer1.*"), 10: net}, ["epsilon"])
    >>> along.summary()["course"].item()
    'is open at 0, fails from 10'
    """

    row: ClassVar[type] = EpochCondition

    @property
    def epochs(self) -> list[float]:
        """The epochs recorded, in order."""
        return list(dict.fromkeys(row.epoch for row in self.rows))

    @property
    def conditions(self) -> list[str]:
        """The conditions recorded."""
        return list(dict.fromkeys(row.condition for row in self.rows))

    def title(self) -> str:
        """Which conditions fail and hold at the last epoch, and since when."""
        if not self.rows:
            return "No epoch was recorded"
        first, last = self.epochs[0], self.epochs[-1]
        several = first < last
        told = [_since(verdict, self.courses(), first, several=several) for verdict in _SINCE]
        span = f"{len(self.epochs)} epochs from {_number(first)} to {_number(last)}"
        start = f"CWDA at {span if several else f'epoch {_number(first)}'}."
        return " ".join(filter(None, [start, *told, _lost(self.rows), _fewer(self.rows)]))

    def summary(self) -> pd.DataFrame:
        """The course of each condition: first and last effect, and when the verdict changed."""
        return table_of(tuple(self.courses()), Course)

    def courses(self) -> list[Course]:
        """The rows of `summary`."""
        return [
            _course([row for row in self.rows if row.condition == condition])
            for condition in self.conditions
        ]


def decided(rows: Iterable[EpochCondition]) -> str:
    """At which epochs a further question of one condition decides, not its interval.

    Empty if at none.
    """
    runs = [
        f"{_span(run)} ({note})" if note else _span(run)
        for (asked, note), each in groupby(rows, lambda row: (by_question(row), row.note))
        if asked and (run := list(each))
    ]
    return f"a further question decides {listed(runs)}" if runs else ""


def recorded(epoch: float, result: NetworkResult) -> list[EpochCondition]:
    """The rows of one network, with their epoch."""
    names = [each.name for each in fields(NetworkCondition)]
    return [
        EpochCondition(
            epoch=float(epoch),
            level=result.level,
            **{name: getattr(row, name) for name in names},
        )
        for row in result
    ]


def _lost(rows: Sequence[EpochCondition]) -> str:
    """How much less of the network can be judged at the end than before; empty if no less."""
    shares: dict[float, float] = {}
    for row in rows:
        shares[row.epoch] = max(shares.get(row.epoch, 0.0), row.weights)
    epochs = [*shares]
    last = shares[epochs[-1]]
    if last >= max(shares.values()):
        return ""
    since = epochs[-1]
    for epoch in reversed(epochs):
        if shares[epoch] > last:
            break
        since = epoch
    return (
        f"From epoch {_number(since)} only {percent(last)} of the weights can be judged, before "
        f"{percent(max(shares.values()))}."
    )


#: In the order of the title.
_SINCE: dict[Verdict, str] = {
    "fails": "Fails",
    "inconclusive": "Is open",
    "holds": "Holds",
    "not applicable": "Is not applicable",
}


def _since(verdict: Verdict, courses: Sequence[Course], first: float, *, several: bool) -> str:
    """Since when conditions have had this verdict; empty if none has it."""
    since: dict[float, list[str]] = {}
    for one in courses:
        if one.verdict == verdict:
            since.setdefault(one.since, []).append(one.condition)
    always = since.pop(first, [])
    parts = [f" since epoch {_number(epoch)}: {', '.join(since[epoch])}" for epoch in sorted(since)]
    if always:
        parts.append(f"{' throughout' if several else ''}: {', '.join(always)}")
    return f"{_SINCE[verdict]}{';'.join(parts)}." if parts else ""


def _fewer(rows: Sequence[EpochCondition]) -> str:
    """The conditions that judge less than most weights at some epoch; empty if none does."""
    shares: dict[str, list[float]] = {}
    for row in rows:
        if row.layers:
            shares.setdefault(row.condition, []).append(row.weights)
    told = [
        f"{condition} {' to '.join(dict.fromkeys(map(percent, (min(own), max(own)))))}"
        for condition, own in shares.items()
        if min(own) < _MOST
    ]
    return f"Judged over part of the weights: {', '.join(told)}." if told else ""


def _course(rows: Sequence[EpochCondition]) -> Course:
    runs = [(verdict, list(run)) for verdict, run in groupby(rows, lambda row: row.verdict)]
    told = [f"{_VERBS[verdict]} {_span(run)}" for verdict, run in runs]
    last, run = runs[-1]
    if len(runs) > 1:
        told[-1] = f"{_VERBS[last]} from {_number(run[0].epoch)}"
    return Course(
        condition=rows[0].condition,
        margin=rows[-1].margin,
        first_effect=rows[0].effect,
        last_effect=rows[-1].effect,
        verdict=last,
        since=run[0].epoch,
        course=", ".join(told),
    )


_VERBS: dict[Verdict, str] = {
    "holds": "holds",
    "fails": "fails",
    "inconclusive": "is open",
    "not applicable": "is not applicable",
}


def _span(rows: Sequence[EpochCondition]) -> str:
    first, last = _number(rows[0].epoch), _number(rows[-1].epoch)
    if len(rows) == 1:
        return f"at {first}"
    return f"at {first} and {last}" if len(rows) == 2 else f"from {first} to {last}"


def _number(epoch: float) -> str:
    return f"{epoch:g}"


def level_of(rows: Iterable[EpochCondition]) -> float:
    """The level that all rows have; NaN if they differ."""
    levels = {row.level for row in rows}
    return levels.pop() if len(levels) == 1 else NAN
