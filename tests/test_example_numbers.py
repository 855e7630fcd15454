"""What the pages for newcomers print and quote is what the commands and functions say today."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from cwda.cli.main import cwda

DOCS = Path(__file__).parents[1] / "docs"
ROWS = (DOCS / "reading-a-row.md").read_text(encoding="utf-8")
DECISIONS = (DOCS / "what-should-i-do.md").read_text(encoding="utf-8")

#: What the rows were printed by, by the heading above them.
COMMANDS = {
    "A row of the network": ("test",),
    "A row of a layer": ("test",),
    "A row of `cwda advise`": ("advise",),
    "A row of `cwda contrast`": ("contrast", "resnet20-cifar10:init", "resnet20-cifar10"),
}

#: What the quoted answers are about, by a word of the line above each.
NETWORKS = {
    "trained ResNet-20 (CIFAR-10": "resnet20-cifar10",
    "ResNet-20 for CIFAR-100": "checkpoints/cifar100-resnet20.pth",
    "network before training": "resnet20-cifar10:init",
}


@pytest.fixture(scope="module")
def printed():
    """The words that a command prints on a wide terminal, run once each."""
    known = {}

    def words(*arguments):
        if arguments not in known:
            result = CliRunner().invoke(cwda, arguments, env={"COLUMNS": "160"})
            assert result.exit_code == 0, result.output
            known[arguments] = words_of(result.stdout)
        return known[arguments]

    return words


def words_of(text):
    """Words with single blanks between them, without the marks of a quotation."""
    return " ".join(re.sub(r"^> ?", "", text, flags=re.MULTILINE).split())


def section(heading):
    """What stands below a heading of the page on rows."""
    return ROWS.partition(f"## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("heading", COMMANDS)
def test_the_rows_are_printed(heading, printed):
    block = re.search(r"```console\n(.*?)```", section(heading), re.DOTALL)[1]
    row = words_of(block.splitlines()[-1])
    assert len(row.split()) > 5
    assert row in printed(*COMMANDS[heading])


@pytest.mark.parametrize("heading", COMMANDS)
def test_what_is_read_aloud_are_the_numbers_of_the_row(heading):
    """Or margins, which are round."""
    _, block, text = re.split(r"```(?:console)?\n", section(heading))
    quoted = "\n".join(line for line in text.splitlines() if line.startswith(">"))
    numbers = re.findall(r"(?<![\d.])\d*\.\d{2,}", quoted)
    assert numbers
    assert all(number.lstrip("0") in block for number in numbers), numbers


def test_the_sentence_on_trained_networks_and_its_arithmetic(printed):
    text = section("The sentences")
    quoted = words_of("\n".join(line for line in text.splitlines() if line.startswith(">")))
    assert quoted in printed("test")
    ratios = [float(a) / float(b) for a, b in re.findall(r"([\d.]+) / ([\d.]+)", text)]
    assert len(ratios) == 4
    assert (sum(ratio**2 for ratio in ratios) / 4) ** 0.5 == pytest.approx(1.96, abs=0.005)
    assert "1.96." in text


@pytest.mark.parametrize("head", NETWORKS)
def test_the_answers_are_given(head, printed, request):
    """Parts that are left out are marked so."""
    _, _, rest = DECISIONS.partition(head)
    quotation = re.search(r"(?:^>.*\n)+", rest, re.MULTILINE)[0]
    source = NETWORKS[head]
    if "/" in source:
        source = str(request.getfixturevalue("shared_data") / source)
    said = printed("advise", source)
    parts = [part for item in words_of(quotation).split(" - ") for part in item.split("[...]")]
    parts = [part.removeprefix("- ").strip() for part in parts]
    assert len(parts) > 2
    assert [part for part in parts if part not in said] == []


def test_the_agreement_of_chance_is_that_of_the_untrained_network(printed):
    kappa = re.search(r"criteria agree here \(kappa at least (\.\d+)\)", words_of(DECISIONS))[1]
    assert f"(kappa at least {kappa}" in printed("advise", "resnet20-cifar10:init")
