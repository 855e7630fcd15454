"""The verbs of `cwda` but `test`: screens, files, mistakes."""

import io
import re
import shlex

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

import cwda
from cwda.cli.analysis import Analysis
from cwda.cli.main import cwda as group
from cwda.cli.main import cwda_test
from cwda.cli.verbs import VERBS

#: Those that need no images.
ANALYSES = [v.name for v in VERBS if isinstance(v, Analysis) and v.name != "validity"]

#: What these verbs tabulate.
FUNCTIONS = {
    "describe": lambda net: cwda.describe(net, device="cpu").table,
    "similarity": lambda net: cwda.similarity(net, device="cpu").table,
    "predict": lambda net: (
        cwda.compare(
            cwda.similarity(net, device="cpu"), cwda.theory.predict(net, device="cpu")
        ).table
    ),
    "advise": lambda net: cwda.advise(net, device="cpu").table,
    "applicability": lambda net: cwda.applicability(net, device="cpu").table,
    "global-pruning": lambda net: cwda.global_pruning(net, device="cpu").table,
}


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


@pytest.mark.parametrize("verb", ANALYSES)
def test_screen_fits_80_columns(verb, checkpoint):
    result = run(verb, checkpoint)
    assert result.exit_code == 0, result.output
    lines = [line.rstrip() for line in result.output.splitlines()]
    folded = [line for line in lines if not line.startswith("cwda ")]  # commands stay whole
    assert max(map(len, folded)) <= 80
    words = " ".join(result.output.split())
    assert "4 convolutions" in words
    assert "nan" not in words
    reason = re.search("are needed|fewer than 8 filters|1 filter|all weights are 0", words)
    assert reason or verb not in FUNCTIONS


def test_advice_begins_with_the_conditions_and_ends_with_what_prunes(checkpoint):
    result = run("advise", checkpoint, "--ratio", "0.25")
    heads = ["Conditions", "In short", "Similarity", "Applicability", "Global pruning"]
    lines = result.output.splitlines()
    places = [lines.index(head) for head in heads if head in lines]
    assert places == sorted(places)
    assert len(places) >= 4
    words = " ".join(result.output.split())
    for sentence in cwda.check(checkpoint).network.verdicts[0].sentences:
        assert " ".join(sentence.split()) in words
    assert f"cwda prune {checkpoint}" not in words  # its keys do not tell its architecture
    assert "a module, and its keys fit no built-in architecture; give --arch NAME if" in words
    assert lines[-3].startswith("plan = cwda.make_plan(module, ")


def test_advice_ends_with_the_command_that_prunes(tmp_path):
    path = tmp_path / "net.pth"
    torch.save(cwda.load_model("resnet20-cifar10").state_dict(), path)
    lines = run("advise", path, "--ratio", "0.25", "--summary").output.splitlines()
    assert lines[-2].startswith(f"cwda prune {path} --criterion ")
    assert "--ratio 0.25 --output pruned.safetensors" in lines[-2]


