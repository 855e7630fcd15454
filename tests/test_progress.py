"""The bar, on a terminal, in a notebook, and where nobody watches."""

import contextlib
import inspect
import os
import re
import subprocess
import sys
from typing import ClassVar

import pytest
import torch
from PIL import Image

import cwda
from cwda import progress
from cwda.reporting.survey import build
from tests.test_doors import CALLS, NOT_CALLED, OF_A_MODEL, WEIGHTS, functions, module, public

#: Two nested loops and a download, with a note, a log record and a warning while they run.
LONG_WORK = """
import logging, sys, time, warnings
from cwda import progress
from cwda.cli import messages, verb
progress._DELAY = float(sys.argv[1])
quiet = sys.argv[2] == "quiet"
with verb._logging(quiet, 0), progress.showing(not quiet):
    for outer in progress.steps([1, 2], "networks"):
        with progress.counter("download", 3000, unit="B") as count:
            for _ in range(3):
                count.advance(1000)
                time.sleep(.12)
        for inner in progress.steps([1, 2, 3], "layers"):
            time.sleep(.12)
            if inner == 2:
                messages.note(f"note {outer}")
                logging.getLogger("cwda.x").warning("record %d", outer)
messages.note("end")
"""


def on_terminal(*arguments, code=LONG_WORK, size=(24, 80)):
    """Everything that a process writes to a terminal of 80 columns."""
    termios = pytest.importorskip("termios", reason="Windows has no such terminals")
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, size)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # what Linux says at the end
            break
        if not block:
            break
        written += block
    os.close(ours)
    assert process.wait(timeout=60) == 0, written
    return written.decode()


