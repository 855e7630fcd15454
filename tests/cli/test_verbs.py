"""The verbs of `cwda` beside `test`: screens, files, mistakes."""

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import cwda
from cwda.cli.main import cwda as group
from cwda.cli.main import cwda_test

VERBS = ("similarity", "predict", "applicability", "global")


def run(*arguments, command=group):
    return CliRunner().invoke(command, [str(a) for a in arguments], env={"COLUMNS": "80"})


@pytest.fixture
def checkpoint(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"conv1": (16, 3, 3, 3), "conv2": (32, 16, 3, 3), "one": (1, 32, 3, 3)}
    weights = {f"{n}.weight": torch.from_numpy(rng.normal(size=s)) for n, s in shapes.items()}
    weights["dead.weight"] = torch.zeros(16, 4, 3, 3)
    path = tmp_path / "net.pth"
    torch.save(weights, path)
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_screen_fits_80_columns_and_tells_the_reasons(verb, checkpoint):
    result = run(verb, checkpoint)
    assert result.exit_code == 0, result.output
    assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 80
    words = " ".join(result.output.split())
    assert "4 convolutions" in words
    assert "nan" not in words
    assert "are needed" in words or "fewer than 8 filters" in words or "1 filter" in words


@pytest.mark.parametrize("verb", VERBS)
def test_output_is_the_table_of_the_function(verb, checkpoint, tmp_path):
    path = tmp_path / "table.csv"
    result = run(verb, checkpoint, "--output", path, "--device", "cpu")
    assert result.exit_code == 0, result.output
    net = cwda.load(checkpoint)
    expected = {
        "similarity": lambda: cwda.similarity(net, device="cpu"),
        "predict": lambda: cwda.compare(
            cwda.similarity(net, device="cpu"), cwda.theory.predict(net, device="cpu")
        ),
        "applicability": lambda: cwda.applicability(net, device="cpu"),
        "global": lambda: cwda.global_pruning(net, device="cpu"),
    }[verb]().table
    written = pd.read_csv(path)
    assert list(written.columns) == list(expected.columns)
    assert len(written) == len(expected)
    numbers = expected.select_dtypes("number").columns
    np.testing.assert_allclose(
        written[numbers].astype(float), expected[numbers].astype(float), rtol=1e-9, atol=1e-12
    )


def test_simulated_predictions_have_a_seed(checkpoint, tmp_path):
    tables = []
    for name in ("a.csv", "b.csv"):
        arguments = ["predict", checkpoint, "--simulate", "--draws", "40"]
        arguments += ["--rungs", "block", "--criteria", "l1,l2", "--output", tmp_path / name]
        assert run(*arguments).exit_code == 0
        tables.append((tmp_path / name).read_text())
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["similarity", "--criteria", "l1"], "2 criteria or more"),
        (["similarity", "--criteria", "l1,l3"], "did you mean"),
        (["predict", "--rungs", "skale"], "did you mean 'scale'"),
        (["predict", "--simulate", "--draws", "3"], "39 draws or more"),
        (["applicability", "--criteria", "fermaat"], "did you mean 'fermat'"),
        (["applicability", "--ratio", "1.5"], "between 0 and 1"),
        (["global", "--ratios", ".1,1.2"], "between 0 and 1"),
        (["models", "--match", "resnut*"], "no model is called 'resnut*'"),
        (["train", "--data", "x", "--output", "y", "--depth", "19"], "6n + 2"),
        (["train", "--data", "x", "--output", "y", "--optimizer", "lion"], "known are sgd"),
        (["report", "--output", "report.doc"], "unknown format"),
        (["report", "--output", "nowhere/report.pdf"], "does not exist"),
    ],
)
def test_mistakes_are_one_line(arguments, words):
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_a_bad_file_does_not_lose_the_others(checkpoint, tmp_path):
    result = run("similarity", tmp_path / "none.pth", checkpoint)
    assert result.exit_code == 1
    assert "none.pth" in result.stderr
    assert "conv2" in result.output


@pytest.mark.parametrize("suffix", ["pdf", "html"])
def test_reports_are_written(checkpoint, tmp_path, suffix):
    path = tmp_path / f"net.{suffix}"
    result = run("report", checkpoint, "--output", path, "--no-date")
    assert result.exit_code == 0, result.output
    assert path.stat().st_size > 50_000


def test_testing_can_write_a_report(checkpoint, tmp_path):
    path = tmp_path / "net.pdf"
    result = run(checkpoint, "--report", path, command=cwda_test)
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(b"%PDF")
