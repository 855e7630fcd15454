"""`cwda-test` as a user meets it: output, files, exit codes, errors."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import cwda
from cwda.cli.main import cwda as cwda_group
from cwda.cli.main import cwda_test


def run(*arguments, command=cwda_test):
    return CliRunner().invoke(command, [str(a) for a in arguments], env={"COLUMNS": "80"})


@pytest.fixture
def checkpoint(tmp_path):
    generator = torch.Generator().manual_seed(0)
    weights = {
        "first.weight": torch.randn(16, 3, 3, 3, generator=generator),
        "a.very.long.name.of.a.layer.inside.modules.conv.weight": torch.randn(
            32, 16, 1, 1, generator=generator
        ),
        "dead.weight": torch.zeros(16, 16, 3, 3),
    }
    path = tmp_path / "net.pth"
    torch.save(weights, path)
    return path


def test_without_a_model_the_built_in_one_is_tested():
    result = run()
    assert result.exit_code == 0, result.output
    assert "resnet20-cifar10" in result.output
    assert "19 convolutions, 267,696 weights" in result.output
    for condition in cwda.conditions.CONDITIONS:
        assert condition in result.output
    assert "layer3.2.conv2" in result.output


def test_output_fits_80_columns(checkpoint):
    for arguments in ([], [checkpoint], ["--conditions", "epsilon"]):
        result = run(*arguments)
        assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 80
        assert "Traceback" not in result.output


def test_screen_and_table_tell_the_same():
    network = cwda.load("resnet20-cifar10")
    table = cwda.check(network).table
    shown = run().output.splitlines()
    line = next(line for line in shown if line.startswith("layer1.0.conv1"))
    effect = table[(table["layer"] == "layer1.0.conv1") & (table["condition"] == "mean")]
    assert f"{effect['effect'].item():.3f}".removeprefix("0") in line


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_output_file_holds_the_table(tmp_path, checkpoint, suffix):
    path = tmp_path / f"table.{suffix}"
    result = run(checkpoint, "--output", path)
    assert result.exit_code == 0, result.output
    expected = cwda.check(cwda.load(checkpoint)).table
    read = {
        "csv": lambda: pd.read_csv(path, keep_default_na=False, na_values={"effect": [""]}),
        "json": lambda: pd.DataFrame(json.loads(path.read_text())),
        "parquet": lambda: pd.read_parquet(path),
    }[suffix]()
    assert list(read.columns) == list(expected.columns)
    assert read["reason"].tolist() == expected["reason"].tolist()
    np.testing.assert_allclose(
        pd.to_numeric(read["effect"]), expected["effect"], rtol=1e-13, equal_nan=True
    )


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_the_network_as_a_whole_gets_a_file_of_its_own(tmp_path, checkpoint, suffix):
    path = tmp_path / f"table.{suffix}"
    result = run(checkpoint, "--output", path, "--conditions", "mean,epsilon")
    assert result.exit_code == 0, result.output
    assert f"wrote 6 rows to {path}" in result.stderr
    beside = tmp_path / f"table.network.{suffix}"
    assert f"wrote 2 rows to {beside}" in result.stderr
    read = {
        "csv": lambda: pd.read_csv(beside),
        "json": lambda: pd.DataFrame(json.loads(beside.read_text())),
        "parquet": lambda: pd.read_parquet(beside),
    }[suffix]()
    expected = cwda.check(cwda.load(checkpoint), ["mean", "epsilon"]).network.table
    assert list(read) == list(expected)
    np.testing.assert_allclose(read["effect"], expected["effect"], rtol=1e-13)


def test_both_files_are_checked_before_the_work(tmp_path, checkpoint):
    (tmp_path / "table.network.csv").mkdir()
    result = run(checkpoint, "--output", tmp_path / "table.csv")
    assert result.exit_code == 1
    assert "table.network.csv: is a folder" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "table.csv").exists()


def test_standard_output_has_layers_only(checkpoint):
    result = run(checkpoint, "--conditions", "mean", "--output", "-")
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == ["network", *["net"] * 3]


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_the_network_as_a_whole_comes_first(checkpoint, columns):
    arguments = ["resnet20-cifar10:init", str(checkpoint), "--summary"]
    result = CliRunner().invoke(cwda_test, arguments, env={"COLUMNS": columns})
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= int(columns)
    whole = cwda.check(["resnet20-cifar10:init", checkpoint]).network
    said = " ".join(result.stdout.split())
    for verdict in whole.verdicts:
        assert " ".join(verdict.sentence.split()) in said
    assert lines[2].startswith(whole.verdicts[0].sentence[:30])


def test_several_models_in_one_call(checkpoint):
    result = run("--model", "resnet20-cifar10:init", checkpoint, "--summary")
    assert result.exit_code == 0, result.output
    assert "resnet20-cifar10:init" in result.output
    assert "net" in result.output


def test_a_bad_file_does_not_lose_the_others(checkpoint, tmp_path):
    bad = tmp_path / "bad.pth"
    bad.write_text("hello")
    result = run(bad, checkpoint)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "bad.pth" in result.stderr
    assert "first" in result.stdout


def test_strict_exits_with_3_if_a_condition_fails(tmp_path):
    shifted = torch.randn(64, 8, 3, 3, generator=torch.Generator().manual_seed(0)) + 1
    path = tmp_path / "shifted.pth"
    torch.save({"conv.weight": shifted}, path)
    assert run(path, "--conditions", "mean", "--strict").exit_code == 3
    assert run(path, "--conditions", "mean").exit_code == 0
    wide = ["--conditions", "mean", "--margin", "mean=0.9", "--strict"]
    assert run(path, *wide).exit_code == 0


def test_layers_selects_by_name():
    result = run("--layers", "layer3.0.*,conv1")
    assert "layer3.0.conv1" in result.output
    assert "layer2" not in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--model", "resnet2000"], 1, "resnet2000"),
        (["nowhere.pth"], 1, "nowhere.pth"),
        (["--layers", "nothing*"], 1, "no layer matches"),
        (["--output", "table.xls"], 1, "table.xls"),
        (["--output", "no/such/folder/t.csv"], 1, "does not exist"),
        (["--device", "abacus"], 1, "abacus"),
        (["--conditions", "normality"], 2, "unknown condition 'normality'"),
        (["--margin", "mean"], 2, "NAME=VALUE"),
        (["--margin", "means=1"], 2, "unknown condition 'means'"),
        (["--margin", "mean=-1"], 2, "above 0"),
        (["--level", "1.7"], 2, "--level"),
        (["--nonsense"], 2, "--nonsense"),
    ],
)
def test_mistakes_are_told_without_a_traceback(arguments, code, message):
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    if code == 1:
        assert len(result.stderr.strip().splitlines()) == 1


def test_debug_shows_the_traceback():
    result = run("--model", "resnet2000", "--device", "abacus", "--debug")
    assert result.exit_code != 0
    result = run("--device", "abacus", "--debug")
    assert isinstance(result.exception, cwda.CwdaError)


def test_groups_and_transposition_can_be_told(tmp_path):
    path = tmp_path / "up.pth"
    weight = torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.save({"up.weight": weight}, path)
    table = tmp_path / "table.csv"
    result = run(path, "--transposed", "up", "--groups", "up=2", "--output", table)
    assert result.exit_code == 0, result.output
    assert set(pd.read_csv(table)["n_filters"]) == {16}  # 2 groups of 8 outputs
    assert set(pd.read_csv(table)["dim"]) == {8 * 9}  # of 16 / 2 inputs


def test_reasons_are_shown(checkpoint):
    result = run(checkpoint)
    assert "all weights are equal" in result.output
    assert "kernel of one position" in result.output


def test_group_has_the_same_command():
    result = run("test", "--summary", command=cwda_group)
    assert result.exit_code == 0
    assert "resnet20-cifar10" in result.output


def test_models_lists_names():
    result = run("models", "--match", "resnet*", command=cwda_group)
    assert result.exit_code == 0
    assert "resnet20-cifar10" in result.output
    assert "resnet18" in result.output


def test_version_and_help_do_not_import_torch():
    code = (
        "import sys; from cwda.cli.main import cwda_test\n"
        "try: cwda_test(['{}'])\n"
        "except SystemExit: pass\n"
        "assert not {{'torch', 'pandas', 'scipy', 'numpy'}} & set(sys.modules)"
    )
    for option in ("--version", "--help"):
        subprocess.run([sys.executable, "-c", code.format(option)], check=True, timeout=60)


def test_a_screen_without_unicode_gets_plain_marks():
    program = "from cwda.cli.main import cwda_test; cwda_test(['--layers', 'conv1'])"
    found = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "PATH": "", "COLUMNS": "80"},
        timeout=120,
    )
    assert b"conv1" in found.stdout
    found.stdout.decode("ascii")


def test_unit_directions_are_asked_for_and_named(checkpoint):
    result = run("--scale", "unit", "--conditions", "mean,homogeneity")
    assert result.exit_code == 0, result.output
    assert "unit directions" in result.output
    assert "same scale by construction" in " ".join(result.output.split())
    assert "'raw', 'unit'" in run("--scale", "norm").output


def test_only_networks_with_batchnorm_are_told_that_scale_is_free(checkpoint):
    assert "BatchNorm" in run("--summary").output
    assert "BatchNorm" not in run(checkpoint, "--summary").output
    assert "BatchNorm" not in run("--summary", "--scale", "unit").output
