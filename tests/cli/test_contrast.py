"""`cwda contrast`: two networks on a terminal of any width, and their files."""

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import cwda
from cwda.cli.main import cwda as group


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two networks of one shape, and one of another."""
    folder = tmp_path_factory.mktemp("networks")
    draw = torch.Generator().manual_seed(0)
    shapes = {"first": (2, 16), "second": (2, 16), "other": (1, 24)}
    for name, (count, n) in shapes.items():
        weights = {
            f"stage{at}.a-long-name-of-a-layer.conv.weight": torch.randn(n, 8, 3, 3, generator=draw)
            for at in range(count)
        }
        torch.save(weights, folder / f"{name}.pth")
    return folder


def run(*arguments, columns="80"):
    return CliRunner().invoke(group, ["contrast", *map(str, arguments)], env={"COLUMNS": columns})


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_the_sentences_come_first_and_every_line_fits(files, columns):
    pair = files / "first.pth", files / "second.pth"
    result = run(*pair, columns=columns)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines[:-1])) <= int(columns)
    said = " ".join(result.stdout.split())
    for sentence in cwda.contrast(*pair).sentences:
        assert " ".join(sentence.split()) in said
    assert lines[-1].endswith(f"cwda test {pair[0]} {pair[1]}")
    assert any(word in said for word in ("same", "unsettled"))


def test_tables_of_conditions_and_of_layers_are_written(files, tmp_path):
    result = run(
        files / "first.pth", files / "second.pth", "--conditions", "mean,epsilon",
        "--output", tmp_path / "x.csv", "--summary", "--figure", tmp_path / "x.svg",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "a-long-name" not in result.stdout
    assert "second, compared with first" in (tmp_path / "x.svg").read_text()
    assert pd.read_csv(tmp_path / "x.csv")["condition"].tolist() == ["mean", "epsilon"]
    assert len(pd.read_csv(tmp_path / "x.layers.csv")) == 4


def test_networks_of_other_shapes_and_wrong_numbers_of_them(files):
    result = run(files / "first.pth", files / "other.pth", "--conditions", "mean")
    assert "do not match" in result.stdout
    for sources in ((), ("first",), ("first", "second", "other")):
        result = run(*(files / f"{name}.pth" for name in sources))
        assert result.exit_code == 2
        assert f"give two SOURCES to compare, not {len(sources)}" in result.stderr
    result = run(files / "first.pth", "no-such-file.pth")
    assert result.exit_code == 1
    assert "no-such-file.pth" in result.stderr
    result = run(files / "first.pth", files / "second.pth", "--margin", "mean=-1")
    assert result.exit_code == 2


def test_networks_without_a_common_layer_say_why_the_table_of_layers_is_empty(files, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        weight = torch.from_numpy(rng.normal(size=(16, 8 if name == "one" else 4, 3, 3)))
        torch.save({f"{name}.weight": weight}, tmp_path / f"{name}.pth")
    path = tmp_path / "x.csv"
    result = run(tmp_path / "one.pth", tmp_path / "two.pth", "--output", path)
    assert result.exit_code == 0, result.output
    told = f"wrote 0 rows to {tmp_path / 'x.layers.csv'}: the networks have no layer in common"
    assert told in result.stderr
    assert "-.000" not in result.stdout
