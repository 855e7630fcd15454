"""Slips that are easily made at a command line, and the one line that answers each."""

import io
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import cwda
from cwda.cli.main import cwda as group
from cwda.cli.messages import in_options
from cwda.cli.verbs.reliability import reliability

LAYERS = ("--layers", "layer3.2.*")


def run(*arguments, **env):
    return CliRunner().invoke(group, [str(a) for a in arguments], env={"COLUMNS": "80", **env})


@pytest.fixture
def images(tmp_path):
    """A function that writes images with labels 0, 1, ..., n - 1, 0, ... and gives the path."""

    def write(classes=10, n=24, **changed):
        pixels = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), np.uint8)
        labels = np.arange(n) % classes
        arrays = {"x_train": pixels, "y_train": labels, "x_test": pixels, "y_test": labels}
        path = tmp_path / "images.npz"
        np.savez(path, **arrays | changed)
        return path

    return write


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["mine.pth"], "'mine.pth' is a network, not a verb; try `cwda test mine.pth`"),
        (["resnet18", "-v"], "try `cwda test resnet18 -v`"),
        (["here"], "try `cwda test here`"),
        (["similarty"], "no verb 'similarty'; did you mean 'similarity'?"),
    ],
)
def test_a_network_in_place_of_a_verb(tmp_path, monkeypatch, words, answer):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    result = CliRunner().invoke(group, words, prog_name="cwda")
    assert result.exit_code == 2
    assert answer in result.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a smaller batch_size", "a smaller --batch-size"),
        ("give arch=NAME", "give --arch NAME"),
        ("give arch=, such as resnet18", "give --arch, such as resnet18"),
        ("weights_key='ema' takes it", "--weights-key 'ema' takes it"),
        ("no data: give data=...", "no data: give --data PATH"),
        ("runs/arch=x/net.pth: the data are gone", "runs/arch=x/net.pth: the data are gone"),
        ("shape= is no option here", "shape= is no option here"),
    ],
)
def test_arguments_are_options_in_messages(text, shown):
    with click.Context(reliability):
        assert in_options(text) == shown
    assert in_options(text) == text


def test_reasons_on_screen_name_options(images):
    result = run("similarity", *LAYERS, "--criteria", "l2,apoz", "--data", images())
    assert "smaller --batch-size" in " ".join(result.stdout.split())
    assert "batch_size" not in result.output


@pytest.mark.parametrize("verb", ["similarity", "applicability", "advise", "global-pruning"])
@pytest.mark.parametrize(
    ("option", "value", "code", "answer"),
    [
        ("--data", "none.npz", 1, "none.npz: no such file"),
        ("--normalisation", "foo", 2, "unknown normalisation 'foo'"),
    ],
)
def test_values_that_are_not_used_are_checked(verb, option, value, code, answer):
    result = run(verb, *LAYERS, option, value)
    assert result.exit_code == code
    assert answer in result.stderr


def test_data_that_are_not_used_are_told(images):
    result = run("similarity", *LAYERS, "--criteria", "l1,l2", "--data", images(), "--summary")
    assert result.exit_code == 0
    assert result.stderr == "--data is not used: l1 and l2 need no images\n"


@pytest.mark.filterwarnings("default:the network tells:RuntimeWarning")
@pytest.mark.parametrize("criterion", ["apoz", "taylor_l1"])
def test_images_of_other_classes_are_told(images, criterion):
    given = ["similarity", *LAYERS, "--criteria", f"l2,{criterion}", "--batch-size", 6, "--data"]
    assert "classes" not in run(*given, images()).stderr
    few = run(*given, images(classes=3))
    assert few.exit_code == 0
    assert few.stderr.count("tells 10 classes apart, but the labels end at 2") == 1
    many = run(*given, images(classes=24))
    if criterion == "apoz":  # which looks at no labels
        assert "tells 10 classes apart, but the labels end at 23" in many.stderr
    else:
        assert many.exit_code == 1
        assert "labels run from 0 to 23, but the model has 10 classes" in many.stderr


def test_one_batch_has_no_halves(images):
    result = run("reliability", *LAYERS, "--criteria", "l2,apoz", "--data", images())
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "24 images in batches of 128 are one batch" in result.stderr
    assert "--batch-size 3" in result.stderr


def test_reliability_of_weights_says_what_the_verb_is_for():
    words = " ".join(run("reliability", *LAYERS).stdout.split())
    assert "l1, l2, gm and fermat read only weights" in words


