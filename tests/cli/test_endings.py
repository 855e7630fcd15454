"""How a command ends: closed pipes, full disks, Ctrl-C, missing characters."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import cwda
import cwda.conditions
from cwda.cli.main import cwda as group

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")

FULL = Path("/dev/full")
WORK = ("test", "--layers", "conv1", "--summary")


#: A million draws, of which the first few are told: all imports are over by then, in which a
#: library that is interrupted may raise another error.
LONG_WORK = """
import sys
from cwda.cli.main import cwda
from cwda.theory import simulation

draw, first = simulation.spearman_of_draws, iter([True])

def told(models, draws, seed, advance):
    def tell(share):
        if next(first, False):
            print("drawn", file=sys.stderr, flush=True)
        advance(share)
    return draw(models, draws, seed, tell)

simulation.spearman_of_draws = told
cwda(["predict", "--simulate", "--draws", "1000000"])
"""


def start(*arguments, python=("-m", "cwda"), **options):
    return subprocess.Popen(
        [sys.executable, *python, *arguments],
        stderr=subprocess.PIPE,
        env=os.environ | options.pop("env", {}),
        # A suite in the background of a shell has Ctrl-C turned off, which a process inherits.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


@pytest.mark.parametrize("arguments", [("--help",), ("test", "--help"), WORK], ids=" ".join)
def test_a_reader_who_has_seen_enough_is_no_error(arguments):
    reader, writer = os.pipe()
    os.close(reader)  # as `head` does once it has its lines
    process = start(*arguments, stdout=writer)
    os.close(writer)
    errors = process.communicate(timeout=120)[1]
    assert errors == b""
    assert process.returncode == 0


def test_files_are_written_though_nobody_reads_the_screen(tmp_path, monkeypatch):
    def closed(*arguments, **options):
        raise BrokenPipeError

    monkeypatch.setattr("rich.console.Console.print", closed)
    result = CliRunner().invoke(group, [*WORK, "--output", str(tmp_path / "table.csv")])
    assert result.exit_code == 0
    written = {name: f"to {tmp_path / name}\n" for name in ("table.csv", "table.network.csv")}
    assert result.stderr == "".join(f"wrote 8 rows {place}" for place in written.values())
    assert (tmp_path / "table.csv").read_text().startswith("network,")
    assert CliRunner().invoke(group, WORK).exit_code == 0


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("arguments", [("--help",), (*WORK, "--output", "-")], ids=" ".join)
def test_a_full_disk_is_one_line(arguments):
    with FULL.open("w") as full:
        process = start(*arguments, stdout=full)
        errors = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert errors == b"error: standard output: No space left on device\n"


def test_ctrl_c_ends_with_130_and_no_traceback():
    process = start(python=("-c", LONG_WORK), stdout=subprocess.DEVNULL)
    assert process.stderr.readline() == b"drawn\n"
    process.send_signal(signal.SIGINT)
    try:
        errors = process.communicate(timeout=120)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors == b"interrupted\n"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (BrokenPipeError(), 0, ""),
        (OSError(28, "No space left on device", "x.csv"), 1, "error: x.csv: No space left on"),
        (cwda.CwdaError("two\nlines"), 1, "error: two lines\n"),
    ],
)
def test_whatever_the_work_raises_ends_it_in_one_line(monkeypatch, error, code, words):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(sys.modules["cwda.conditions.layerwise"], "check_layer", fail)
    result = CliRunner().invoke(group, ["test"])
    assert result.exit_code == code
    assert result.stderr.startswith(words)
    assert result.stderr.count("\n") <= 1


def test_only_a_process_of_its_own_collects_less_often():
    before = gc.get_threshold(), gc.get_freeze_count()
    assert CliRunner().invoke(group, ["models"]).exit_code == 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
