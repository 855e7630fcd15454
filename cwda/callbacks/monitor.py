"""`Monitor`: records the conditions of a model in training, every so many epochs."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from cwda.arguments import require_between, require_count
from cwda.callbacks.trajectory import EpochCondition, Trajectory, level_of, recorded
from cwda.callbacks.writers import Destination, writers_of
from cwda.choices import Scale
from cwda.conditions.check import check, choose_conditions, resolve_margins
from cwda.conditions.condition import Condition, require_scale
from cwda.conditions.layerwise import require_level
from cwda.conditions.whole.result import broken_layers
from cwda.errors import CwdaError, cause_of
from cwda.formatting import many
from cwda.typing import Device

__all__ = ["Monitor"]

_LOG = logging.getLogger(__name__)


class Monitor:
    """Follow the conditions of CWDA along a training.

    At every k-th epoch the network-level effects, the rows of ``cwda.check(model).network``, are
    written to a file, TensorBoard or Weights & Biases. The model is only read: its mode,
    gradients, device and the random state stay as they are. Once a training runs, nothing that
    goes wrong here stops it, but for an epoch that is no number: it is one line of the log
    (logger ``cwda.callbacks``), as is a layer whose weights become NaN or infinite. In distributed
    training only the process of rank 0 writes.

    Parameters
    ----------
    model : nn.Module, optional
        What is trained, or the part of it to follow. Wrappers for parallel training and
        `torch.compile` are taken off. Without one, what the callback of a framework trains, or
        what is set later as `model`.
    conditions : str, Condition, or iterable of such, optional
        As for `cwda.check`; all by default.
    to : path, SummaryWriter, run, callable, or list of such
        Where to write. A path that ends with ``.csv`` has the whole table: a file that exists is
        continued, and epochs that come again replace those that it has. An object with
        `add_scalar` (TensorBoard) or `log` (a run of Weights & Biases, or the module `wandb`)
        gets effect, interval and margin. A function is called with the epoch and its rows. By
        default nothing is written, and `trajectory` has what was recorded.
    every : int
        Epochs between two records.
    margins, scale, level, device
        As for `cwda.check`.

    Attributes
    ----------
    model : nn.Module or None
        What is followed.
    writers : list of callable
        What is called with each epoch recorded and its rows.

    Raises
    ------
    CwdaError
        If a setting is impossible, the model has no convolution, or the file cannot be written or
        holds something else.

    Examples
    --------
    >>> import cwda
    >>> model = cwda.load_model("resnet20-cifar10")
    >>> monitor = cwda.callbacks.Monitor(model, ["mean", "epsilon"], every=5)
    >>> for epoch in range(11):  # 0: before the first step
    ...     monitor.step(epoch)
    >>> monitor.finish(10)  # the last epoch, whatever `every` is
    >>> monitor.trajectory.epochs
    [0.0, 5.0, 10.0]
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        conditions: str | Condition | Iterable[str | Condition] | None = None,
        *,
        to: Destination | list[Destination] = (),
        every: int = 1,
        margins: Mapping[str, float] | Mapping[str | Condition, float] | None = None,
        scale: Scale = "raw",
        level: float = 0.90,
        device: Device = "auto",
    ) -> None:
        if not isinstance(model, nn.Module | None):
            raise CwdaError(f"a monitor follows an nn.Module, not {type(model).__name__}")
        _require_convolutions(model)
        require_count(every, 1, "every")
        require_level(level)
        require_scale(scale)
        wanted = choose_conditions(conditions)
        resolve_margins(margins, wanted)
        self.model = model
        self._every = every
        self._asked: dict[str, Any] = {
            "conditions": wanted,
            "margins": margins,
            "scale": scale,
            "level": level,
            "device": device,
        }
        self.writers = writers_of(to)
        self._rows: list[EpochCondition] = []
        self._broken: set[str] = set()

    def step(self, epoch: int) -> None:
        """Record the model if the number of epochs done is a multiple of `every`.

        Parameters
        ----------
        epoch : int
            Epochs done; 0 before the first.

        Raises
        ------
        CwdaError
            If that is no whole number, or below 0.
        """
        if require_count(epoch, 0, "epoch, the number of epochs done,") % self._every == 0:
            self._record(epoch)

    def finish(self, epoch: float) -> None:
        """Record the model at the end of its training, unless `step` has.

        Parameters
        ----------
        epoch : float
            Epochs done.

        Raises
        ------
        CwdaError
            If that is no number, or below 0.
        """
        require_between(epoch, 0, math.inf, "epoch, the number of epochs done,", inclusive=True)
        if epoch not in self.trajectory.epochs:
            self._record(epoch)

    def _record(self, epoch: float) -> None:
        if not _is_first():
            return
        start = time.perf_counter()
        try:
            rows = self._measure(epoch)
        except Exception as error:
            _LOG.warning("epoch %g was not recorded: %s", epoch, cause_of(error))
            return
        self._rows = [row for row in self._rows if row.epoch < epoch] + rows
        for write in self.writers:
            try:
                write(epoch, rows)
            except Exception as error:
                _LOG.warning("epoch %g was not written: %s", epoch, cause_of(error))
        _LOG.info("epoch %g was recorded in %.2f s", epoch, time.perf_counter() - start)

    @property
    def trajectory(self) -> Trajectory:
        """What this monitor has recorded so far, without what the file had before."""
        return Trajectory(tuple(self._rows), (), level=level_of(self._rows))

    def _measure(self, epoch: float) -> list[EpochCondition]:
        if self.model is None:
            raise CwdaError("the monitor has no model")
        model = _unwrapped(self.model)
        _require_whole(model)
        result = check(model, **self._asked, progress=False)
        self._warn_of(epoch, broken_layers(result))
        return recorded(epoch, result.network)

    def _warn_of(self, epoch: float, broken: Mapping[str, str]) -> None:
        """Say once of each layer that training went wrong in it."""
        new = {layer: reason for layer, reason in broken.items() if layer not in self._broken}
        self._broken |= new.keys()
        for layer, reason in new.items():
            _LOG.warning("epoch %g: layer %s cannot be judged: %s", epoch, layer, reason)


