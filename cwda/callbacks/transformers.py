"""A monitor as a callback of the Trainer of Hugging Face transformers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from cwda.callbacks.monitor import Monitor
from cwda.callbacks.writers import Destination
from cwda.choices import Scale
from cwda.conditions.condition import Condition
from cwda.errors import CwdaError
from cwda.typing import Device

__all__ = ["trainer_callback"]


def trainer_callback(
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
    """A `Monitor` as a callback of a Trainer of Hugging Face transformers.

    It records the network before its first step, after every k-th epoch and after the last.
    A Trainer does not hand its loggers to callbacks: name them in `to`, such as ``to=wandb`` or a
    SummaryWriter.

    Parameters
    ----------
    model : nn.Module, optional
        The part to follow; the whole model of the Trainer by default.
    conditions, to, every, margins, scale, level, device
        As for `Monitor`.

    Returns
    -------
    transformers.TrainerCallback
        Its `monitor` is the Monitor.

    Raises
    ------
    CwdaError
        If transformers is not installed, or a setting is impossible.

    Examples
    --------
    ::

        callback = cwda.callbacks.trainer_callback(every=5, to="effects.csv")
        transformers.Trainer(model, arguments, train_dataset=data, callbacks=[callback]).train()
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
        from transformers import TrainerCallback
    except ImportError as error:
        raise CwdaError(
            'a callback of a Trainer needs transformers: pip install "cwda[transformers]"'
        ) from error
    callback = type("MonitorCallback", (_Hooks, TrainerCallback), {})()
    callback.monitor = monitor
    return callback


class _Hooks:
    """What a Trainer calls."""

    monitor: Monitor

    def on_train_begin(self, args: Any, state: Any, control: Any, **facts: Any) -> None:
        """Record the network before its first step; one that goes on is not at its start."""
        if self.monitor.model is None:
            self.monitor.model = facts["model"]
        if not state.epoch:
            self.monitor.step(0)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **facts: Any) -> None:
        """Record every k-th epoch."""
        self.monitor.step(round(state.epoch))

    def on_train_end(self, args: Any, state: Any, control: Any, **facts: Any) -> None:
        """Record the last epoch, which `max_steps` may have cut short."""
        self.monitor.finish(state.epoch)
