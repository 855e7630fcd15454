"""`cwda prune`: from a checkpoint to the file of a smaller network."""

import copy
import importlib
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import cwda
from cwda.cli.main import cwda as group
from cwda.cli.sources import Entry
from cwda.models import cifar_resnet, initialise

#: The module, whose name is also that of its function.
EXPORT = importlib.import_module("cwda.pruning.export")


def run(*arguments, width="80"):
    given = ["prune", *map(str, arguments), "--device", "cpu"]
    return CliRunner().invoke(group, given, env={"COLUMNS": width})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A file whose architecture is recognised by its keys."""
    model = cifar_resnet(8)
    initialise(model, seed=1)
    path = tmp_path_factory.mktemp("checkpoint") / "mine.safetensors"
    save_file(model.state_dict(), path)
    return path


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in (("train", 20), ("test", 30)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (n, 32, 32, 3), np.uint8)
        arrays[f"y_{part}"] = np.arange(n) % 10
    np.savez(tmp_path / "images.npz", **arrays)
    return tmp_path / "images.npz"


def test_the_network_is_written_with_its_plan(checkpoint, tmp_path):
    files = [tmp_path / f"{name}.safetensors" for name in ("slim", "copy")]
    outputs = [part for file in files for part in ("--output", file)]
    result = run(checkpoint, "--ratio", ".5", "--plan", tmp_path / "plan.json", *outputs)
    assert result.exit_code == 0, result.output
    model = cwda.load_model(checkpoint)
    plan = cwda.make_plan(model, "l2", 0.5, (1, 3, 32, 32))
    assert cwda.Plan.load(tmp_path / "plan.json") == plan
    slim = cwda.remove(model, plan, (1, 3, 32, 32))
    for file in files:
        network = cwda.load(file)
        assert sorted(layer.weight.shape for layer in network) == sorted(
            layer.weight.shape for layer in cwda.load(slim.model)
        )
    assert re.search(
        rf"parameters +{slim.before.parameters:,} +{slim.after.parameters:,} ", result.stdout
    )
    assert f"{slim.after.flops:,}" in result.stdout
    assert "verified: " in result.stdout
    assert [line.rpartition(" ")[2] for line in result.stderr.splitlines()] == [
        str(tmp_path / "plan.json"), *map(str, files),
    ]  # fmt: skip
    again = tmp_path / "again.safetensors"
    result = run(checkpoint, "--from-plan", tmp_path / "plan.json", "--output", again)
    assert result.exit_code == 0, result.output
    first, second = load_file(files[0]), load_file(again)
    assert all(torch.equal(first[name], second[name]) for name in {*first, *second})


def test_without_an_output_the_numbers_are_shown_and_a_line_says_so(checkpoint):
    result = run(checkpoint, "--ratio", ".25", "--criterion", "l1", "--strategy", "global")
    assert result.exit_code == 0, result.output
    assert "mine, pruned by l1\n" in result.stdout
    assert "one ranking of all filters" in result.stdout
    assert result.stderr.startswith("nothing is written; ")
    shares = re.findall(r"^(?:conv1|layer\S+) .* (\d+) %$", result.stdout, re.MULTILINE)
    assert len(shares) == 7
    assert shares == sorted(shares, key=int, reverse=True)


def test_terminals_see_the_layers_that_lose_most_and_pipes_see_all(checkpoint, monkeypatch):
    monkeypatch.setattr(importlib.import_module("cwda.cli.verbs.prune"), "_MOST_LAYERS", 3)
    for width, layers in (("80", 3), ("", 7)):
        result = run(checkpoint, "--ratio", ".5", width=width)
        lines = result.stdout.partition("layer ")[2].splitlines()
        assert len([line for line in lines if re.match(r"(layer\S+|conv1) +\d", line)]) == layers
        assert ("the 3 of 7 layers that lose most" in result.stdout) == (layers == 3)


def test_tied_filters_stay_on_request(checkpoint, tmp_path):
    result = run(checkpoint, "--ratio", ".5", "--scope", "free", "--plan", tmp_path / "p.json")
    assert result.exit_code == 0, result.output
    assert "not pruned: 4 layers: tied to filters of other layers" in result.stdout
    plan = cwda.Plan.load(tmp_path / "p.json")
    assert {*plan.pruned} == {f"layer{stage}.0.conv1" for stage in (1, 2, 3)}
    assert {len(filters) for filters in plan.pruned.values()} == {8, 16, 32}


def test_with_data_the_accuracy_is_measured_and_any_criterion_scored(checkpoint, images, tmp_path):
    plan_file = tmp_path / "plan.json"
    given = ("--data", images, "--samples", 8, "--criterion", "taylor_l1", "--plan", plan_file)
    result = run(checkpoint, "--ratio", ".5", *given)
    assert result.exit_code == 0, result.output
    model, data = cwda.load_model(checkpoint), cwda.read_images(images)
    slim = cwda.remove(model, cwda.Plan.load(plan_file), (1, 3, 32, 32)).model
    before, after = (cwda.accuracy(copy.deepcopy(each), data.test) for each in (model, slim))
    assert f"accuracy {before:.2f} % {after:.2f} %" in " ".join(result.stdout.split())


def test_quiet_leaves_the_file_only(checkpoint, tmp_path):
    result = run(checkpoint, "--ratio", ".5", "-q", "--output", tmp_path / "slim.safetensors")
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "slim.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "give --ratio SHARE, such as .5, or --from-plan FILE"),
        (["--from-plan", "p.json", "--ratio", ".5"], 2, "leave out --ratio"),
        (["--from-plan", "p.json", "--scope", "all"], 2, "leave out --scope"),
        (["--ratio", ".5", "--input-shape", "3x32"], 2, "is not a shape, such as 3,224,224"),
        (["--ratio", "1.5"], 2, "between 0 and 1"),
        (["--ratio", ".5", "--criterion", "l3"], 2, "no criterion 'l3'"),
        (["--ratio", ".5", "--criterion", "apoz"], 1, "images are needed; give --data PATH"),
        (["--ratio", ".5", "--device", "abacus"], 1, "abacus"),
        (
            ["--ratio", ".5", "--output", "slim.pth"],
            1,
            "end the name with .safetensors, .pt, .pt2, .onnx",
        ),
        (["--ratio", ".5", "--output", "slim.onnx"], 1, 'pip install "cwda[onnx]" or write .pt2'),
        (["--ratio", ".5", "--output", "no/slim.pt2"], 1, "the folder no does not exist"),
        (["--ratio", ".5", "--plan", "plan.txt"], 1, "end the name with .json"),
        (["--from-plan", "none.json"], 1, "none.json: cannot be read"),
    ],
)
def test_what_is_asked_is_checked_before_a_network_is_read(
    checkpoint, tmp_path, monkeypatch, arguments, code, words
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Entry, "load_model", lambda *_: pytest.fail("read"))
    monkeypatch.setattr(EXPORT, "find_spec", lambda name: None)
    result = CliRunner().invoke(group, ["prune", str(checkpoint), *arguments])
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert code == 2 or result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_networks_that_are_not_known_get_one_line_with_the_way_out(
    checkpoint, tmp_path, monkeypatch
):
    torch.save({"conv.weight": torch.ones(16, 3, 3, 3)}, tmp_path / "plain.pth")
    failed = run(tmp_path / "plain.pth", "--ratio", ".5")
    assert failed.exit_code == 1
    assert "give --arch NAME" in failed.stderr
    failed = run(checkpoint, "--ratio", ".5", "--input-shape", "1,32,32")
    assert failed.stderr == (
        "error: CifarResNet does not take images of 1 x 32 x 32; give --input-shape, channels "
        "first, such as 3,224,224\n"
    )
    monkeypatch.setattr("cwda.models.input_shape.usual_input_shape", lambda model: None)
    failed = run(checkpoint, "--ratio", ".5")
    assert "give their shape, such as --input-shape 3,224,224" in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert run(checkpoint, "--ratio", ".5", "--input-shape", "3,32,32").exit_code == 0


def test_a_failed_export_leaves_no_file(checkpoint, tmp_path, monkeypatch):
    def fail(model, image, path):
        path.write_text("half")
        raise RuntimeError("no such operator")

    monkeypatch.setitem(EXPORT._WRITERS, ".pt2", fail)
    failed = run(checkpoint, "--ratio", ".5", "--output", tmp_path / "slim.pt2")
    assert failed.exit_code == 1
    assert "no such operator" in failed.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("more", [(), ("--from-plan", "plan.json"), ("--scope", "free")])
def test_weights_that_are_not_finite_are_named_before_a_plan_is_made(
    checkpoint, tmp_path, monkeypatch, more
):
    monkeypatch.chdir(tmp_path)
    assert run(checkpoint, "--ratio", ".5", "--plan", "plan.json").exit_code == 0
    weights = load_file(checkpoint)
    weights["layer2.0.conv2.weight"][3, 0, 0, 0] = torch.nan
    weights["layer2.0.conv2.weight"][4, 0, 0, 0] = torch.inf
    weights["layer3.0.bn1.running_var"][0] = torch.nan
    save_file(weights, "nan.safetensors")
    coupling = importlib.import_module("cwda.coupling.couple")
    monkeypatch.setattr(coupling, "couple", lambda *_: pytest.fail("coupled"))
    ratio = () if "--from-plan" in more else ("--ratio", ".5")
    failed = run("nan.safetensors", *ratio, *more)
    assert failed.exit_code == 1
    assert failed.stderr == (
        "error: layer layer2.0.conv2: 2 of 9,216 weights are NaN or infinite, and so are some in "
        "1 more layer; nothing can be pruned with them: give a checkpoint from before they became "
        "so\n"
    )
