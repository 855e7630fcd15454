"""The example in reports/ is what its documented command makes."""

import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from cwda.cli.main import cwda
from tests.helpers.pdf import page_texts

REPORTS = Path(__file__).resolve().parent.parent.parent / "reports"


def headings(path):
    """Titles of chapters and captions, which do not depend on the machine's rounding."""
    return re.findall(r"^(?:Figure|Table)\s\d+: .*$", "\n".join(page_texts(path)), re.MULTILINE)


def test_the_documented_command_makes_the_example(tmp_path):
    readme = (REPORTS / "README.md").read_text()
    command = re.search(r"^cwda (report .*)$", readme, re.MULTILINE)[1]
    arguments = shlex.split(command)
    place = arguments.index("--output") + 1
    example, made = REPORTS.parent / arguments[place], tmp_path / "made.pdf"
    arguments[place] = str(made)
    result = CliRunner().invoke(cwda, arguments)
    assert result.exit_code == 0, result.output
    assert headings(made) == headings(example)
    assert len(headings(made)) > 20
    assert example.stat().st_size < 2_000_000
