"""Surveys: every source is a row, nothing is done twice, and nothing is lost."""

import asyncio
import collections
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
import torch
from distributed import Client
from distributed.comm.core import CommClosedError

import cwda
from cwda.surveys.tables import TABLES
from cwda.surveys.workers import cluster

PROCESS = Path(__file__).with_name("stand_in_process.py")
NAMES = [f"slow-{i}.pth" for i in range(6)]


def statuses(survey):
    return dict(survey.networks[["name", "status"]].itertuples(index=False))


def measured(stand_in):
    """How often each network was measured."""
    log = stand_in / "log.txt"
    return collections.Counter(log.read_text().split() if log.exists() else ())


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def not_ignoring_ctrl_c():
    """A test run in the background of a shell ignores it, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start():
    """Processes that end with the test."""
    processes = []

    def begin(*arguments, **options):
        command = [sys.executable, str(PROCESS), *map(str, arguments)]
        processes.append(
            subprocess.Popen(
                command, stderr=subprocess.DEVNULL, preexec_fn=not_ignoring_ctrl_c, **options
            )
        )
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def meanwhile():
    """Something that happens as soon as something else is true, while the test goes on."""
    threads = []

    def begin(condition, *arguments, then):
        def run():
            wait_for(lambda: condition(*arguments))
            then()

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield begin
    for thread in threads:
        thread.join()


@pytest.fixture
def scheduler(start, tmp_path):
    """The file of a scheduler that runs, and its process."""
    path = tmp_path / "scheduler.json"
    process = start("scheduler", path)
    wait_for(path.exists)
    wait_for(lambda: path.read_text().strip().endswith("}"))
    return str(path), process


def test_a_real_survey(tmp_path):
    """Two networks under three names and a misspelt one, by real children."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(16, 8, 3, 3, generator=generator)
    nets = tmp_path / "nets"
    (nets / "below").mkdir(parents=True)
    torch.save({"conv.weight": weights}, nets / "one.pth")
    torch.save({"module.conv.weight": weights.double()}, nets / "below" / "same.pth")
    torch.save({"fc.weight": weights.flatten(1)}, nets / "none.pth")
    found = cwda.survey([nets, "resnet81"], output=tmp_path / "out", workers=1)
    rows = found.networks.set_index("name")
    assert sorted(rows["status"]) == ["done", "duplicate", "failed", "unavailable"]
    assert {rows.loc["one", "status"], rows.loc["same", "status"]} == {"done", "duplicate"}
    assert "did you mean resnet" in rows.loc["resnet81", "reason"]
    assert "no convolution" in rows.loc["none.pth", "reason"]
    done = rows[rows["status"] == "done"].iloc[0]
    assert done["peak_memory"] > 50
    assert done["seconds"] > 0
    check = cwda.check(nets / "one.pth")
    ours = found.conditions[["condition", "effect", "effect_low", "effect_high", "verdict"]]
    theirs = check.table[ours.columns]
    assert ours.equals(theirs.astype(ours.dtypes))
    assert found.network_conditions["effect"].equals(check.network.table["effect"])
    assert found.similarity["predicted"].notna().all()
    assert len(found.applicability) == 4
    assert found.layers.iloc[0][["kernel", "dim", "dead_filters"]].tolist() == ["3x3", 72, 0]


def test_every_source_is_a_row(stand_in, make, tmp_path):
    folder = make("a.pth", "hang.pth", "crash.pth", "eat.pth", "once.pth")
    (folder / "copy.pth").write_text("a.pth")
    (tmp_path / "names.txt").write_text("# networks\nnets/a.pth\nresnet-18x # typo\n\nnets/b.pth\n")
    found = cwda.survey(
        [folder, tmp_path / "names.txt", folder / "*.onnx"],
        output=tmp_path / "out",
        workers=2,
        timeout=4.0,
        memory=0.125,
    )
    became = {Path(name).name: status for name, status in statuses(found).items()}
    assert {became.pop("a.pth"), became.pop("copy.pth")} == {"done", "duplicate"}
    assert became == {
        "once.pth": "done",
        "hang.pth": "timed out",
        "eat.pth": "out of memory",
        "crash.pth": "failed",
        "resnet-18x": "unavailable",
        "b.pth": "unavailable",
        "*.onnx": "unavailable",
    }
    assert sum(measured(stand_in).values()) == 2
    assert re.fullmatch(r"9 sources: 2 done, 1 duplicate, 1 failed, .*", found.title())
    for name in TABLES:
        assert list(getattr(found, name).columns) == list(TABLES[name].columns)


