"""A monitor as a callback of Lightning, or of the Trainer of Hugging Face transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from cwda.callbacks.monitor import Monitor
from cwda.callbacks.trajectory import EpochCondition
from cwda.callbacks.writers import scalars
from cwda.errors import CwdaError

__all__ = ["lightning_callback", "trainer_callback"]


def lightning_callback(monitor: Monitor) -> Any:
    """A `Monitor` as a callback of a Trainer of Lightning.

    It records the network before its first step, after every k-th epoch and after the last. The
    loggers of the Trainer get effects, intervals and margins, at the Trainer's global step.

    Parameters
    ----------
    monitor : Monitor
        What to record, and where. Without a model it follows the whole LightningModule.

    Returns
    -------
    lightning.pytorch.Callback
        Its `monitor` is the Monitor.

    Raises
    ------
    CwdaError
        If it is no Monitor, or Lightning is not installed.

    Examples
    --------
    ::

        callback = cwda.callbacks.lightning_callback(cwda.callbacks.Monitor(to="effects.csv"))
        lightning.Trainer(max_epochs=90, callbacks=[callback]).fit(module, data)
    """
    _require_monitor(monitor)
    with _needing("lightning"):
        from lightning.pytorch import Callback
    callback = _callback(monitor, _LightningHooks, Callback)
    monitor.writers.append(callback.log)
    return callback


def trainer_callback(monitor: Monitor) -> Any:
    """A `Monitor` as a callback of a Trainer of Hugging Face transformers.

    It records the network before its first step, after every k-th epoch and after the last.
    A Trainer does not hand its loggers to callbacks: name them in the monitor, such as
    ``to=wandb`` or a SummaryWriter.

    Parameters
    ----------
    monitor : Monitor
        What to record, and where. Without a model it follows the whole model of the Trainer.

    Returns
    -------
    transformers.TrainerCallback
        Its `monitor` is the Monitor.

    Raises
    ------
    CwdaError
        If it is no Monitor, or transformers is not installed.

    Examples
    --------
    ::

        callback = cwda.callbacks.trainer_callback(cwda.callbacks.Monitor(to="effects.csv"))
        transformers.Trainer(model, arguments, train_dataset=data, callbacks=[callback]).train()
    """
    _require_monitor(monitor)
    with _needing("transformers"):
        from transformers import TrainerCallback
    return _callback(monitor, _TrainerHooks, TrainerCallback)


def _require_monitor(monitor: object) -> None:
    if not isinstance(monitor, Monitor):
        raise CwdaError(f"a callback is made of a Monitor, not {type(monitor).__name__}")


@contextmanager
def _needing(library: str) -> Iterator[None]:
    """One line where a framework is not installed, which is imported only within."""
    try:
        yield
    except ImportError as error:
        raise CwdaError(
            f'a callback of {library} needs {library}: pip install "cwda[{library}]"'
        ) from error


def _callback(monitor: Monitor, hooks: type[_Hooks], base: type) -> Any:
    """The hooks as a class of the framework."""
    callback = type("MonitorCallback", (hooks, base), {})()
    callback.monitor = monitor
    return callback


class _Hooks:
    """What the callbacks of all frameworks do."""

    monitor: Monitor

    def begin(self, model: nn.Module, epoch: float | None) -> None:
        """Record the network before its first step; one that goes on is not at its start."""
        if self.monitor.model is None:
            self.monitor.model = model
        if not epoch:
            self.monitor.step(0)


class _LightningHooks(_Hooks):
    """What Lightning calls."""

    trainer: Any = None

    def on_train_start(self, trainer: Any, module: nn.Module) -> None:
        """Keep the Trainer, whose loggers and steps are not known before."""
        self.trainer = trainer
        self.begin(module, trainer.current_epoch)

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


class _TrainerHooks(_Hooks):
    """What a Trainer of transformers calls."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **facts: Any) -> None:
        """Record the network before its first step."""
        self.begin(facts["model"], state.epoch)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **facts: Any) -> None:
        """Record every k-th epoch."""
        self.monitor.step(round(state.epoch))

    def on_train_end(self, args: Any, state: Any, control: Any, **facts: Any) -> None:
        """Record the last epoch, which `max_steps` may have cut short."""
        self.monitor.finish(state.epoch)
