"""`cwda experiment` on the command line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from cwda.cli.main import cwda
from cwda.experiment import ExperimentResult
from tests.experiment.conftest import images


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """A checkpoint and an array file."""
    folder = tmp_path_factory.mktemp("files")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()},
              folder / "net.safetensors")  # fmt: skip
    (x_train, y_train), (x_test, y_test) = images(64, 1), images(40, 2)
    np.savez(
        folder / "data.npz",
        x_train=x_train.permute(0, 2, 3, 1).numpy(),
        y_train=y_train.numpy(),
        x_test=x_test.permute(0, 2, 3, 1).numpy(),
        y_test=y_test.numpy(),
    )
    return folder


def call(files, folder, *arguments: str, source: str | None = None):
    given = [source or str(files / "net.safetensors"), "--data", str(files / "data.npz")]
    return CliRunner().invoke(
        cwda, ["experiment", *given, "--folder", str(folder / "run"), "--device", "cpu", *arguments]
    )


def test_writes_table_figures_and_resumes(files, tmp_path):
    arguments = ["--criteria", "l1,l2,gm", "--ratios", ".25,.5", "--finetune", "1"]
    arguments += ["--finetune-at", ".5", "--batch-size", "32", "--seeds", "2"]
    arguments += ["--output", str(tmp_path / "table.csv"), "--figure", str(tmp_path / "curve.svg")]
    arguments += ["--pairs", str(tmp_path / "pairs.csv")]
    found = call(files, tmp_path, *arguments)
    assert found.exit_code == 0, found.output
    assert "layerwise, pruned" in found.output
    assert "global, finetuned" in found.output
    table = pd.read_csv(tmp_path / "table.csv")
    assert len(table) == 1 + 2 * 2 * 3 * 2 + 2 * 3 * 2
    assert len(pd.read_csv(tmp_path / "pairs.csv")) == 2 * 2 * 3
    for strategy in ("layerwise", "global"):
        assert "accuracy, in %" in (tmp_path / f"curve-{strategy}.svg").read_text()
    answer = ExperimentResult.load(tmp_path / "run")  # as `cwda report --experiment` does
    assert (len(answer), answer.networks[0].name) == (len(table), "net")
    first = (tmp_path / "curve-global.svg").read_bytes()
    again = call(files, tmp_path, *arguments)
    assert again.exit_code == 0
    assert (pd.read_csv(tmp_path / "table.csv").seconds == table.seconds).all()
    assert (tmp_path / "curve-global.svg").read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--figure", "a.txt"], "unknown format"),
        (["--output", "no/such/folder.csv"], "does not exist"),
        (["--finetune", "1", "--learning-rate", "0"], "a learning rate lies above 0"),
        (["--data", "no-such.npz"], "no-such.npz"),
    ],
)
def test_errors_are_one_line(files, tmp_path, arguments, message):
    found = call(files, tmp_path, *arguments)
    assert found.exit_code == 1, found.output
    assert found.stderr.startswith("error: ")
    assert len(found.stderr.splitlines()) == 1
    assert message in found.stderr


def test_a_ratio_beyond_1_is_a_slip_of_the_command_line(files, tmp_path):
    found = call(files, tmp_path, "--ratios", "1.5")
    assert found.exit_code == 2
    assert "between 0 and 1 (exclusive), not 1.5" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--criteria", "l3"], "no criterion 'l3'"),
        (["--normalisation", "cifar"], "unknown normalisation 'cifar'"),
    ],
)
def test_unknown_names_are_bad_usage(files, tmp_path, arguments, message):
    found = call(files, tmp_path, *arguments)
    assert found.exit_code == 2, found.output
    assert message in found.stderr.splitlines()[-1]


def test_classes_that_do_not_fit_are_one_line(files, tmp_path, model):
    other = dict(model.state_dict())
    other |= {"linear.weight": torch.zeros(7, 32), "linear.bias": torch.zeros(7)}
    save_file(other, tmp_path / "seven.safetensors")
    found = call(files, tmp_path, source=str(tmp_path / "seven.safetensors"))
    assert found.exit_code == 1
    assert found.stderr == "error: the model has 7 classes, the data have 4\n"
    assert not (tmp_path / "run").exists()


def test_another_experiment_in_the_folder_is_one_line(files, tmp_path):
    assert call(files, tmp_path, "--criteria", "l1", "--ratios", ".5").exit_code == 0
    found = call(files, tmp_path, "--criteria", "l1", "--ratios", ".5", "--subset", "20")
    assert found.exit_code == 1
    assert "another experiment (subset: null, now 20)" in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_an_interruption_says_how_to_resume(files, tmp_path, monkeypatch):
    from cwda.experiment.specimen import Specimen

    accuracy, calls = Specimen.accuracy, []

    def interrupted(self, *given):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return accuracy(self, *given)

    monkeypatch.setattr(Specimen, "accuracy", interrupted)
    found = call(files, tmp_path, "--criteria", "l1,l2", "--ratios", ".25,.5")
    assert found.exit_code == 130
    assert "rerun the same command to resume" in found.stderr
    done = (tmp_path / "run" / "trials.jsonl").read_text()
    assert done.count('"Trial"') == 2
    monkeypatch.undo()
    assert call(files, tmp_path, "--criteria", "l1,l2", "--ratios", ".25,.5").exit_code == 0
