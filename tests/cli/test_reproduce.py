"""`cwda reproduce`: verdicts on the screen, the document, and bad usage told in one line."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.torch import save_file

from cwda.cli.main import cwda
from cwda.reproduction import SCHEDULES
from tests.experiment.conftest import images, model  # noqa: F401 (a fixture)
from tests.reproduction.test_huang2021 import TINY


@pytest.fixture
def files(model, tmp_path):  # noqa: F811
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, tmp_path / "net.safetensors")
    (x_train, y_train), (x_test, y_test) = images(64, 1), images(40, 2)
    arrays = {"x_train": x_train.permute(0, 2, 3, 1), "x_test": x_test.permute(0, 2, 3, 1)}
    np.savez(tmp_path / "data.npz", y_train=y_train, y_test=y_test, **arrays)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(cwda, ["reproduce", *map(str, arguments)])


def test_the_command_prints_verdicts_and_writes_the_document(files, monkeypatch):
    monkeypatch.setitem(SCHEDULES, "quick", TINY)
    done = call(
        "huang2021", files / "net.safetensors", "--data", files / "data.npz", "--schedule", "quick",
        "--folder", files / "run", "--output", files / "out.html", "--no-date", "--device", "cpu",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "huang2021, " in done.stdout
    assert "agreed" in done.stdout
    assert "wrote" in done.stderr
    assert "cwda reproduce huang2021" in (files / "out.html").read_text()
    assert {path.name for path in (files / "run").iterdir()} == {"scores", "experiments"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("huang2022",), 2, "did you mean 'huang2021'"),
        (("huang2021", "--data", "a", "--normalisation", "x"), 2, "normalisation"),
        (("huang2021", "--data", "a.npz"), 1, "a.npz"),
        (("huang2021", "--output", "a.txt"), 1, "a.txt"),
        (("huang2021", *["--normalisation", "cifar10"] * 2, "--data", "a"), 2, "one for each"),
    ],
)
def test_bad_command_lines_are_told(arguments, code, message):
    failed = call(*arguments)
    assert failed.exit_code == code
    assert message in failed.output
