"""Each command that a verb ends with is run as it is printed."""

import shlex

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import cwda
from cwda.cli.main import cwda as cwda_group
from cwda.cli.verb import command_line
from cwda.models import build


class Own(nn.Module):
    """An architecture that no library knows."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.last = nn.Linear(16, 4)

    def forward(self, x):
        return self.last(self.second(self.first(x).relu()).relu().mean((2, 3)))


def run(line):
    """The lines that a command prints; it ends well."""
    found = CliRunner().invoke(cwda_group, shlex.split(line)[1:])
    assert found.exit_code == 0, found.output
    return found.output.splitlines()


def next_of(lines):
    """The lines after "next, ...:", or the command on the same line."""
    [at] = [place for place, line in enumerate(lines) if line.startswith("next, ")]
    _, command, rest = lines[at].partition(": cwda ")
    if command:
        return [f"cwda {rest}"]
    end = next(place for place in range(at, len(lines)) if lines[place].endswith(":"))
    return [line for line in lines[end + 1 :] if line]


@pytest.fixture
def own():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Own()


@pytest.fixture
def folder(tmp_path, monkeypatch, own):
    monkeypatch.chdir(tmp_path)
    torch.save(own.state_dict(), "my own.pth")
    torch.save({key: torch.zeros_like(value) for key, value in own.state_dict().items()}, "0.pth")
    torch.save(cwda.load_model("resnet20-cifar10").state_dict(), "known.pth")
    return tmp_path


@pytest.mark.parametrize("columns", ["", "60"])
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cwda test 'my own.pth'", "cwda advise 'my own.pth'"),
        ("cwda test 'my own.pth' --layers first", "cwda advise 'my own.pth' --layers first"),
        ("cwda test 0.pth", "cwda describe 0.pth"),
        ("cwda test 0.pth 'my own.pth'", "cwda contrast 0.pth 'my own.pth'"),
        ("cwda contrast 'my own.pth' 'my own.pth'", "cwda test 'my own.pth' 'my own.pth'"),
    ],
)
def test_a_verb_ends_with_a_command_that_runs(folder, monkeypatch, line, expected, columns):
    monkeypatch.setenv("COLUMNS", columns)
    [command] = next_of(run(line))
    assert command == expected
    run(command)


def test_advice_on_a_known_architecture_ends_with_what_prunes_it(folder):
    [command] = next_of(run("cwda advise known.pth"))
    run(f"{command} --summary")
    assert (folder / "pruned.safetensors").exists()


@pytest.mark.parametrize("columns", ["", "40"])
def test_advice_on_some_layers_ends_with_what_prunes_these_only(folder, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    (folder / "known.pth").rename("known by 'its' keys.pth")
    asked = "cwda advise \"known by 'its' keys.pth\" --ratio .25 --layers 'layer3.?.conv1'"
    lines = next_of(run(asked))
    assert not any("cwda prune" in line for line in lines)
    found = {"cwda": cwda}
    exec("\n".join(lines), found)
    sizes = {layer.name: layer.n_filters for layer in cwda.load(found["pruned"])}
    for layer in cwda.load("resnet20-cifar10"):
        inner = layer.name.startswith("layer3") and layer.name.endswith("conv1")
        assert sizes[layer.name] == layer.n_filters - 16 * inner


def test_advice_on_layers_that_cannot_go_alone_says_so(folder):
    lines = run("cwda advise known.pth --layers layer1.0.conv2")
    assert any("cannot be pruned without others: no filter of" in line for line in lines)
    assert next_of(lines) == ["cwda advise known.pth"]
    [command] = next_of(run("cwda advise known.pth --layers '*'"))
    assert command.startswith("cwda prune known.pth")


def test_advice_names_the_architecture_that_the_keys_and_shapes_tell(folder):
    with torch.random.fork_rng():
        model = build("mobilenet_v3_small", 7)
    torch.save({"model": {f"net.{key}": each for key, each in model.state_dict().items()}}, "m.pth")
    [command] = next_of(run("cwda advise m.pth --summary"))
    assert command.startswith("cwda prune m.pth --arch mobilenet_v3_small --criterion ")
    refused = CliRunner().invoke(cwda_group, ["prune", "m.pth", "--ratio", ".5"])
    assert refused.exit_code == 1
    assert "keys and shapes are those of mobilenet_v3_small; give --arch mobile" in refused.stderr
    run(f"{command} --summary")


def test_where_nothing_can_be_advised_a_way_out_is(folder):
    lines = run("cwda advise 0.pth")
    assert not any("not placed" in line or "No ranking" in line for line in lines)
    assert next_of(lines) == ["cwda describe 0.pth"]
    [command] = next_of(run("cwda advise known.pth --ratio .01"))
    assert command == "cwda advise known.pth --ratio 0.063"
    assert next_of(run(command))[0].startswith("cwda prune known.pth")
    [command] = next_of(run("cwda advise known.pth --criteria random"))
    run(command)


def test_a_criterion_that_looks_at_images_gets_them(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (256, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(256) % 10
    np.savez("some.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    [command] = next_of(
        run("cwda advise known.pth --criteria apoz --data some.npz --batch-size 32")
    )
    assert "--criterion apoz --ratio 0.5 --data some.npz --output" in command


@pytest.mark.parametrize("columns", ["", "40"])
def test_advice_on_a_module_of_ones_own_ends_with_python_that_runs(
    folder, monkeypatch, own, columns
):
    monkeypatch.setenv("COLUMNS", columns)
    found = {"cwda": cwda, "module": own, "shape": (1, 3, 8, 8)}
    exec("\n".join(next_of(run("cwda advise 'my own.pth' --ratio .25"))), found)
    assert found["pruned"].first.out_channels == 12


def test_a_module_whose_images_are_not_known_is_pruned_in_python(folder, own):
    torch.export.save(torch.export.export(own, (torch.zeros(2, 3, 8, 8),)), "own.pt2")
    lines = next_of(run("cwda advise own.pt2"))
    assert lines[0].startswith("plan = cwda.make_plan(module, ")


def test_prune_tells_the_way_out_for_an_architecture_of_ones_own(folder):
    found = CliRunner().invoke(cwda_group, ["prune", "my own.pth", "--ratio", ".5"])
    assert found.exit_code == 1
    assert "give --arch NAME if `cwda models` lists it, else load the weights into" in found.stderr


@pytest.fixture
def broken(folder):
    """A known architecture with a weight that is NaN."""
    weights = torch.load("known.pth")
    weights["layer3.2.conv1.weight"][0, 0, 0, 0] = torch.nan
    torch.save(weights, "nan.pth")


def test_advice_on_weights_that_are_not_finite_names_them_and_prunes_nothing(broken):
    said = "nothing can be pruned as it is: layer layer3.2.conv1: 1 of 36,864 weights are NaN"
    for pattern in ("layer3.2.*", "layer3.1.*"):  # those of the latter are finite
        lines = run(f"cwda advise nan.pth --layers {pattern}")
        assert said in " ".join(" ".join(lines).split())
        assert not any("make_plan" in line for line in lines)
        [command] = next_of(lines)
        assert command == f"cwda describe nan.pth --layers '{pattern}'"
        run(command)


def test_sources_that_failed_are_not_in_the_next_command(folder):
    line = "cwda test nosuch.pth 'my own.pth' --layers first"
    found = CliRunner().invoke(cwda_group, shlex.split(line)[1:])
    assert found.exit_code == 1
    [command] = next_of(found.stdout.splitlines())
    assert command == "cwda advise 'my own.pth' --layers first"
    run(command)


@pytest.mark.parametrize("end", [".safetensors", ".pt2", ".pt"])
@pytest.mark.parametrize("columns", ["", "60"])
def test_pruning_ends_with_a_command_that_runs(folder, monkeypatch, end, columns):
    monkeypatch.setenv("COLUMNS", columns)
    lines = run(f"cwda prune known.pth --ratio .5 --summary --output slim{end}")
    [command] = next_of(lines)
    assert command == f"cwda contrast known.pth slim{end}"
    run(f"{command} --conditions mean")
    assert not any("next, " in line for line in run("cwda prune known.pth --ratio .5 --summary"))


def test_what_begins_like_an_option_is_printed_as_a_path(folder):
    (folder / "known.pth").rename("-x.pth")
    for line in (
        "cwda test --layers layer3.2.* -- -x.pth",
        "cwda test --layers layer3.2.* ./-x.pth",
    ):
        [command] = next_of(run(line))
        assert command == "cwda advise ./-x.pth --layers 'layer3.2.*'"
        run(command)
    [command] = next_of(run("cwda prune --ratio .5 --summary --output ./-y.pt2 -- -x.pth"))
    assert command == "cwda contrast ./-x.pth ./-y.pt2"
    run(f"{command} --conditions mean")


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        (["a/", "--output", "r"], "survey a/ --output r --report survey.pdf"),
        (["--output", "r", "--", "-a"], "survey --output r --report survey.pdf -- -a"),
    ],
)
def test_options_are_added_before_the_end_of_options(typed, printed):
    with click.Context(click.Command("survey"), info_name="survey") as context:
        context.meta["cwda.typed"] = typed
        assert command_line("--report", "survey.pdf") == printed
