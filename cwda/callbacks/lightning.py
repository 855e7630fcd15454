"""A monitor as a callback of Lightning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from cwda.callbacks.monitor import Monitor
from cwda.callbacks.trajectory import EpochCondition
from cwda.callbacks.writers import Destination, scalars
from cwda.choices import Scale
from cwda.conditions.condition import Condition
from cwda.errors import CwdaError
from cwda.typing import Device

__all__ = ["lightning_callback"]


def lightning_callback(
    model: nn.Module | None = None,
    conditions: str | Condition | Iterable[str | Condition] | None = None,
    *,
    to: Destination | list[Destination] = (),
    every: int = 1,
    margins: Mapping[str, float] | Mapping[str | Condition, float] | None = None,
    scale: Scale = "raw",
    level: float = 0.90,
    device: Device = "auto",
) -> Any:
    """A `Monitor` as a callback of a Trainer of Lightning.

    It records the network before its first step, after every k-th epoch and after the last. The
    loggers of the Trainer get effects, intervals and margins, at the Trainer's global step.

    Parameters
    ----------
    model : nn.Module, optional
        The part to follow; the whole LightningModule by default.
    conditions, to, every, margins, scale, level, device
        As for `Monitor`.

    Returns
    -------
    lightning.pytorch.Callback
        Its `monitor` is the Monitor.

    Raises
    ------
    CwdaError
        If Lightning is not installed, or a setting is impossible.

    Examples
    --------
    ::

        callback = cwda.callbacks.lightning_callback(every=5, to="effects.csv")
        lightning.Trainer(max_epochs=90, callbacks=[callback]).fit(module, data)
    """
    monitor = Monitor(
        model,
        conditions,
        to=to,
        every=every,
        margins=margins,
        scale=scale,
        level=level,
        device=device,
    )
    try:
        from lightning.pytorch import Callback
    except ImportError as error:
        raise CwdaError(
            'a callback of Lightning needs lightning: pip install "cwda[lightning]"'
        ) from error
    callback = type("MonitorCallback", (_Hooks, Callback), {})()
    callback.monitor = monitor
    monitor.writers.append(callback.log)
    return callback


class _Hooks:
    """What Lightning calls."""

    monitor: Monitor
    trainer: Any = None

    def on_train_start(self, trainer: Any, module: nn.Module) -> None:
        """Record the network before its first step; one that goes on is not at its start."""
        self.trainer = trainer
        if self.monitor.model is None:
            self.monitor.model = module
        if trainer.current_epoch == 0:
            self.monitor.step(0)

    def on_train_epoch_end(self, trainer: Any, module: nn.Module) -> None:
        """Record every k-th epoch."""
        self.monitor.step(trainer.current_epoch + 1)

    def on_train_end(self, trainer: Any, module: nn.Module) -> None:
        """Record the last epoch."""
        self.monitor.finish(trainer.current_epoch)

    def log(self, epoch: float, rows: Sequence[EpochCondition]) -> None:
        """Hand the numbers to the loggers of the Trainer."""
        for logger in self.trainer.loggers:
            logger.log_metrics(scalars(rows), step=self.trainer.global_step)
