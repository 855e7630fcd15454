"""Monitors in Lightning and in the Trainer of transformers, where these are installed."""

import random
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from cwda.callbacks import Monitor, lightning_callback, read_trajectory, trainer_callback
from cwda.errors import CwdaError


@pytest.fixture(autouse=True)
def _quietly():
    """Their own warnings, and their own use of the global seed, are not of interest here."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    random.setstate(states[2])


def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 3, 6, 6, generator=generator), torch.arange(8) % 2


def convolutions():
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 8, 3), nn.Flatten(), nn.Linear(32, 2))


class Logger:
    """What a logger of Lightning is to a callback."""

    def __init__(self, base):
        self.logged = []
        names = {
            "name": property(lambda logger: "kept"),
            "version": property(lambda logger: 0),
            "log_hyperparams": lambda logger, *args: None,
            "log_metrics": lambda logger, numbers, step: self.logged.append((step, numbers)),
        }
        self.logger = type("Kept", (base,), names)()


def test_lightning(tmp_path):
    pl = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = convolutions()

        def training_step(self, batch, index):
            x, y = batch
            return nn.functional.cross_entropy(self.net(x), y)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    def fit(callback, epochs, checkpoint=None):
        kept = Logger(pl.loggers.logger.Logger)
        data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*images()), 4)
        trainer = pl.Trainer(
            max_epochs=epochs, callbacks=[callback], logger=kept.logger, accelerator="cpu",
            enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(Module(), data, ckpt_path=checkpoint)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return [pair for pair in kept.logged if "cwda/mean/effect" in pair[1]]

    path = tmp_path / "effects.csv"
    monitor = Monitor(None, ["mean"], every=2, to=path, device="cpu")
    logged = fit(lightning_callback(monitor), 3)
    assert [step for step, _ in logged] == [0, 4, 6]  # two steps per epoch
    assert monitor.trajectory.epochs == [0, 2, 3]
    effects = monitor.trajectory.table["effect"]
    assert [numbers["cwda/mean/effect"] for _, numbers in logged] == effects.tolist()
    again = Monitor(None, ["mean"], every=2, to=path)
    fit(lightning_callback(again), 6, tmp_path / "last.ckpt")
    assert read_trajectory(path).epochs == [0, 2, 3, 4, 6]


def test_trainer_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = convolutions()

        def forward(self, pixel_values, labels):
            outputs = self.net(pixel_values)
            return {"loss": nn.functional.cross_entropy(outputs, labels), "logits": outputs}

    def fit(callback, epochs, checkpoint=None):
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path), num_train_epochs=epochs, per_device_train_batch_size=4,
            use_cpu=True, report_to=[], save_strategy="epoch", disable_tqdm=True,
        )  # fmt: skip
        data = [{"pixel_values": x, "labels": y} for x, y in zip(*images(), strict=True)]
        trainer = transformers.Trainer(Model(), arguments, train_dataset=data, callbacks=[callback])
        trainer.train(resume_from_checkpoint=checkpoint)

    path = tmp_path / "effects.csv"
    monitor = Monitor(None, ["mean"], every=2, to=path, device="cpu")
    fit(trainer_callback(monitor), 3)
    assert monitor.trajectory.epochs == [0, 2, 3]
    again = Monitor(None, ["mean"], every=2, to=path)
    fit(trainer_callback(again), 6, str(tmp_path / "checkpoint-6"))
    assert read_trajectory(path).epochs == [0, 2, 3, 4, 6]


@pytest.mark.parametrize(
    ("callback", "library", "extra"),
    [
        (lightning_callback, "lightning.pytorch", "lightning"),
        (trainer_callback, "transformers", "transformers"),
    ],
)
def test_a_library_that_is_missing_is_named(monkeypatch, callback, library, extra):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=rf'pip install "cwda\[{extra}\]"'):
        callback(Monitor())


@pytest.mark.parametrize("callback", [lightning_callback, trainer_callback])
def test_what_is_no_monitor_is_refused_before_the_library_is_looked_for(monkeypatch, callback):
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CwdaError, match="made of a Monitor, not Sequential"):
        callback(convolutions())
