"""Trajectories of checkpoints, and of the file of a monitor."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cwda.arguments import as_path
from cwda.callbacks.csv_file import read_rows
from cwda.callbacks.epochs import epochs_of
from cwda.callbacks.trajectory import EpochCondition, Trajectory, level_of, recorded
from cwda.choices import Scale
from cwda.conditions.check import check
from cwda.conditions.condition import Condition
from cwda.conditions.table import CheckResult
from cwda.errors import CwdaError
from cwda.layers import Network
from cwda.loading.source import Source
from cwda.loading.sources import networks_of
from cwda.progress import showing, steps
from cwda.typing import Device

__all__ = ["read_trajectory", "trajectory"]


def trajectory(
    checkpoints: Mapping[float, Source | CheckResult] | Iterable[Source],
    conditions: str | Condition | Iterable[str | Condition] | None = None,
    *,
    margins: Mapping[str, float] | Mapping[str | Condition, float] | None = None,
    scale: Scale = "raw",
    level: float = 0.90,
    device: Device = "auto",
    progress: bool = True,
) -> Trajectory:
    """Effects in a network as a whole, along the checkpoints of one training.

    Parameters
    ----------
    checkpoints : mapping of float to source, or iterable of sources
        Checkpoints by epoch, each as `cwda.load` takes it, or answers of `cwda.check`, whose
        settings then count. Without epochs, they are read from the names, such as
        ``net-epoch-10.pth``: the number after "epoch", "ep" or "step", else the only number
        that varies.
    conditions, margins, scale, level, device, progress
        As for `cwda.check`.

    Returns
    -------
    Trajectory
        `.summary()` says when a condition began to hold or to fail.

    Raises
    ------
    CwdaError
        If a checkpoint cannot be read, has no epoch or that of another one, or a setting is
        impossible.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> along = cwda.trajectory({0: net.select("layer1.*"), 10: net}, ["gaussianity"])
    >>> along.table[["epoch", "verdict"]].values.tolist()
    [[0.0, 'holds'], [10.0, 'holds']]
    """
    rows: list[EpochCondition] = []
    networks: list[Network] = []
    with showing(progress):
        for epoch, one in steps(_by_epoch(checkpoints), "testing checkpoints"):
            if not isinstance(one, CheckResult):
                one = check(
                    one, conditions, margins=margins, scale=scale, level=level, device=device
                )
            if len(one.networks) != 1:
                raise CwdaError(f"epoch {epoch:g} has {len(one.networks)} networks; give one")
            rows += recorded(epoch, one.network)
            networks += one.networks
    return Trajectory(tuple(rows), tuple(networks), level=level_of(rows))


def read_trajectory(path: str | Path) -> Trajectory:
    """What a `Monitor` wrote to a CSV file.

    Parameters
    ----------
    path : str or Path
        The file.

    Raises
    ------
    CwdaError
        If it is missing, damaged or holds something else.

    Examples
    --------
    >>> import cwda, tempfile
    >>> model = cwda.load_model("resnet20-cifar10")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     monitor = cwda.callbacks.Monitor(model, ["mean"], to=f"{folder}/effects.csv")
    ...     monitor.step(0)
    ...     along = cwda.callbacks.read_trajectory(f"{folder}/effects.csv")
    >>> along.table["effect"].equals(monitor.trajectory.table["effect"])
    True
    """
    rows = tuple(read_rows(as_path(path)))
    if not rows:
        raise CwdaError(f"{path}: no epoch was recorded yet")
    return Trajectory(rows, (), level=level_of(rows))


def _by_epoch(checkpoints: object) -> list[tuple[float, Any]]:
    """The checkpoints in the order of their epochs."""
    if isinstance(checkpoints, Mapping):
        pairs = [(_epoch(key), one) for key, one in checkpoints.items()]
    elif isinstance(checkpoints, Iterable) and not isinstance(checkpoints, str | Network):
        found = networks_of(checkpoints)
        pairs = [*zip(epochs_of(found), found, strict=True)]
    else:
        raise CwdaError(_NEEDED.format(f"not an object of type {type(checkpoints).__name__}"))
    if not pairs:
        raise CwdaError(_NEEDED.format("and has none"))
    return sorted(pairs, key=lambda pair: pair[0])


_NEEDED = (
    "a trajectory needs checkpoints by epoch, such as {{0: 'net-0.pth', 10: 'net-10.pth'}}, or a "
    "list of checkpoints whose names have their epochs, such as net-10.pth, {}"
)


def _epoch(key: object) -> float:
    if isinstance(key, numbers.Real) and not isinstance(key, bool):
        return float(key)
    raise CwdaError(_NEEDED.format(f"not by {key!r:.40}"))
