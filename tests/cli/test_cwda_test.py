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
        *lines, command = result.output.rstrip().splitlines()  # to be copied: never broken
        assert max(len(line.rstrip()) for line in lines) <= 80
        assert "cwda advise" in command
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
    assert max(map(len, lines[:-1])) <= int(columns)  # a command can be copied in one piece
    whole = cwda.check(["resnet20-cifar10:init", checkpoint]).network
    said = " ".join(result.stdout.split())
    for verdict in whole.verdicts:
        assert " ".join(verdict.sentences) in said
    assert lines[0] == "2 networks side by side"
    assert lines[-1].endswith(f"cwda contrast resnet20-cifar10:init {checkpoint}")


def test_a_single_network_begins_with_the_answer_and_ends_with_the_next_command(checkpoint):
    result = CliRunner().invoke(
        cwda_test, [str(checkpoint), "--layers", "first,a*"], env={"COLUMNS": "400"}
    )
    lines = result.stdout.splitlines()
    [verdict] = cwda.check(cwda.load(checkpoint).select("first,a*")).network.verdicts
    assert lines[2:4] == list(verdict.sentences[:2])
    assert lines[-1] == f"next, what to prune by: cwda advise {checkpoint} --layers 'first,a*'"
    head = next(at for at, line in enumerate(lines) if line.startswith("condition"))
    legend = next(line for line in lines[head:] if line.startswith("  effect: "))
    meanings = [part.split(": ")[0] for part in legend.strip().split("; ")]
    assert meanings == [
        "effect", "90 % interval", "margin", "verdict", "layers hold", "under CWDA", "fail",
        "weights judged",
    ]  # fmt: skip


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


def odd(tmp_path, **weights):
    """A checkpoint of layers of normal weights of the seed 0, or of the weights given."""
    draw = torch.Generator().manual_seed(0)
    path = tmp_path / "odd.pth"
    tensors = {
        name: torch.randn(weight, generator=draw) if isinstance(weight, tuple) else weight
        for name, weight in weights.items()
    }
    torch.save({f"{name}.weight": tensor for name, tensor in tensors.items()}, path)
    return path


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        (
            {"few": (4, 3, 3, 3)},
            "odd: no condition can be judged in any layer (in 1 layer: 4 filters; 8 are needed)",
        ),
        (
            {"small": (16, 3, 1, 1), "lost": torch.full((16, 8, 3, 3), torch.nan)},
            "odd: 96 % of the weights lie in layers that no condition can judge, such as lost: "
            "1,152 of 1,152 weights are NaN or infinite",
        ),
    ],
)
def test_strict_refuses_what_cannot_be_judged(tmp_path, weights, why):
    arguments = [odd(tmp_path, **weights), "--conditions", "mean", "-q"]
    result = run(*arguments, "--margin", "mean=5", "--strict")
    assert result.exit_code == 3
    assert result.stderr == f"error: --strict: {why}\n"
    assert run(*arguments).exit_code == 0


def test_strict_forgives_layers_that_a_condition_does_not_concern(tmp_path):
    path = odd(tmp_path, point=(64, 32, 1, 1), square=(64, 3, 3, 3))
    result = run(path, "--conditions", "epsilon", "--margin", "epsilon=5", "--strict")
    assert result.exit_code == 0, result.output


def test_two_tables_for_one_file_are_refused_before_the_work(tmp_path, checkpoint):
    for beside, options in (("network", []), ("textbook", ["--textbook"])):
        files = [tmp_path / "x.csv", tmp_path / ".." / tmp_path.name / f"x.{beside}.csv"]
        outputs = [part for path in files for part in ("--output", path)]
        for order in (outputs, outputs[2:] + outputs[:2]):
            result = run(checkpoint, *order, *options)
            assert result.exit_code == 2
            assert f"the {beside} table that goes beside x.csv" in result.stderr
            assert result.stdout == ""
    assert not list(tmp_path.glob("x*"))


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
        (["--margin", "mean=.2", "--conditions", "shape"], 2, "mean, which is not tested"),
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
    assert "all weights are 0" in result.output
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


def test_verdicts_by_another_reason_than_the_interval_have_it_below(tmp_path):
    draw = torch.randn(64, 32, 3, 3, generator=torch.Generator().manual_seed(0))
    same = draw / draw.flatten(1).norm(dim=1)[:, None, None, None]
    said = " ".join(run(odd(tmp_path, same=same, free=draw)).output.split())
    assert "✗ by another reason: homogeneity in 1 layer (same): norms less variable than" in said
    near = (draw + same * draw.flatten(1).norm(dim=1).mean())[:16]
    few = " ".join(run(odd(tmp_path, near=near)).output.split())
    assert "? by another reason: homogeneity in 1 layer (near): norms perhaps less" in few
    assert "unless a further question decides, as of homogeneity here" in few
    assert "by another reason" not in run(odd(tmp_path, free=draw)).output


