"""Compiled loops: kept on disk, or left out with one line, and their threads."""

import importlib.util
import logging
import subprocess
import sys
import threading

import pytest
import torch

from cwda.numerics.compiled import compiler
from cwda.numerics.compiled.compiler import compiled
from cwda.numerics.compiled.threads import in_threads

NAMES = "tiny", "double"
TINY = """
SIGNATURES = {"double": "void(float64[::1])"}

def double(x):
    for i in range(len(x)):
        x[i] *= 2
"""
COMPILE = """
import importlib.util, sys
import numpy as np
from cwda.numerics.compiled.compiler import compiled
name = "cwda.numerics.compiled.tiny"
spec = importlib.util.spec_from_file_location(name, sys.argv[1])
sys.modules[name] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
x = np.ones(2)
compiled("tiny", "double")(x)
assert x.tolist() == [2, 2]
"""


@pytest.fixture
def tiny(tmp_path):
    """A file that holds a loop."""
    path = tmp_path / "source" / "tiny.py"
    path.parent.mkdir()
    path.write_text(TINY)
    return path


@pytest.fixture
def fresh(monkeypatch, tiny):
    """As in a process that has compiled nothing."""
    name = "cwda.numerics.compiled.tiny"
    spec = importlib.util.spec_from_file_location(name, tiny)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(compiler, "_READY", {})
    monkeypatch.setattr(compiler, "_SAID", [])
    monkeypatch.setattr(compiler, "_TRIED", set())


@pytest.fixture
def nowhere(monkeypatch):
    """No folder can be written to: neither beside the source nor in the user's cache."""
    caching = pytest.importorskip("numba.core.caching")
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    if hasattr(caching.CacheImpl, "_get_locators"):
        monkeypatch.setattr(caching.CacheImpl, "_get_locators", classmethod(lambda cls: []))


def test_a_second_process_finds_the_code_of_the_first(tiny, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    written = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COMPILE, str(tiny)], check=True)
        files = (tiny.parent / "__pycache__").glob("*.nb?")
        written.append({path: path.stat().st_mtime_ns for path in files})
    assert written[0] == written[1]
    assert {path.suffix for path in written[0]} == {".nbi", ".nbc"}


@pytest.mark.parametrize("damage", [b"", b"\x80random bytes"])
def test_damaged_code_is_made_anew(tiny, fresh, monkeypatch, caplog, damage):
    pytest.importorskip("numba")
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert compiled(*NAMES) is not None
    kept = list((tiny.parent / "__pycache__").glob("*.nb?"))
    for path in kept:
        path.write_bytes(damage)
    monkeypatch.setattr(compiler, "_READY", {})
    assert compiled(*NAMES) is not None
    assert caplog.records == []
    assert all(path.read_bytes() != damage for path in kept)


def test_code_of_a_read_only_installation_is_kept_by_the_user(tmp_path, monkeypatch, tiny, fresh):
    caching = pytest.importorskip("numba.core.caching")

    def refuse(self):
        raise PermissionError("read-only file system")

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(caching.InTreeCacheLocator, "ensure_cache_path", refuse)
    assert compiled(*NAMES) is not None
    [index] = tmp_path.rglob("*.nbi")
    assert not index.is_relative_to(tiny.parent)


def one_line(caplog):
    with caplog.at_level(logging.WARNING, "cwda"):
        assert [compiled(*NAMES), compiled(*NAMES)] == [None, None]
    [record] = caplog.records
    return record.getMessage()


def test_without_a_folder_there_is_one_line(fresh, nowhere, caplog):
    assert one_line(caplog) == (
        "slower without compiled loops: no folder can be written to keep them; "
        "NUMBA_CACHE_DIR names one"
    )


def test_without_numba_there_is_one_line(fresh, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "numba", None)
    assert one_line(caplog).startswith(
        "slower without compiled loops: numba cannot be imported (import of numba halted"
    )


def test_numba_that_does_not_compile_is_not_used(fresh, monkeypatch, caplog):
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert one_line(caplog) == "slower without compiled loops: NUMBA_DISABLE_JIT is set"


def test_several_loops_that_are_missing_are_one_line(fresh, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "numba", None)
    with caplog.at_level(logging.WARNING, "cwda"):
        assert compiled("centring", "centre") is compiled("block_squares", "add_block_squares")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("number", [1, 2, 5])
def test_threads_do_all_the_work_once(number):
    before, done, seen = torch.get_num_threads(), [], set()

    def work(item):
        seen.add(threading.get_ident())
        done.append(item)

    try:
        torch.set_num_threads(number)
        in_threads(work, range(100))
    finally:
        torch.set_num_threads(before)
    assert sorted(done) == list(range(100))
    assert len(seen) <= number


def test_what_a_thread_raises_is_raised():
    def fail(item):
        if item == 3:
            raise ZeroDivisionError(item)

    with pytest.raises(ZeroDivisionError):
        in_threads(fail, range(10))
