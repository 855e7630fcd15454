"""What a verb writes never takes the place of what it reads, or of what must be kept."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import cwda
from cwda.callbacks import Monitor
from cwda.cli.main import cwda as group
from cwda.cli.overwriting import REPLACED, Written, writes
from cwda.cli.verbs import VERBS


def run(*arguments, **env):
    return CliRunner().invoke(group, [str(a) for a in arguments], env={"COLUMNS": "80", **env})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A network, its record, checkpoints of another training, and an answer."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for epoch in (0, 5):
        weight = torch.from_numpy(rng.normal(size=(32, 16, 3, 3)))
        torch.save({"conv.weight": weight}, f"net-{epoch}.pth")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        monitor = Monitor(nn.Sequential(nn.Conv2d(8, 16, 3)), ["mean"], to="effects.csv")
    monitor.step(0)
    cwda.check("net-0.pth", ["mean"]).save("answer.json")
    return tmp_path


def unchanged(path, *arguments):
    """The result of a command that leaves a file as it was."""
    before = path.read_bytes()
    result = run(*arguments)
    assert path.read_bytes() == before
    return result


@pytest.mark.parametrize(
    "arguments",
    [
        ("trajectory", "effects.csv", "--output", "effects.csv"),
        ("trajectory", "effects.csv", "--output", "./effects.csv"),
        ("trajectory", "effects.csv", "--output", "other.csv", "--output", "link.csv"),
    ],
)
def test_a_file_that_is_read_is_not_replaced(folder, arguments):
    (folder / "link.csv").symlink_to(folder / "effects.csv")
    result = unchanged(folder / "effects.csv", *arguments)
    assert result.exit_code == 2
    assert "would replace what the command reads; give another name" in result.stderr
    assert not (folder / "other.csv").exists()


@pytest.mark.parametrize("source", ["own/net.safetensors", "own"])
def test_a_network_is_not_pruned_onto_itself(folder, source):
    path = folder / "own" / "net.safetensors"
    path.parent.mkdir()
    shutil.copy(folder / "net-0.pth", path)
    result = unchanged(path, "prune", source, "--ratio", ".5", "--output", path)
    assert result.exit_code == 2, result.output
    assert "would replace what the command reads" in result.stderr


def test_the_record_of_a_training_outlives_other_trainings_and_other_tables(folder):
    record = folder / "effects.csv"
    result = unchanged(record, "trajectory", "net-0.pth", "net-5.pth", "--output", record)
    assert result.exit_code == 1
    assert "holds the training of Sequential, which would be lost" in result.stderr
    result = unchanged(record, "test", "net-0.pth", "--output", record)
    assert result.exit_code == 1
    assert "holds the record of a training" in result.stderr


def test_the_table_that_goes_beside_spares_records_too(folder):
    record = (folder / "effects.csv").rename(folder / "x.network.csv")
    result = unchanged(record, "test", "net-0.pth", "--output", "x.csv")
    assert result.exit_code == 1
    assert "x.network.csv: holds the record of a training" in result.stderr
    assert not (folder / "x.csv").exists()


def test_a_trajectory_replaces_its_own_table_also_by_more_epochs(folder):
    first = run("trajectory", "net-0.pth", "--output", "t.csv")
    assert first.exit_code == 0, first.output
    longer = run("trajectory", "net-0.pth", "net-5.pth", "--output", "t.csv")
    assert longer.exit_code == 0, longer.output
    assert sorted(set(pd.read_csv("t.csv")["epoch"])) == [0, 5]
    assert run("trajectory", "effects.csv", "--output", "copy.csv").exit_code == 0
    assert run("trajectory", "effects.csv", "--output", "copy.csv").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "held"),
    [
        (("test", "net-0.pth", "--output", "answer.json"), "an answer that .save wrote"),
        (("similarity", "net-0.pth", "--output", "plan.json"), "the plan of a pruning"),
        (("prune", "net-0.pth", "--ratio", ".5", "--plan", "table.json"), "a table"),
        (("prune", "net-0.pth", "--ratio", ".5", "--plan", "answer.json"), "an answer"),
    ],
)
def test_results_of_another_kind_are_kept(folder, arguments, held):
    scored = cwda.load("net-0.pth")
    cwda.pruning.select(scored, "l2", 0.5).save("plan.json")
    assert run("test", "net-0.pth", "--output", "table.json").exit_code == 0
    result = unchanged(folder / arguments[-1], *arguments)
    assert result.exit_code == 1
    assert f"holds {held}" in result.stderr
    assert "which would be lost; give another name" in result.stderr


def test_tables_and_plans_replace_their_own_kind(folder):
    for _ in range(2):
        assert run("test", "net-0.pth", "--output", "x.json", "--output", "x.csv").exit_code == 0
        pruned = ("prune", "resnet20-cifar10", "--ratio", ".5", "--plan", "p.json", "--summary")
        assert run(*pruned).exit_code == 0


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_help_says_what_becomes_of_files(verb):
    shown = " ".join(run(verb.name, "--help").output.split())
    assert (REPLACED in shown) == writes(verb)
    for option in verb.params:
        if isinstance(option.type, Written):
            assert "FILE" in shown


def test_a_monitor_does_not_mix_networks(folder, caplog):
    record = folder / "effects.csv"
    before = record.read_bytes()
    with torch.random.fork_rng():
        other = Monitor(nn.Conv2d(8, 16, 3), ["mean"], to=record)
    other.step(1)
    assert record.read_bytes() == before
    assert "holds the training of Sequential, not of Conv2d" in caplog.text
