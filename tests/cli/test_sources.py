"""Networks on the command line: files and names as arguments, names by --model."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import cwda
from cwda.cli import sources
from cwda.cli.analysis import Analysis
from cwda.cli.main import cwda as group
from cwda.cli.main import cwda_test
from cwda.cli.verbs import VERBS


def run(*arguments, command=cwda_test):
    return CliRunner().invoke(command, [str(a) for a in arguments], env={"COLUMNS": "80"})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with files called as models are."""
    generator = torch.Generator().manual_seed(0)
    weights = {"only.weight": torch.randn(16, 3, 3, 3, generator=generator)}
    for name in ("resnet18", "resnet20-cifar10", "net.pth", "plain"):
        torch.save(weights, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_arguments_and_names_are_mixed(folder):
    result = run("net.pth", "--model", "resnet20-cifar10:init", "plain", "--conditions", "mean")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    places = [lines.index(name) for name in ("net", "plain", "resnet20-cifar10:init")]
    assert places == sorted(places)


@pytest.mark.parametrize("name", ["resnet18", "resnet20-cifar10"])
def test_a_file_beats_a_model_and_a_line_says_so(folder, name):
    result = run(name, "--summary")
    assert result.exit_code == 0, result.output
    assert "1 convolution," in result.stdout
    assert result.stderr == f"warning: {name}: the file of this name is read, not the model\n"


def test_a_name_given_as_a_model_is_no_file(folder):
    result = run("--model", "resnet20-cifar10", "--summary")
    assert result.exit_code == 0, result.output
    assert "19 convolutions" in result.stdout
    assert result.stderr == ""
    failed = run("--model", "net.pth")
    assert failed.exit_code == 1
    assert failed.stderr == (
        "error: net.pth is a file, not the name of a model; leave --model out\n"
    )


def test_a_model_beats_a_folder_and_a_line_says_so(tmp_path, monkeypatch, caplog):
    (tmp_path / "resnet20-cifar10").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(cwda.load("resnet20-cifar10")) == 19
    assert "write ./resnet20-cifar10" in caplog.text
    with pytest.raises(cwda.CwdaError, match="a folder without a checkpoint"):
        cwda.load("./resnet20-cifar10")


def test_load_model_takes_the_file_as_load_does(folder):
    with pytest.raises(cwda.CwdaError, match="resnet20-cifar10: its keys fit no"):
        cwda.load_model("resnet20-cifar10")


@pytest.mark.parametrize(
    "verb",  # all that need no network that runs
    [verb.name for verb in VERBS if isinstance(verb, Analysis) and verb.name != "validity"],
)
def test_every_verb_takes_arguments_and_does_the_others(folder, verb):
    result = run(verb, "none.pth", "net.pth", "-", "", command=group)
    assert result.exit_code == 1
    assert "1 convolution," in result.stdout
    assert [line.split(":")[1].strip() for line in result.stderr.splitlines()] == [
        "none.pth", "'-' is not a source; give a file, a folder or a name",
        "'' is not a source; give a file, a folder or a name",
    ]  # fmt: skip


def test_an_error_of_all_networks_is_told_once(folder):
    result = run("predict", "net.pth", "plain", "--simulate", "--draws", "3", command=group)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "layout"),
    [
        ([], None),
        (["HWIO"], "HWIO"),
        (["stem*=HWIO"], {"stem*": "HWIO"}),
        (["stem*=HWIO", "OHWI"], {"*": "OHWI", "stem*": "HWIO"}),
    ],
)
def test_layouts_are_handed_to_load(folder, monkeypatch, options, layout):
    import cwda.loading

    load, seen = cwda.loading.load, []

    def spy(source, *, layout=None, **how):
        seen.append(layout)
        return load(source, **how)

    monkeypatch.setattr(cwda.loading, "load", spy)
    given = [part for option in options for part in ("--layout", option)]
    assert run("net.pth", "--summary", *given).exit_code == 0
    assert seen == [layout]
    assert not isinstance(layout, dict) or list(seen[0]) == list(layout)


