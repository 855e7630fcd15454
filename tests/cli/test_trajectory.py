"""`cwda trajectory`: checkpoints or the file of a monitor, as a table, a figure and a file."""

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from cwda.callbacks import Monitor
from cwda.callbacks.csv_file import CsvFile
from cwda.callbacks.trajectory import EpochCondition
from cwda.cli.main import cwda


def run(*arguments, width=80):
    arguments = ["trajectory", *map(str, arguments)]
    return CliRunner().invoke(cwda, arguments, env={"COLUMNS": str(width)})


@pytest.fixture
def checkpoints(tmp_path):
    """Three epochs; in the last the mean has moved away from 0."""
    paths = []
    for epoch in (0, 5, 10):
        rng = np.random.default_rng(epoch)
        weight = rng.normal(0.5 * (epoch == 10), size=(64, 16, 3, 3))
        paths.append(tmp_path / f"net-{epoch}.pth")
        torch.save({"conv.weight": torch.from_numpy(weight)}, paths[-1])
    return paths


def test_checkpoints_are_shown_in_80_columns_drawn_and_written(checkpoints, tmp_path):
    table, figure = tmp_path / "effects.csv", tmp_path / "effects.svg"
    result = run(*checkpoints, "--conditions", "mean", "--output", table, "--figure", figure)
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "Fails since epoch 10: mean." in result.stdout
    assert "✓✓✗" in result.stdout
    written = pd.read_csv(table)
    assert written["epoch"].tolist() == [0, 5, 10]
    assert written["verdict"].tolist() == ["holds", "holds", "fails"]
    assert "<svg" in figure.read_text()


def test_the_file_of_a_monitor_is_read(tmp_path):
    path = tmp_path / "effects.csv"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        monitor = Monitor(nn.Conv2d(8, 16, 3), ["mean", "epsilon"], to=path)
    for epoch in range(70):
        monitor.writers[0](epoch, [])  # epochs without rows leave none
    monitor.step(70)
    result = run(path)
    assert result.exit_code == 0, result.output
    assert "CWDA at epoch 70. " in result.stdout
    assert "throughout" not in result.stdout
    assert result.stdout.count("at 70") == 1  # one column, not the first and the last
    assert result.stdout.count("mean") >= 2


def test_many_records_are_thinned_and_the_last_is_shown(tmp_path):
    path = tmp_path / "effects.csv"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Conv2d(8, 64, 3)
    monitor = Monitor(model, ["mean"], to=path)
    for epoch in range(34):
        monitor.step(epoch)
    with torch.no_grad():
        model.weight += 0.1
    monitor.step(34)
    result = run(path)
    assert "✓" * 17 + "✗" in result.stdout  # 17 of 34, and the last
    assert "✓" * 18 not in result.stdout
    assert "2th record" not in result.stdout
    assert "every 2nd record" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("losses.csv", "epoch,loss\n0,1\n", "not the file of a cwda.callbacks.Monitor"),
        ("gone.csv", None, "no such file"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, words):
    if content:
        (tmp_path / name).write_text(content)
    result = run(tmp_path / name)
    assert result.exit_code == 1
    assert words in result.stderr


def test_names_without_an_epoch_are_refused(tmp_path):
    path = tmp_path / "net.pth"
    torch.save({"conv.weight": torch.ones(8, 8, 3, 3)}, path)
    result = run(path)
    assert result.exit_code == 1
    assert "no epoch in the name 'net'" in result.stderr


def rows_of(effects, verdicts, notes):
    """Records of homogeneity, with intervals of .01 about the effects and a margin of .125."""
    return tuple(
        EpochCondition(
            epoch=10.0 * at, level=0.9, network="net", condition="homogeneity", layers=1,
            weights=1.0, effect=effect, effect_low=effect - 0.01, effect_high=effect + 0.01,
            margin=0.125, verdict=verdict, note=note, holds=0, fails=0, inconclusive=0,
            not_applicable=0,
        )
        for at, (effect, verdict, note) in enumerate(zip(effects, verdicts, notes, strict=True))
    )  # fmt: skip


@pytest.mark.parametrize("width", ["", "60", "80", "200"])
def test_a_verdict_that_a_further_question_decides_says_so(tmp_path, width):
    told = rows_of(
        [0.0, 0.0, 0.04, 0.2, 0.04],
        ["fails", "fails", "inconclusive", "fails", "holds"],
        ["norms alike", "norms alike", "norms perhaps alike", "filters differ in scale", ""],
    )
    path = tmp_path / "effects.csv"
    for epoch in sorted({row.epoch for row in told}):
        CsvFile(path).write(epoch, [row for row in told if row.epoch == epoch])
    result = run(path, width=width)
    assert result.exit_code == 0, result.output
    if width:
        assert max(map(len, result.stdout.splitlines())) <= int(width)
    assert (
        "homogeneity fails at 0 and 10, is open at 20, fails at 30, holds from 40; a further "
        "question decides at 0 and 10 (norms alike) and at 20 (norms perhaps alike)"
    ) in " ".join(result.stdout.split())


def test_a_course_without_a_change_or_question_is_not_repeated(tmp_path):
    path = tmp_path / "effects.csv"
    told = rows_of([0.04, 0.04], ["holds", "holds"], ["", ""])
    CsvFile(path).write(10, told)
    result = run(path)
    assert "homogeneity holds" not in result.stdout
    assert "further question" not in result.stdout
