"""`Monitor` in a plain loop: what it writes, and that the training does not notice it."""

import copy
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import cwda
from cwda.callbacks import Monitor, read_trajectory
from cwda.errors import CwdaError

CONDITIONS = ["mean", "epsilon"]


def network(seed=0):
    """Convolutions, dropout, BatchNorm and a norm that iterates in training mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        normed = nn.utils.parametrizations.spectral_norm(nn.Conv2d(8, 16, 3))
        return nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5), normed, nn.Flatten(),
            nn.Linear(64, 4),
        )  # fmt: skip


def train(model, monitor=None, epochs=4, first=0):
    """A plain loop with its own randomness; the losses."""
    losses = []
    with torch.random.fork_rng():
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for epoch in range(first, epochs):
            if monitor and epoch == first == 0:
                monitor.step(0)
            x = torch.randn(6, 3, 6, 6)
            loss = model(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if monitor:
                monitor.step(epoch + 1)
    return losses


def test_the_rows_are_those_of_the_check():
    model = network()
    monitor = Monitor(model, CONDITIONS, every=3, level=0.8, margins={"mean": 0.2})
    train(model, monitor, epochs=3)
    expected = cwda.check(model, CONDITIONS, level=0.8, margins={"mean": 0.2}).network.table
    assert monitor.trajectory.epochs == [0, 3]
    table = monitor.trajectory.table
    assert list(table.columns) == ["epoch", "level", *expected.columns]
    last = table[table["epoch"] == 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(last[expected.columns], expected)
    assert set(table["level"]) == {0.8}


def test_a_training_does_not_notice_it():
    plain, followed = network(), network()
    losses = train(plain)
    monitor = Monitor(followed, CONDITIONS)
    assert train(followed, monitor) == losses
    assert len(monitor.trajectory.epochs) == 5
    for name, value in plain.state_dict().items():
        assert value.equal(followed.state_dict()[name]), name


@pytest.mark.parametrize("mode", [True, False])
def test_the_model_is_only_read(mode):
    model = network()
    with torch.random.fork_rng():
        model(torch.ones(2, 3, 6, 6)).sum().backward()
    model.train(mode)
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model)
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    state = torch.get_rng_state()
    threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
    Monitor(model).step(0)
    assert torch.equal(state, torch.get_rng_state())
    assert (threads, grad) == (torch.get_num_threads(), torch.is_grad_enabled())
    for name, part in before.named_modules():
        assert model.get_submodule(name).training == part.training
    for (name, old), new in zip(before.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(old, new), name
        assert (old.requires_grad, old.device) == (new.requires_grad, new.device)
    for gradient, parameter in zip(gradients, model.parameters(), strict=True):
        assert torch.equal(gradient, parameter.grad)
    for (name, old), new in zip(before.named_buffers(), model.buffers(), strict=True):
        assert torch.equal(old, new), name


def test_the_file_gives_back_every_number(tmp_path):
    path = tmp_path / "effects.csv"
    model = network()
    monitor = Monitor(model, to=path, every=2)
    train(model, monitor)
    read = read_trajectory(path)
    pd.testing.assert_frame_equal(read.table, monitor.trajectory.table)
    assert read.title() == monitor.trajectory.title()
    assert pd.read_csv(path)["epoch"].unique().tolist() == [0, 2, 4]


def test_a_restart_goes_on_in_the_file_and_repeats_no_epoch(tmp_path):
    path = tmp_path / "effects.csv"
    model = network()
    train(model, Monitor(model, CONDITIONS, to=path), epochs=4)
    before = read_trajectory(path).table
    again = Monitor(network(3), CONDITIONS, to=path)
    train(again.model, again, epochs=4, first=2)  # from the checkpoint of epoch 2
    after = read_trajectory(path).table
    assert after["epoch"].tolist() == [e for e in range(5) for _ in CONDITIONS]
    early = before["epoch"] <= 2
    pd.testing.assert_frame_equal(after[early], before[early])
    assert not np.allclose(after["effect"][~early], before["effect"][~early])


def test_a_failure_is_one_line_and_the_training_goes_on(caplog, tmp_path):
    def full(epoch, rows):
        raise OSError("disk full\nor so")

    kept = []
    model = network()
    monitor = Monitor(model, CONDITIONS, to=[full, lambda epoch, rows: kept.append(epoch)])
    with caplog.at_level(logging.WARNING, "cwda.callbacks"):
        train(model, monitor, epochs=1)
        nothing = Monitor(nn.Flatten())
        nothing.step(0)
    assert kept == [0, 1]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert lines[0] == "epoch 0 was not written: OSError: disk full"
    assert "epoch 0 was not recorded: " in lines[2]
    assert not any("\n" in line for line in lines)
    assert nothing.trajectory.epochs == []
    assert nothing.trajectory.title() == "No epoch was recorded"


def test_weights_that_are_not_finite_stop_nothing(caplog):
    model = network()
    with torch.no_grad():
        model[0].weight.fill_(float("nan"))
    monitor = Monitor(model, CONDITIONS)
    monitor.step(0)
    monitor.step(1)
    [said] = caplog.messages  # once
    assert said == "epoch 0: layer 0 cannot be judged: 216 of 216 weights are NaN or infinite"
    assert [row.layers for row in monitor.trajectory] == [1, 1] * 2


def test_a_trajectory_tells_that_less_can_be_judged_than_before():
    model = network()
    monitor = Monitor(model, CONDITIONS)
    monitor.step(0)
    assert "can be judged" not in monitor.trajectory.title()
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] = float("nan")
    monitor.step(1)
    monitor.step(2)
    said = "From epoch 1 only 84 % of the weights can be judged, before 100 %."
    assert said in monitor.trajectory.title()


@pytest.mark.parametrize("epoch", ["a", None, -1, 1.5, float("nan"), True])
def test_an_epoch_that_is_no_number_of_epochs_is_refused_in_one_line(epoch):
    with pytest.raises(CwdaError, match=r"epoch, the number of epochs done, is a whole number"):
        Monitor(network(), CONDITIONS).step(epoch)


@pytest.mark.parametrize("epoch", ["a", None, -1, float("nan"), True])
def test_a_training_ends_after_a_number_of_epochs(epoch):
    with pytest.raises(CwdaError, match="epoch, the number of epochs done"):
        Monitor(network(), CONDITIONS).finish(epoch)


def test_a_model_without_convolutions_is_refused_at_once():
    with pytest.raises(CwdaError, match="Sequential has no convolution to follow"):
        Monitor(nn.Sequential(nn.Linear(8, 4, device="meta"), nn.ReLU()))
    Monitor(nn.Sequential(nn.LazyConv2d(8, 3), nn.Flatten()))


class Board:
    """What a SummaryWriter of TensorBoard is to a monitor."""

    def __init__(self):
        self.points = []

    def add_scalar(self, name, value, step):
        self.points.append((name, value, step))


class Run:
    """What a run of Weights & Biases is to a monitor."""

    def __init__(self):
        self.logged, self.metrics = [], {}

    def define_metric(self, name, step_metric):
        self.metrics[name] = step_metric

    def log(self, numbers):
        self.logged.append(numbers)


def test_boards_and_runs_get_effect_interval_and_margin():
    board, run = Board(), Run()
    monitor = Monitor(network(), ["mean"], to=[board, run])
    monitor.step(3)
    (row,) = monitor.trajectory
    expected = {
        "cwda/mean/effect": row.effect,
        "cwda/mean/effect_low": row.effect_low,
        "cwda/mean/effect_high": row.effect_high,
        "cwda/mean/margin": 0.1,
    }
    assert board.points == [(name, value, 3) for name, value in expected.items()]
    assert run.logged == [{"cwda/epoch": 3, **expected}]
    assert run.metrics == {"cwda/*": "cwda/epoch"}


def test_tensorboard_reads_what_was_written(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        monitor = Monitor(network(), ["mean"], to=writer)
        monitor.step(0)
        monitor.step(5)
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("cwda/mean/effect")
    assert [event.step for event in events] == [0, 5]
    effects = monitor.trajectory.table["effect"]
    assert [event.value for event in events] == pytest.approx(effects.tolist(), rel=1e-6)


def test_only_the_first_process_writes(monkeypatch, tmp_path):
    path = tmp_path / "effects.csv"
    monitor = Monitor(network(), CONDITIONS, to=path)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monitor.step(0)
    assert not path.exists()
    assert monitor.trajectory.epochs == []
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 0)
    monitor.step(0)
    assert read_trajectory(path).epochs == [0]


def test_weights_on_several_processes_are_not_gathered(caplog):
    model = network()
    model[0].weight.placements = ("Shard(dim=0)",)  # what tells a DTensor
    Monitor(model).step(0)
    (record,) = caplog.records
    assert "0.weight is divided among processes" in record.getMessage()


def test_wrappers_are_taken_off():
    model = network()
    direct, wrapped = Monitor(model, ["mean"]), Monitor(nn.DataParallel(model), ["mean"])
    compiled = Monitor(torch.compile(model), ["mean"])
    for monitor in (direct, wrapped, compiled):
        monitor.step(0)
    for other in (wrapped, compiled):
        assert list(other.trajectory) == list(direct.trajectory)


def test_the_end_is_recorded_once():
    monitor = Monitor(network(), ["mean"], every=5)
    for epoch in range(8):
        monitor.step(epoch)
    monitor.finish(7)
    monitor.finish(7)
    assert monitor.trajectory.epochs == [0, 5, 7]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 0}, "every"),
        ({"to": "effects.txt"}, "unknown format"),
        ({"to": "nowhere/effects.csv"}, "does not exist"),
        ({"to": 3}, "not to an object of type int"),
        ({"conditions": "means"}, "did you mean 'mean'"),
        ({"margins": {"mean": -1}}, "mean"),
        ({"level": 2}, "level"),
    ],
)
def test_impossible_settings_are_refused_before_the_training(options, words):
    with pytest.raises(CwdaError, match=words):
        Monitor(network(), **options)


def test_files_of_others_are_not_touched(tmp_path):
    path = tmp_path / "losses.csv"
    path.write_text("epoch,loss\n0,1.5\n")
    with pytest.raises(CwdaError, match=r"not the file of a .*Monitor"):
        Monitor(network(), to=path)
    assert path.read_text() == "epoch,loss\n0,1.5\n"
    with pytest.raises(CwdaError, match=r"follows an nn\.Module, not str"):
        Monitor("resnet18")


@pytest.mark.parametrize(
    ("old", "new"),
    [("raw,holds,", "raw,perhaps,"), (",mean,", ",mean"), (",mean,1,", ",mean,one,")],
)
def test_a_damaged_line_is_named(tmp_path, old, new):
    path = tmp_path / "effects.csv"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Conv2d(8, 64, 3)
    Monitor(model, ["mean"], to=path).step(0)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(CwdaError, match="line 2 is damaged"):
        read_trajectory(path)
