"""Each command that a verb ends with is run as it is printed."""

import shlex

import pytest
import torch
from click.testing import CliRunner
from torch import nn

import cwda
from cwda.cli.main import cwda as cwda_group


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
    [command] = next_of(run("cwda advise known.pth --layers layer3.2.*"))
    run(f"{command} --summary")
    assert (folder / "pruned.safetensors").exists()


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