def test_a_file_without_batchnorm_says_so(tmp_path):
    path = tmp_path / "plain.pth"
    torch.save({"conv.weight": torch.randn(16, 3, 3, 3, generator=torch.Generator())}, path)
    result = run("similarity", path, "--criteria", "l1,bn_gamma")
    assert result.exit_code == 1
    assert "plain: no BatchNorm was found" in result.stderr


def test_an_architecture_of_the_wrong_name_is_refused_and_the_right_one_offered(tmp_path):
    path = tmp_path / "net.pth"
    torch.save(cwda.load_model("resnet20-cifar10").state_dict(), path)
    result = run("similarity", path, "--criteria", "l1,bn_gamma", "--arch", "resnet20")
    assert result.exit_code == 1
    assert "no architecture 'resnet20'; did you mean cifar_resnet20" in result.stderr


@pytest.mark.parametrize("verb", ["similarity", "applicability", "reliability", "predict"])
def test_a_name_that_is_given_twice_counts_once(verb):
    one, twice = (
        run(verb, *LAYERS, "--criteria", names, "--output", "-") for names in ("l1,l2", "l1,l2,l1")
    )
    assert one.exit_code == 0
    assert one.stdout == twice.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["calibrate", "--output", "no/x.jsonl"],
        ["train", "--data", "x", "--output", "file/x"],
        ["study", "--data", "x", "--output", "file/x"],
        ["experiment", "resnet20-cifar10", "--data", "x", "--folder", "file/x"],
        ["reproduce", "huang2021", "--folder", "file/x"],
        ["reproduce", "huang2021", "--output", "no/x.pdf"],
        ["report", "--output", "no/x.pdf"],
        ["test", "--report", "no/x.pdf"],
        ["validity", "--data", "x", "--output", "no/x.csv"],
        ["applicability", "--figure", "no/x.pdf"],
    ],
)
def test_what_cannot_be_written_is_noticed_first(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    for work in ("cwda.cli.sources.Sources.load", "cwda.calibration.calibrate"):
        monkeypatch.setattr(work, lambda *_, **__: pytest.fail("work before the check"))
    result = run(*arguments)
    assert result.exit_code == 1
    assert "does not exist" in result.stderr or "is a file, not a folder" in result.stderr


def test_a_disk_without_room_is_noticed_first(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cwda.files.tempfile.TemporaryFile", full)
    result = run("similarity", *LAYERS, "--output", tmp_path / "x.csv")
    assert result.exit_code == 1
    assert "x.csv: cannot be written (No space left on device)" in result.stderr
    assert result.stdout == ""


def test_help_of_predict_says_where_criteria_from_data_are():
    assert "`cwda similarity` measures" in " ".join(run("predict", "--help").stdout.split())


def test_legends_explain_every_column(images):
    words = " ".join(run("applicability", *LAYERS).stdout.split())
    for part in ("CV:", "predicted:", "ratio:", "discriminates, weakly, not:", "apart:", "swap:"):
        assert part in words
    given = ["--data", images(), "--criteria", "l2", "--layers", "layer3.2.conv2"]
    words = " ".join(run("validity", *given).stdout.split())
    for part in ("from and to", "corrected may exceed 1", "regret may exceed 1", "– undefined"):
        assert part in words


def test_advice_says_which_columns_have_no_room():
    shown = run("advise", *LAYERS, COLUMNS="40").stdout
    assert "no room for" in shown
    clusters = shown.partition("stand-in")[2].partition("normalise")[0]
    assert "tells apart" in " ".join(clusters.split())


def test_tables_have_the_batches_that_were_asked_for(images):
    given = ["similarity", *LAYERS, "--criteria", "l2,apoz", "--data", images(), "--batch-size", 6]
    result = run(*given, "--output", "-")
    table = pd.read_csv(io.StringIO(result.stdout))
    assert table["reliability_b"].notna().all()


def test_the_legend_of_predict_explains_every_rung():
    result = run("predict", *LAYERS, "--criteria", "l1,l2")
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    legend = text[text.index("rungs: ") :]
    table = result.stdout[: result.stdout.index("error, bias:")].splitlines()
    rungs = {line.split()[1] for line in table if line.strip().startswith("l1-l2")}
    assert "bound" in rungs
    for rung in rungs:
        assert f"{rung}: " in legend
    assert "bound" not in run("predict", *LAYERS, "--rungs", "block").stdout