def test_names_that_are_no_utf_8_are_written_out(stand_in, make, tmp_path):
    folder = make("a.pth")
    (folder / os.fsdecode(b"b\xff.pth")).write_text("b")
    for _ in range(2):
        found = cwda.survey(folder, output=tmp_path / "out", workers=1)
        assert statuses(found) == {"a.pth": "done", "b\\udcff.pth": "done"}
    assert set(measured(stand_in).values()) == {1}


def test_what_is_done_is_not_done_again(stand_in, make, tmp_path):
    folder = make("a.pth", "b.pth", "once.pth", "hang.pth")
    options = {"output": tmp_path / "out", "workers": 1, "timeout": 2.0}
    cwda.survey(folder, **options)
    (folder / "b.pth").write_text("other weights")
    make("c.pth", "crash.pth")
    found = cwda.survey(folder, **options)
    assert measured(stand_in) == {"a.pth": 1, "once.pth": 1, "b.pth": 2, "c.pth": 1}
    assert len(found.networks) == 6
    (folder / "hang.pth").write_text("hang.pth")  # written anew, so it is tried again
    found = cwda.survey(folder, **options, again=True)
    assert measured(stand_in) == {"a.pth": 1, "once.pth": 1, "b.pth": 2, "c.pth": 1}
    assert found.statuses == {"done": 4, "failed": 1, "timed out": 1}


def test_a_corrected_mistake_is_forgotten(stand_in, make, tmp_path):
    """What was not there is looked for anew, and gone when nobody asks for it any more."""
    names, options = tmp_path / "names.txt", {"output": tmp_path / "out", "workers": 1}
    names.write_text("nets/a.pth\nnets/late.pth\nresnet81\n")
    make("a.pth")
    rows = cwda.survey(names, **options).networks
    assert sorted(rows["status"]) == ["done", "unavailable", "unavailable"]
    make("late.pth")
    names.write_text("nets/a.pth\nnets/late.pth\n")
    assert statuses(cwda.survey(names, **options)) == {"a.pth": "done", "late.pth": "done"}
    assert measured(stand_in) == {"a.pth": 1, "late.pth": 1}


def test_labels_may_come_later_and_those_of_nobody_are_told(stand_in, make, tmp_path, monkeypatch):
    folder, out, table = make("a.pth", "b.pth"), tmp_path / "out", tmp_path / "labels.csv"
    monkeypatch.chdir(tmp_path)
    (folder / "copy.pth").write_text("a.pth")
    cwda.survey(folder, output=out, workers=1)
    table.write_text("source,task,family\nnets/[ac]*.pth,images,mine\nnets/aa.pth,x,y\n")
    with pytest.warns(UserWarning, match=r"^labels: 1 of 2 rows match no source: 'nets/aa.pth'$"):
        found = cwda.survey(folder, output=out, labels=table, workers=1)
    families = dict(found.networks[["name", "family"]].itertuples(index=False))
    assert families == {"a.pth": "mine", "copy.pth": "mine", "b.pth": ""}
    assert sum(measured(stand_in).values()) == 2  # nothing is measured again for a label
    again = cwda.survey(folder, output=out, workers=1).networks  # without labels they stay
    assert again.equals(found.networks)


def test_a_copy_takes_the_place_of_a_network_that_has_changed(stand_in, make, tmp_path):
    folder = make("a.pth")
    (folder / "b.pth").write_text("a.pth")
    cwda.survey(folder, output=tmp_path / "out", workers=1)
    (folder / "a.pth").write_text("new")
    found = cwda.survey(folder, output=tmp_path / "out", workers=1)
    assert statuses(found) == {"a.pth": "done", "b.pth": "done"}
    assert found.networks["hash"].nunique() == 2


def test_a_killed_command_goes_on(stand_in, make, tmp_path, start):
    folder, out = make(*NAMES), tmp_path / "out"
    first = start("cwda", "survey", folder, "--output", out, "--workers", 1)
    wait_for(lambda: len(measured(stand_in)) >= 2)
    first.kill()
    first.wait()
    assert len(cwda.read_survey(out).networks) < len(NAMES)
    found = cwda.survey(folder, output=out, workers=2)
    assert statuses(found) == dict.fromkeys(NAMES, "done")
    assert sum(measured(stand_in).values()) <= len(NAMES) + 2  # what was on its way
    assert not list(out.rglob("*.partial"))


def test_an_interruption_ends_all_processes(stand_in, make, tmp_path, start):
    folder, out = make("a.pth", "hang.pth"), tmp_path / "out"
    first = start("cwda", "survey", folder, "--output", out, "--workers", 2)
    wait_for(lambda: [*(out / "networks").glob("*.parquet")])
    children = psutil.Process(first.pid).children(recursive=True)

    def ended():
        first.send_signal(signal.SIGINT)  # as often as it takes, as one would press the keys
        with contextlib.suppress(subprocess.TimeoutExpired):
            first.wait(5)
        return first.poll() is not None

    wait_for(ended)
    assert first.returncode
    wait_for(lambda: not any(map(psutil.Process.is_running, children)), seconds=30)
    (folder / "hang.pth").unlink()
    assert cwda.survey(folder, output=out).statuses == {"done": 1}
    assert measured(stand_in) == {"a.pth": 1}