def _unwrapped(model: nn.Module) -> nn.Module:
    """The user's module inside wrappers for parallel training and compilation."""
    parallel = isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)
    inner = getattr(model, "module" if parallel else "_orig_mod", None)
    return _unwrapped(inner) if isinstance(inner, nn.Module) else model


def _require_convolutions(model: nn.Module | None) -> None:
    """Refuse a model in which no weight can be a convolution's."""
    parameters = [] if model is None else [*model.parameters()]
    if model is None or not parameters:  # it may get some before the training starts
        return
    lazy = any(nn.parameter.is_lazy(parameter) for parameter in parameters)
    kept = any(isinstance(part, _ConvNd) for part in model.modules())  # also of flat parameters
    if not lazy and not kept and all(parameter.dim() < 3 for parameter in parameters):
        raise CwdaError(
            f"{type(model).__name__} has no convolution to follow: a convolution's weight has 3 to "
            f"5 axes, and none of its {many(len(parameters), 'parameter')} has; linear layers are "
            "not tested"
        )


def _require_whole(model: nn.Module) -> None:
    """Refuse weights that lie on several processes: to gather them, all would have to take part."""
    for name, parameter in model.named_parameters():
        if hasattr(parameter, "placements"):
            raise CwdaError(
                f"{name} is divided among processes; test its checkpoints with cwda.trajectory"
            )


def _is_first() -> bool:
    """Whether this process is the one that writes."""
    distributed = torch.distributed
    return not (distributed.is_available() and distributed.is_initialized()) or (
        distributed.get_rank() == 0
    )
