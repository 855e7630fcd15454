"""Where tables, remarks and errors go: files, standard output, standard error, nowhere."""

import contextlib
import io
import logging
import re
from importlib.resources import files

import click
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
from cwda.scoring import registry

LAYERS = ("--layers", "layer3.2.*")

ANALYSES = [verb for verb in VERBS if isinstance(verb, Analysis)]
WITHOUT_DATA = [verb for verb in ANALYSES if verb.name != "validity"]


def run(*arguments, command=group, **env):
    return CliRunner().invoke(command, [str(a) for a in arguments], env={"COLUMNS": "80", **env})


def test_several_files_and_standard_output_hold_the_same(tmp_path):
    paths = [tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.json"]
    outputs = [part for path in (*paths, "-") for part in ("--output", path)]
    result = run("similarity", *LAYERS, *outputs)
    assert result.exit_code == 0, result.output
    assert result.stdout_bytes == paths[0].read_bytes() == paths[1].read_bytes()
    assert len(pd.read_json(paths[2])) == len(pd.read_csv(io.BytesIO(result.stdout_bytes)))
    assert [line.split(" to ")[1] for line in result.stderr.splitlines()] == list(map(str, paths))


@pytest.mark.parametrize("verb", [cwda_test, *WITHOUT_DATA], ids=lambda verb: verb.name)
def test_standard_output_is_csv_and_nothing_else(verb):
    result = run(verb.name, *LAYERS, "--output", "-")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(io.StringIO(result.stdout))
    assert set(table["layer"].dropna()) == {"layer3.2.conv1", "layer3.2.conv2"}
    assert result.stderr == ""


def test_csv_is_utf8_in_any_locale(tmp_path):
    path = tmp_path / "réseau.pth"
    torch.save({"couché.weight": torch.ones(16, 3, 3, 3).cumsum(0)}, path)
    runner = CliRunner(charset="ascii")
    result = runner.invoke(group, ["similarity", str(path), "--output", "-"])
    assert "couché" in result.stdout_bytes.decode("utf-8")
    result = runner.invoke(group, ["similarity", str(path)])
    assert result.exit_code == 0, result.output
    assert "couch\\xe9" in result.stdout_bytes.decode("ascii")


def test_quiet_leaves_errors_and_what_was_asked_for(tmp_path):
    path = tmp_path / "table.csv"
    result = run("test", *LAYERS, "resnet20-cifar10", "none.pth", "-q", "--output", path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "error: none.pth: no such file; check the path\n"
    assert len(pd.read_csv(path)) == 16
    assert run("test", *LAYERS, "-q", "--output", "-").stdout_bytes == path.read_bytes()


def test_verbose_tells_what_is_read_and_leaves_logging_as_it_was():
    logger = logging.getLogger("cwda")
    before = logger.level, logger.propagate, list(logger.handlers)
    result = run("test", *LAYERS, "--summary", "--verbose")
    assert "info: " in result.stderr
    assert "resnet20-cifar10.safetensors" in result.stderr
    assert (logger.level, logger.propagate, logger.handlers) == before


#: What verbs are told here that need no images and are quick; the others have their own tests.
TOLD = {
    "contrast": ("resnet20-cifar10:init", "resnet20-cifar10", *LAYERS, "--conditions", "mean"),
    "criteria": (),
    "models": (),
    "test": (*LAYERS, "--conditions", "mean"),
    "trajectory": ("epoch-1-resnet20-cifar10.safetensors", *LAYERS, "--conditions", "mean"),
    **{verb.name: LAYERS for verb in WITHOUT_DATA if verb.name != "invariances"},
}


@pytest.fixture
def epoch(tmp_path, monkeypatch):
    """The built-in network as the checkpoint of an epoch, in the working directory."""
    weights = files("cwda.models") / "weights" / "resnet20-cifar10.safetensors"
    (tmp_path / "epoch-1-resnet20-cifar10.safetensors").write_bytes(weights.read_bytes())
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("epoch")
@pytest.mark.parametrize("name", TOLD)
def test_every_verb_is_silent_if_told_so_and_says_what_it_does_if_asked(name):
    quiet = run(name, *TOLD[name], "-q")
    assert quiet.exit_code == 0, quiet.output
    assert quiet.output == ""
    verbose = run(name, *TOLD[name], "-v")
    assert verbose.exit_code == 0, verbose.output
    assert verbose.stdout
    said = verbose.stderr.splitlines()
    assert all(line.startswith("info: ") for line in said)
    if name not in ("criteria", "models"):  # these read nothing and take no time
        assert any("resnet20-cifar10.safetensors" in line for line in said)
        assert any(re.search(r"testing 2 layers|was measured in [\d.]+ s", line) for line in said)


def test_reports_of_both_formats_in_one_call(tmp_path, monkeypatch):
    from cwda.reporting import build

    monkeypatch.setattr(build, "report", lambda result, path, **how: path.write_text(path.suffix))
    paths = [tmp_path / "net.pdf", tmp_path / "net.html"]
    result = run("report", *LAYERS, "--output", paths[0], "--output", paths[1])
    assert result.exit_code == 0, result.output
    assert [path.read_text() for path in paths] == [".pdf", ".html"]


def test_a_report_takes_the_folder_of_an_experiment(tmp_path, monkeypatch):
    from cwda.experiment import ExperimentResult
    from cwda.reporting import build

    given = []
    monkeypatch.setattr(
        build, "report", lambda result, path, **how: given.extend(how["experiments"])
    )
    folder, output = tmp_path / "experiment", tmp_path / "net.pdf"
    folder.mkdir()
    result = run("report", *LAYERS, "--experiment", folder, "--output", output)
    assert result.exit_code == 1
    assert "no experiment was completed in this folder" in result.stderr
    ExperimentResult((), (), level=0.5, pair_rows=()).save(folder / "answer.json")
    paths = [part for path in (folder, folder / "answer.json") for part in ("--experiment", path)]
    result = run("report", *LAYERS, *paths, "--output", output)
    assert result.exit_code == 0, result.output
    assert [each.level for each in given] == [0.5, 0.5]
    result = run("report", *LAYERS, *paths, "--brief", "--output", output)
    assert result.exit_code == 2
    assert "--brief has no room" in result.stderr


@pytest.fixture
def heard(monkeypatch):
    """What bars are told of some work: what is done, and in how many steps."""
    from cwda import progress

    @contextlib.contextmanager
    def counter(what, total=None, **options):
        record = [what, total, 0]
        heard.append(record)

        class Count:
            def advance(self, steps=1):
                record[2] += steps

            def update(self, done, total, what=None):
                record[1:] = total, done

        yield Count()

    heard = []
    monkeypatch.setattr(progress, "counter", counter)
    monkeypatch.setattr("cwda.theory.prediction.counter", counter)
    return heard


def test_long_work_says_how_far_it_is(heard):
    net = cwda.load("resnet20-cifar10").select("layer3.2.*")
    cwda.theory.simulate(net, ["l1", "l2"], rungs="block", draws=40)
    assert heard == [["predicting", net.n_weights, net.n_weights]]
    cwda.check(net, ["mean"])
    assert ["testing resnet20-cifar10", 2, 2] in heard
    heard.clear()
    cwda.global_pruning(net, ["l1"], ratios=0.5)
    assert [what for what, _, _ in heard] == [
        "scoring filters",
        "fitting",
        "ranking",
        "predicting",
    ]
    assert all(total == done for _, total, done in heard)


def test_running_a_network_says_how_far_it_is(heard):
    images = torch.zeros(5, 3, 8, 8)
    model = cwda.load_model("resnet20-cifar10")
    cwda.scoring.collect(model, "activations", data=images, batch_size=2, device="cpu")
    assert heard == [["running the network", 3, 3]]


def test_bn_gamma_of_a_checkpoint_is_scored():
    result = run("similarity", *LAYERS, "--criteria", "l1,bn_gamma", "--output", "-")
    assert result.exit_code == 0, result.output
    rho = pd.read_csv(io.StringIO(result.stdout))["spearman"]
    expected = cwda.similarity(cwda.load_model("resnet20-cifar10"), ["l1", "bn_gamma"]).table
    chosen = expected["layer"].str.startswith("layer3.2.")
    assert rho.tolist() == pytest.approx(expected.loc[chosen, "spearman"].tolist(), abs=1e-12)


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        f"x_{part}": rng.integers(0, 256, (12, 32, 32, 3), np.uint8) for part in ("train", "test")
    }
    arrays |= {f"y_{part}": np.arange(12) % 10 for part in ("train", "test")}
    np.savez(tmp_path / "images.npz", **arrays)
    return tmp_path / "images.npz"


def test_criteria_that_need_images_are_scored(images):
    given = ["--criteria", "l1,apoz,taylor_l1", "--data", images, "--samples", 8]
    result = run("similarity", *LAYERS, *given, "--output", "-")
    assert result.exit_code == 0, result.output
    assert pd.read_csv(io.StringIO(result.stdout))["spearman"].notna().all()


def test_reliability_shows_what_the_function_measures(images):
    given = ["--criteria", "l1,taylor_l1", "--data", images, "--samples", 12, "--batch-size", 3]
    shown = run("reliability", *LAYERS, *given, COLUMNS="160")
    assert shown.exit_code == 0, shown.output
    assert "taylor_l1 has reliability" in shown.stdout
    table = pd.read_csv(io.StringIO(run("reliability", *LAYERS, *given, "--output", "-").stdout))
    of = table.set_index("criterion")
    assert (of.loc["l1", "reliability"] == 1).all()
    assert (of.loc["taylor_l1", "images"] == 12).all()
    assert of.loc["taylor_l1", "reliability"].notna().all()


def test_applicability_of_bn_gamma_is_that_of_the_function():
    result = run("applicability", *LAYERS, "--criteria", "bn_gamma", "--output", "-")
    assert result.exit_code == 0, result.output
    swaps = pd.read_csv(io.StringIO(result.stdout))["cv"]
    expected = cwda.applicability(cwda.load_model("resnet20-cifar10"), ["bn_gamma"]).table
    chosen = expected["layer"].str.startswith("layer3.2.")
    assert swaps.tolist() == pytest.approx(expected.loc[chosen, "cv"].tolist(), abs=1e-12)


def test_a_global_ranking_by_bn_gamma_is_that_of_the_function():
    result = run(
        "global-pruning", *LAYERS, "--criteria", "bn_gamma", "--ratios", ".5", "--output", "-"
    )
    shares = pd.read_csv(io.StringIO(result.stdout))
    network = cwda.load("resnet20-cifar10").select(LAYERS[1])
    expected = cwda.global_pruning(network, ["bn_gamma"], ratios=0.5).table
    assert shares["share_measured"].tolist() == expected["share_measured"].tolist()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--criteria", "l1,apoz"], "give --data PATH"),
        (["--criteria", "l1,bn_gamma", "plain.pth"], "give --arch NAME"),
        (["--criteria", "l1,bn_gamma", "--arch", "squeezenet1_1", "bare.pth"], "no BatchNorm"),
        (["--criteria", "l1,bn_gamma", "--weights-key", "ema", "ema.pth"], "give --arch NAME"),
        (["--criteria", "l1,apoz", "--data", "mine.csv"], "mine.csv: neither a .npz file nor"),
        (["--criteria", "l1,apoz", "--data", "none.npz"], "none.npz: no such file"),
    ],
)
def test_what_is_missing_is_told_in_one_line(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("a,b\n")
    state = {"conv.weight": torch.ones(16, 3, 3, 3)}
    torch.save(state, "plain.pth")
    torch.save({"ema": state}, "ema.pth")
    if "bare.pth" in arguments:
        model = cwda.models.build("squeezenet1_1")
        torch.save({name: torch.ones(each.shape) for name, each in model.state_dict().items()},
                   "bare.pth")  # fmt: skip
    result = run("similarity", *arguments)
    assert result.exit_code == 1, result.output
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_criteria_are_listed_with_needs_and_formulas():
    result = run("criteria", COLUMNS="60")
    assert result.exit_code == 0
    words = result.stdout.split()
    for name, formula in registry.criteria().items():
        assert name in words
        assert formula.split()[-1] in words
    assert max(map(len, result.stdout.splitlines())) <= 60


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_the_help_of_every_verb_is_whole(verb):
    for charset in ("utf-8", "ascii"):
        result = CliRunner(charset=charset).invoke(verb, ["--help"])
        assert result.exit_code == 0
        words = " ".join(result.stdout.split())
        for part in ("0 done", "1 bad input", "2 bad usage", "130 interrupted", "-q", "-v"):
            assert part in words
        for example in verb.examples.splitlines():
            assert f"  {example}" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_help_text_is_a_sentence_that_can_be_read_alone(verb):
    context = click.Context(verb, info_name=verb.name)
    texts = [verb.help, verb.short_help]
    texts += [text.help for text in verb.params if isinstance(text, click.Option)]
    for text in texts:
        assert re.match(r"[A-Z]", text), text
        assert text.rstrip()[-1] in ".?", text
        assert not re.match(r"(Of|As|In|For|From) ", text), text
    assert verb.get_short_help_str(80) in group.get_help(context)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_options_of_one_name_mean_the_same_everywhere(verb):
    for parameter in verb.params:
        if parameter.name in ("device", "seed", "level", "data", "arch", "quiet", "model"):
            others = [
                other
                for sibling in VERBS
                for other in sibling.params
                if other.name == parameter.name
            ]
            assert {type(other.type) for other in others} == {type(parameter.type)}
            if parameter.name not in ("level", "data"):
                assert {other.help for other in others} == {parameter.help}
