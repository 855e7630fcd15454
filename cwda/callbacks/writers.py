"""Where a monitor writes: a file, TensorBoard, Weights & Biases, or a function."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from cwda.callbacks.csv_file import CsvFile
from cwda.callbacks.trajectory import EpochCondition
from cwda.errors import CwdaError

__all__ = ["Destination", "Writer", "scalars", "writers_of"]

#: What is called with an epoch and its rows.
Writer = Callable[[float, Sequence[EpochCondition]], None]

#: A path, a SummaryWriter, a run of Weights & Biases, or a function of epoch and rows.
Destination = Any


def writers_of(to: Destination | Iterable[Destination]) -> list[Writer]:
    """The writers of one or several destinations.

    Raises
    ------
    CwdaError
        If one is none, or its file cannot be written.
    """
    return [_writer(each) for each in (to if isinstance(to, list | tuple) else [to])]


def scalars(rows: Iterable[EpochCondition]) -> dict[str, float]:
    """The numbers of an epoch that curves are drawn of, by name; those not defined are left out.

    Examples
    --------
    >>> import cwda
    >>> along = cwda.trajectory({0: "resnet20-cifar10"}, ["mean"])
    >>> [*scalars(along)]
    ['cwda/mean/effect', 'cwda/mean/effect_low', 'cwda/mean/effect_high', 'cwda/mean/margin']
    """
    return {
        f"cwda/{row.condition}/{name}": getattr(row, name)
        for row in rows
        if math.isfinite(row.effect)
        for name in ("effect", "effect_low", "effect_high", "margin")
    }


def _writer(to: Destination) -> Writer:
    if isinstance(to, str | os.PathLike):
        return CsvFile(Path(to)).write
    if hasattr(to, "add_scalar"):
        return _tensorboard(to)
    if hasattr(to, "log"):
        return _wandb(to)
    if callable(to):
        return to  # type: ignore[no-any-return]
    raise CwdaError(
        "a monitor writes to a path that ends with .csv, a SummaryWriter, a run of Weights & "
        f"Biases, or a function of epoch and rows, not to an object of type {type(to).__name__}"
    )


def _tensorboard(writer: Any) -> Writer:
    """By `add_scalar`, at the epoch as the step."""

    def write(epoch: float, rows: Sequence[EpochCondition]) -> None:
        for name, value in scalars(rows).items():
            writer.add_scalar(name, value, round(epoch))

    return write


def _wandb(run: Any) -> Writer:
    """By `log`, against the epoch: the step of a run counts something else, and must not fall."""
    if hasattr(run, "define_metric"):
        run.define_metric("cwda/*", step_metric="cwda/epoch")

    def write(epoch: float, rows: Sequence[EpochCondition]) -> None:
        run.log({"cwda/epoch": epoch, **scalars(rows)})

    return write
