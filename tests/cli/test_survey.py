"""`cwda survey`: one line for whatever is wrong, before any work."""

import sys

import pytest
from click.testing import CliRunner

from cwda.cli.main import cwda


def run(*arguments):
    return CliRunner().invoke(cwda, ["survey", *map(str, arguments)])


def test_sources_that_are_none_are_rows_and_lines(tmp_path):
    (tmp_path / "resnet-mine.pth").write_text("x")
    names = tmp_path / "names.txt"
    names.write_text("# three typos\nresnet-mime.pth\nresnet81\ntorchvision:vgg99\n")
    (tmp_path / "empty").mkdir()
    result = run(names, tmp_path / "empty", "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "4 sources: 4 unavailable; the tables are in" in result.stdout
    lines = result.stderr.splitlines()
    assert all(line.startswith("unavailable: ") for line in lines)
    for told in (
        "resnet-mime.pth: no such file; did you mean resnet-mine.pth?",
        "'resnet81' is neither a known model nor a file; did you mean resnet",
        "torchvision:vgg99: no such network; did you mean 'vgg1",
        "empty: a folder without a checkpoint",
    ):
        assert any(told in line for line in lines), told


@pytest.mark.skipif(sys.platform == "win32", reason="such names cannot be there")
def test_the_name_of_a_file_is_shown_and_not_obeyed(tmp_path):
    name = "e\x1b[31mvil\nx.pth"
    result = run(tmp_path / name, "--output", tmp_path / "out")
    (line,) = result.stderr.splitlines()
    assert line.isprintable()
    assert r"e\x1b[31mvil\nx.pth: no file matches" in line


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("file", "is a file, not the folder of a survey"),
        ("other", "is not empty and holds no survey"),
        ("/proc/survey", "cannot be written"),
    ],
)
def test_folders_that_cannot_be_written(tmp_path, output, line):
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.md").touch()
    result = run("resnet20-cifar10", "--output", tmp_path / output)
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert line in result.stderr


def test_bad_usage(tmp_path):
    assert run("--output", tmp_path).exit_code == 2
    assert run("resnet20-cifar10").exit_code == 2
    assert run("resnet20-cifar10", "--output", tmp_path, "--workers", "0").exit_code == 2


def test_one_source_that_is_not_there_leaves_no_folder(tmp_path):
    result = run(tmp_path / "checkpiont", "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert f"{tmp_path / 'out'} was not made" in result.stderr
    assert not (tmp_path / "out").exists()