def screen(text):
    """What is left on the screen: carriage returns, line feeds and steps upwards."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[A|\r|\n|[^\x1b\r\n]+", text):
        if part == "\x1b[A":
            row -= 1
        elif part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        else:
            before = lines[row].ljust(column)
            lines[row] = before[:column] + part + before[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines if line.strip()]


LINES = ["note 1", "warning: record 1", "note 2", "warning: record 2", "end"]


def test_lines_stand_above_the_bars_and_the_bars_go():
    written = on_terminal("0", "loud")
    for bar in ("networks:  50%", "download:  67%", "2.00k/3.00k", "layers:  67%"):
        assert bar in written
    assert screen(written) == LINES


def test_a_terminal_of_unknown_size_has_bars():
    assert "networks:  50%" in on_terminal("0", "loud", size=(0, 0))


def test_short_work_shows_no_bar():
    written = on_terminal("60", "loud")
    assert "networks" not in written
    assert screen(written) == LINES


def test_a_bar_first_drawn_below_a_line_is_wiped():
    code = (
        "import time\n"
        "from cwda import progress\n"
        "progress._DELAY = .1\n"
        "with progress.counter('work', 2):\n"
        "    time.sleep(.2)\n"
        "    progress.line('note')\n"
        "    time.sleep(.1)\n"
    )
    written = on_terminal(code=code)
    assert "work:" in written
    assert screen(written) == ["note"]


def test_a_quiet_verb_shows_no_bar():
    assert screen(on_terminal("0", "quiet")) == ["note 1", "note 2", "end"]


def test_nothing_is_drawn_in_a_pipe():
    process = subprocess.run(
        [sys.executable, "-c", LONG_WORK, "0", "loud"], capture_output=True, text=True, check=True
    )
    assert process.stderr.splitlines() == LINES
    assert process.stdout == ""


def test_a_notebook_shows_one_bar_and_keeps_nothing():
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    cell = nbformat.v4.new_code_cell(
        "import time\n"
        "from cwda import progress\n"
        "progress._DELAY = 0\n"
        "for _ in progress.steps([1, 2], 'outer'):\n"
        "    for _ in progress.steps([1, 2], 'inner'):\n"
        "        time.sleep(.12)\n"
    )
    client.NotebookClient(nbformat.v4.new_notebook(cells=[cell]), timeout=60).execute()
    text = "".join(output["text"] for output in cell.outputs)
    assert "outer:  50%" in text
    assert "inner" not in text
    assert "\n" not in text
    assert screen(text) == []


def test_bars_that_are_hidden_outside_stay_hidden_inside():
    with progress.showing(False), progress.showing(True):
        assert not progress._SHOWN.get()
    assert progress._SHOWN.get()


class Bar:
    """Takes the place of a bar, and keeps what it was told."""

    opened: ClassVar[list[tuple[str, float | None]]] = []

    def __init__(self, *, desc, total, **options):
        self.opened.append((desc, total))
        self.total, self.n = total, 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self, steps):
        self.n += steps

    def set_description(self, text, refresh):
        pass


@pytest.fixture
def opened(monkeypatch):
    """The titles of the bars that are opened, with the number of their steps."""
    monkeypatch.setattr(Bar, "opened", [])
    monkeypatch.setattr(progress, "_is_watched", lambda: True)
    monkeypatch.setattr(progress, "_has_room", lambda: True)
    monkeypatch.setattr(progress, "_bar_type", lambda: Bar)
    return Bar.opened


#: What functions of a model need before they take long.
MORE = {"scoring.collect": {"data": torch.zeros(2, 8, 9, 9), "needs": "activations"}}

#: How functions end that were given no time for their work.
STOPPED = {"study.run_study": cwda.CwdaError}

#: Functions that take `progress` by their name, and what they are called with.
WITH_A_BAR = [
    name for name in functions() if "progress" in inspect.signature(public(name)).parameters
]


@pytest.mark.parametrize("name", [name for name in WITH_A_BAR if name not in NOT_CALLED])
def test_what_takes_progress_opens_a_bar(name, opened, monkeypatch, tmp_path):
    """One with a title and a number of steps, from which the time that is left follows."""
    monkeypatch.setattr(build, "_CHAPTERS", build._CHAPTERS[-1:])  # one step tells enough
    if name in OF_A_MODEL:
        args, options = (module(), *OF_A_MODEL[name](tmp_path)), MORE.get(name, {})
    else:
        args, options = CALLS[name]()
    for shown in (True, False):
        folder = tmp_path / str(shown)
        folder.mkdir()
        monkeypatch.chdir(folder)
        opened.clear()
        with contextlib.suppress(STOPPED.get(name, ())):
            public(name)(*args, **options, progress=shown)
        assert bool(opened) == shown
        assert all(what and total for what, total in opened)


def test_few_functions_with_progress_are_called_elsewhere():
    assert {*WITH_A_BAR} & {*NOT_CALLED} == {"experiment.run_experiment", "survey"}


def test_what_reads_files_opens_a_bar(opened, tmp_path):
    torch.save(WEIGHTS, tmp_path / "net.pth")
    cwda.load(tmp_path / "net.pth")
    assert opened == [("reading net.pth", (tmp_path / "net.pth").stat().st_size)]
    opened.clear()
    for part in ("train", "test"):
        folder = tmp_path / "images" / part / "cats"
        folder.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / "cat.png")
    cwda.read_images(tmp_path / "images")
    assert opened == [("reading images", 1)] * 2


#: A library that takes long to load.
SLOW_IMPORT = """
import sys, time
from cwda import progress
progress._PATIENCE = .1
open("slow_library.py", "w").write("import time; time.sleep(.5)")
sys.path.insert(0, ".")
with progress.showing(sys.argv[1] != "quiet"), progress.importing():
    if sys.argv[1] == "computing":
        time.sleep(.5)
    else:
        import slow_library
"""


@pytest.mark.parametrize("case", ["loading", "quiet", "computing"])
def test_a_long_wait_for_libraries_is_said(case, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.chdir(tmp_path)
    said = on_terminal(case, code=SLOW_IMPORT)
    assert ("loading libraries ..." in str(said)) == (case == "loading")


def test_one_bar_is_told_by_the_parts_of_its_work(monkeypatch, caplog):
    steps, bars = [], []

    @contextlib.contextmanager
    def counter(what, total=None, *, unit=""):
        bars.append((what, total))
        yield type("Bar", (), {"advance": lambda self, n=1: steps.append(n)})()

    monkeypatch.setattr(progress, "counter", counter)
    monkeypatch.setattr(progress, "_RECORDS", 0.0)
    progress.advance(5)  # nobody is told
    with caplog.at_level("INFO", "cwda"), progress.overall("work", 10):
        assert not progress._SHOWN.get()  # its parts draw no bars of their own
        progress.advance(4)
        progress.advance(9)  # some was done twice
    assert progress._SHOWN.get()
    assert bars == [("work", 10)]
    assert steps == [4, 6]
    assert "work: 40 %, about 0:00 minutes left" in caplog.text
    progress.advance(5)
    assert steps == [4, 6]