def test_columns_that_the_headline_names_are_left_out_last(tmp_path):
    draw = torch.randn(64, 32, 3, 3, generator=torch.Generator().manual_seed(0))
    dead = draw * torch.where(torch.arange(64) < 20, 1e-3, 1.0)[:, None, None, None]
    path = str(odd(tmp_path, dead=dead))
    said = CliRunner().invoke(cwda_test, [path], env={"COLUMNS": "56"}).output
    assert "CWDA fails for odd: homogeneity is" in said
    heads = next(line for line in said.splitlines() if line.startswith("layer")).split()
    assert "homog" in heads
    assert "distinct" not in heads


def test_the_answer_is_repeated_below_many_layers(tmp_path):
    draw = torch.randn(40, 8, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    path = odd(tmp_path, **{f"layer{at}": weight for at, weight in enumerate(draw)})
    said = " ".join(run(path).output.split())
    answer = " ".join(cwda.check(path, progress=False).network.verdicts[0].sentences[0].split())
    again = f"To say it again after 40 layers: {answer} --summary leaves the layers out"
    assert again in said
    assert "To say it again" not in run(path, "--summary").output


def test_near_dead_filters_have_a_line(tmp_path):
    draw = torch.randn(64, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    layers = {f"l{dead}": draw.clone() for dead in range(5)}
    for dead, weight in enumerate(layers.values()):
        weight[:dead] = 0
    said = " ".join(run(odd(tmp_path, **layers), "--summary").output.split())
    where = "4 of 64 in l4, 3 of 64 in l3, 2 of 64 in l2 and some in 1 more layer"
    assert f"near-dead filters: {where} assumed" in said
    assert "near-dead" not in run(odd(tmp_path, whole=layers["l0"])).output


def test_near_dead_filters_are_counted_as_in_the_advice(tmp_path):
    """Also in layers in which homogeneity is not judged, such as depthwise ones."""
    generator = torch.Generator().manual_seed(0)
    plain, deep = (torch.randn(shape, generator=generator) for shape in ((32, 8, 3, 3), (32, 1, 3)))
    plain[0] = 0
    deep[:2] = 0
    path = str(odd(tmp_path, plain=plain, deep=deep))
    said = " ".join(run(path, "--summary").output.split())
    where = "2 of 32 in deep and 1 of 32 in plain"
    assert f"near-dead filters: {where}; homogeneity is not judged in 1 of these 2 layers" in said
    assert f"Prune the 3 near-dead filters first: {where}." in cwda.advise(path).short
    assert "near-dead filters" not in run(path, "--scale", "unit").output
    assert "near-dead filters" not in run(path, "--conditions", "mean").output


def test_tensors_left_out_are_named(tmp_path):
    counts = torch.ones(8, 3, 3, 3, dtype=torch.bool)
    path = odd(tmp_path, fine=(16, 3, 3, 3), a=counts, b=counts, c=counts)
    assert "left out: 3 tensors (a.weight, b.weight, ...): " in run(path).output
    lone = run(odd(tmp_path, a=counts))
    assert "the only tensor of 3 axes or more was left out, a.weight (8 x 3 x 3 x 3)" in lone.stderr


def test_expected_counts_that_are_not_known_say_why(checkpoint):
    why = "known for the default level and margins, weights as stored"
    for options in (["--scale", "unit"], ["--level", ".5"], ["--margin", "mean=.2"]):
        shown = run(checkpoint, "--conditions", "mean", *options).output
        assert why in " ".join(shown.split())
    assert why not in " ".join(run(checkpoint, "--conditions", "mean").output.split())


def test_a_level_is_told(checkpoint):
    shown = run(checkpoint, "--level", ".5").output
    assert "50 %\n" in shown or " 50 % " in shown
    assert "the 50 % interval" in " ".join(shown.split())


def test_textbook_tests_say_why_they_mislead_without_layers_too(tmp_path):
    path = odd(tmp_path, a=(4, 3, 3, 3), b=(6, 3, 3, 3))
    said = " ".join(run(path, "--textbook", "--summary").output.split())
    assert "Why they mislead here" in said
    assert "n/a: all tests in 2 layers (a, b): 4 to 6 filters; 8 are needed" in said