def test_two_orders_for_all_layers_are_bad_usage(folder):
    failed = run("net.pth", "--layout", "HWIO", "--layout", "OHWI")
    assert failed.exit_code == 2
    assert "GLOB=ORDER" in failed.stderr


@pytest.mark.parametrize("verb", ["prune", "experiment"])
def test_pruning_takes_one_network(folder, verb):
    for given in ([], ["net.pth", "plain"], ["net.pth", "--model", "resnet18"]):
        failed = run(verb, *given, "--data", "images.npz", command=group)
        assert failed.exit_code == 2
        assert "one SOURCE to prune" in failed.stderr


def test_a_folder_of_several_checkpoints_names_the_way_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "my nets"
    place.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.pth", "b.pth"):
        weight = torch.from_numpy(rng.normal(size=(16, 8, 3, 3)))
        torch.save({"conv.weight": weight}, place / name)
    (place / "notes.pth").write_text("what each of them is\n")
    images = np.zeros((4, 32, 32, 3), np.uint8)
    np.savez(place / "cifar10.npz", x_train=images, y_train=np.zeros(4))
    failed = run("my nets")
    assert failed.exit_code == 1
    assert "my nets: a folder with 2 checkpoints (a.pth, b.pth); name one, or all" in failed.stderr
    assert "`cwda-test 'my nets'/*.pth`" in failed.stderr
    assert "`cwda survey 'my nets' --output FOLDER`" in failed.stderr
    (place / "b.pth").unlink()
    assert run("my nets", "--summary").exit_code == 0  # one checkpoint beside what is none


def test_a_folder_of_no_weights_is_still_told_by_its_files(tmp_path):
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).write_text("a text\n")
    failed = run(tmp_path)
    assert "2 checkpoints (a.pth, b.pth)" in failed.stderr


def test_a_pointer_in_place_of_a_checkpoint_counts(tmp_path):
    torch.save({"conv.weight": torch.ones(16, 8, 3, 3)}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "2 checkpoints (a.pth, b.pth)" in run(tmp_path).stderr


EARLY = """
import sys
from cwda.cli.main import cwda
try:
    cwda(sys.argv[1:])
except SystemExit as end:
    assert "torch" not in sys.modules, "torch was loaded"
    sys.exit(end.code)
"""


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("test nosuch.pth", 1, "error: nosuch.pth: no such file; check the path"),
        ("advise no/such.onnx gone.pt", 1, "error: gone.pt: no such file; check the path"),
        ("test --conditions foo", 2, "unknown condition 'foo'"),
        ("advise --criteria l3", 2, "no criterion 'l3'; did you mean"),
        ("predict --rungs blok", 2, "unknown rung 'blok'; did you mean 'block'?"),
        ("contrast one.pth", 1, "one.pth: no such file"),
        ("contrast resnet18", 2, "give two SOURCES to compare, not 1"),
        ("test --output x.xyz", 1, "end the name with .csv, .json, .parquet"),
        ("test --output x.csv --quiet --verbose", 2, "--quiet and --verbose contradict each other"),
    ],
)
def test_slips_are_told_before_libraries_are_loaded(tmp_path, line, code, words):
    found = subprocess.run(
        [sys.executable, "-c", EARLY, *line.split()], cwd=tmp_path, capture_output=True, text=True
    )
    assert found.returncode == code, found.stderr
    assert words in found.stderr


def test_paths_that_may_be_something_else_are_left_to_the_loader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"conv.weight": torch.ones(16, 8, 3, 3)}, "a.pth")
    for text in ("hf:some/net.pth", "s3://bucket/net.pth", "./a.pth", "resnet81", "a.pth"):
        sources._require_some([sources.Entry(text, False)])
    sources._require_some([sources.Entry("gone.pth", False), sources.Entry("a.pth", False)])
    sources._require_some([sources.Entry("gone.pth", True)])