def test_validity_needs_images_and_fits_80_columns(tmp_path):
    result = run("validity", "--layers", "conv1")
    assert result.exit_code == 1
    assert "give --data PATH" in result.stderr
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(8)
    path = tmp_path / "images.npz"
    np.savez(path, x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    options = ("--data", path, "--layers", "conv1,layer3.2.conv2", "--criteria", "l2,bn_gamma")
    result = run("validity", *options, "--output", "-")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(io.StringIO(result.stdout))
    assert list(table["criterion"]) == ["l2", "bn_gamma", "random"] * 2
    assert set(table["network"]) == {"resnet20-cifar10"}
    result = run("validity", *options)
    assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 80
    assert "regret" in result.output


@pytest.mark.parametrize("verb", FUNCTIONS)
def test_output_is_the_table_of_the_function(verb, checkpoint, tmp_path):
    path = tmp_path / "table.csv"
    result = run(verb, checkpoint, "--output", path, "--device", "cpu")
    assert result.exit_code == 0, result.output
    expected = FUNCTIONS[verb](cwda.load(checkpoint))
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
        (["predict", "--simulate", "--draws", "3"], "39 draws or more"),
        (["describe", "--layers", "conv1,foo"], "no layer matches 'foo'"),
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


def test_reports_are_written(checkpoint, tmp_path):
    """A PDF is written in tests/reporting/test_example.py."""
    path = tmp_path / "net.html"
    result = run("report", checkpoint, "--output", path, "--no-date")
    assert result.exit_code == 0, result.output
    assert path.stat().st_size > 50_000


def test_testing_can_write_a_report(checkpoint, tmp_path):
    path = tmp_path / "net.pdf"
    few = "--layers", "conv1", "--conditions", "mean"
    result = run(checkpoint, *few, "--report", path, command=cwda_test)
    assert result.exit_code == 0, result.output
    assert path.read_bytes().startswith(b"%PDF")


#: Every way in, with the verb that writes a report there.
COMMANDS = {"cwda test": group, "cwda-test": cwda_test, "python -m cwda test": group}
COMMANDS |= {"cwda report": group, "python -m cwda report": group}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_in_a_report_makes_it_again(command, checkpoint, tmp_path, monkeypatch):
    option = "--output" if "report" in command else "--report"
    path = tmp_path / "a b.html"
    printed = []

    def write(result, path, *, command, **others):
        printed.append(command)

    monkeypatch.setattr("cwda.reporting.report", write)
    monkeypatch.setattr("cwda.reporting.build.report", write)
    typed = f"{command} {checkpoint} --layers conv1 {option} '{path}'"
    for line in (typed, lambda: printed[0]):
        words = shlex.split(line if isinstance(line, str) else line())
        program = " ".join(words[:3] if words[0] == "python" else words[:1])
        rest = words[len(program.split()) :]
        result = CliRunner().invoke(COMMANDS[command], rest, prog_name=program)
        assert result.exit_code == 0, result.output
    assert printed == [typed] * 2


def test_a_pattern_is_wanted_in_one_network_only(checkpoint):
    result = run("describe", checkpoint, "resnet20-cifar10", "--layers", "layer1.0.*,conv2")
    assert result.exit_code == 0, result.output
    assert "layer1.0.conv1" in result.output


def test_the_legend_of_a_global_ranking_names_the_other_ratios(checkpoint):
    words = " ".join(run("global-pruning", checkpoint, "--ratios", ".3,.5").output.split())
    assert "loses at a ratio of 50 %" in words
    assert "30 %: see --output" in words


def test_the_list_of_verbs_is_the_help():
    listed = [
        line.split()[0]
        for line in run("--help").output.partition("Commands:")[2].split("\n")
        if line.strip()
    ]
    assert listed == [verb.name for verb in VERBS]


def test_invariances_need_a_model_and_compare_its_outputs(checkpoint, tmp_path):
    path = tmp_path / "table.csv"
    result = run("invariances", "--criteria", "l2,bn_gamma", "--output", path)
    assert result.exit_code == 0, result.output
    assert "outputs changed by" in result.output
    assert list(pd.read_csv(path)["invariant"]) == [False, *[True] * 5]
    assert "fit no built-in architecture" in run("invariances", checkpoint).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["similarity", "--criteria", "l1,bn_gama"], "did you mean 'bn_gamma'"),
        (["similarity", "--criteria", "l1"], "2 criteria or more"),
        (["applicability", "--criteria", "fermaat"], "did you mean 'fermat'"),
        (["similarity", "--criteria", "l2,l2"], "2 criteria or more are needed, not 1 (l2)"),
        (["applicability", "--ratio", "0"], "between 0 and 1 (exclusive), not 0"),
        (["advise", "--ratio", "50"], "not 50; 50 % is 0.5"),
        (["advise", "--same", "2"], "a kappa lies between 0 and 1"),
        (["similarity", "--level", "95"], "a level lies between 0 and 1 (exclusive)"),
        (["global-pruning", "--ratios", ".1,1.2"], "between 0 and 1"),
        (["validity", "--data", "x", "--ratio", "a half"], "is not a number, such as .5"),
        (["invariances", "--criteria", "foo"], "no criterion 'foo'"),
        (["invariances", "--normalisation", "cifar"], "unknown normalisation 'cifar'"),
        (["global-pruning", "--criteria", "foo"], "no criterion 'foo'"),
        (["predict", "--criteria", "l1,bn_gamma"], "predicts l1, l2, gm and fermat only, not bn_g"),
        (["predict", "--rungs", "skale"], "did you mean 'scale'"),
        (["report", "--margin", "foo=1", "--output", "x.html"], "unknown condition 'foo'"),
        (["calibrate", "--conditions", "foo"], "unknown procedure 'foo'"),
        (["calibrate", "--designs", "foo"], "nothing to do for designs 'foo'"),
        (["study", "--data", "x", "--output", "y", "--factors", "foo"], "unknown factor 'foo'"),
        (["experiment", "m", "--data", "x", "--criteria", "foo"], "no criterion 'foo'"),
        (["experiment", "m", "--data", "x", "--strategy", "foo"], "unknown strategy 'foo'"),
        (["experiment", "m", "--data", "x", "--output", "a.csv", "--pairs", "a.csv"], "both the"),
        (["calibrate", "--output", "a", "--markdown", "a"], "both the study and the page"),
    ],
)
def test_bad_names_are_bad_usage(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert result.stdout == ""