def test_a_notebook_runs_a_loop_in_the_same_thread(stand_in, make, tmp_path, start, scheduler):
    path, _ = scheduler
    start("worker", "--scheduler-file", path)

    async def cell(**options):
        return cwda.survey(make("a.pth", "b.pth"), output=tmp_path / "out", **options)

    assert asyncio.run(cell(workers=1)).statuses == {"done": 2}
    make("c.pth")
    assert asyncio.run(cell(scheduler=path)).statuses == {"done": 3}


def test_a_lost_worker_loses_nothing(stand_in, make, tmp_path, start, scheduler, meanwhile):
    path, _ = scheduler
    lost, _ = start("worker", "--scheduler-file", path), start("worker", "--scheduler-file", path)
    meanwhile(measured, stand_in, then=lost.kill)
    found = cwda.survey(make(*NAMES), output=tmp_path / "out", scheduler=path)
    assert statuses(found) == dict.fromkeys(NAMES, "done")


def test_a_lost_scheduler_is_one_line_and_the_survey_goes_on(
    stand_in, make, tmp_path, start, scheduler, meanwhile, monkeypatch
):
    monkeypatch.setattr(cluster, "_PATIENCE", 5)
    path, process = scheduler
    start("worker", "--scheduler-file", path)
    meanwhile(measured, stand_in, then=process.kill)
    folder, out = make(*NAMES), tmp_path / "out"
    with pytest.raises(cwda.CwdaError, match=r"scheduler at .* was lost; what is done is kept"):
        cwda.survey(folder, output=out, scheduler=path)
    found = cwda.survey(folder, output=out, workers=2)
    assert statuses(found) == dict.fromkeys(NAMES, "done")
    assert max(measured(stand_in).values()) <= 2


def test_an_answer_that_a_lost_connection_keeps_is_no_failure_of_its_network(
    stand_in, make, tmp_path, monkeypatch
):
    """The client learns of the loss moments after the answer could not be fetched."""
    folder, out = make("a.pth", "b.pth"), tmp_path / "out"

    async def fetch(*arguments, **options):
        raise CommClosedError("in <TCP>: Stream is closed")

    with monkeypatch.context() as patched:
        patched.setattr(Client, "_gather", fetch)
        with pytest.raises(cwda.CwdaError, match="was lost; what is done"):
            cwda.survey(folder, output=out, workers=1)
    assert cwda.survey(folder, output=out, workers=1).statuses == {"done": 2}


def test_a_worker_of_another_version_is_refused(stand_in, make, tmp_path, start, scheduler):
    path, _ = scheduler
    start("old-worker", "--scheduler-file", path)
    with pytest.raises(cwda.CwdaError, match=r"worker .* 0\.0\.1, and this machine .*; install"):
        cwda.survey(make("a.pth"), output=tmp_path / "out", scheduler=path)


def test_a_scheduler_that_is_not_there_is_one_line(make, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_PATIENCE", 0.5)
    monkeypatch.chdir(tmp_path)
    Path("empty.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answers_nothing = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        wrong = ("tcp://127.0.0.1:9", "nowhere", "tcp://", "http://127.0.0.1:8786", answers_nothing)
        for address in (*wrong, "missing.json", "empty.json"):
            with pytest.raises(cwda.CwdaError, match=rf"^{re.escape(address)}: no .*scheduler"):
                cwda.survey(make("a.pth"), output=tmp_path / "out", scheduler=address)


def test_more_workers_than_memory_allows_are_one_line():
    line = r"^100000 workers with 0\.5 GiB each .* give fewer"
    workers = cluster.connected("local", 100_000, None, networks=1_000_000)
    with pytest.raises(cwda.CwdaError, match=line), workers:
        pass


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ([], "no source given"),
        (torch.zeros(1), "save it with torch.save"),
        ([{"conv.weight": torch.zeros(8, 3, 3, 3)}], "not an object of type dict"),
    ],
)
def test_what_is_no_source(given, line, tmp_path):
    with pytest.raises(cwda.CwdaError, match=line):
        cwda.survey(given, output=tmp_path)


def test_numbers_that_cannot_be(tmp_path):
    for options in ({"level": 2}, {"timeout": -1}, {"workers": 0}, {"memory": 0}):
        with pytest.raises(cwda.CwdaError, match=next(iter(options))):
            cwda.survey("resnet18", output=tmp_path, **options)
