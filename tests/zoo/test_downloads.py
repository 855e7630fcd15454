"""Downloads from a server on this machine that cuts, lies, forgets or vanishes."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import subprocess
import sys
import threading

import pytest
import torch

from cwda.errors import SourceError, UnreadableError
from cwda.zoo import http as transfer
from cwda.zoo.download import from_url, hub_path


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one file; the class attributes of a subclass say how badly."""

    data = b""
    cuts = 0  # connections that end after `cut_after` bytes
    cut_after = 0
    errors: tuple[int, ...] = ()  # answers before the first good one
    ranges = True
    etag = '"one"'
    requests: list = []  # noqa: RUF012 - each server has a subclass with a list of its own

    def log_message(self, *_):
        pass

    def do_GET(self):
        kind = type(self)
        asked = self.headers.get("Range")
        kind.requests.append(asked)
        if kind.errors:
            code, *rest = kind.errors
            kind.errors = tuple(rest)
            self.send_error(code)
            return
        same = self.headers.get("If-Range") == kind.etag
        start = int(asked[6:-1]) if asked and kind.ranges and same else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(kind.data) - 1}/*")
        self.send_header("Content-Length", str(len(kind.data) - start))
        self.send_header("ETag", kind.etag)
        self.end_headers()
        body = kind.data[start:]
        if kind.cuts:
            kind.cuts -= 1
            body = body[: kind.cut_after]
        self.wfile.write(body)


@contextlib.contextmanager
def serving(**how):
    kind = type("Served", (Handler,), {"requests": [], **how})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kind, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


DATA = bytes(range(256)) * 8192  # 2 MiB
NAME = f"net-{hashlib.sha256(DATA).hexdigest()[:8]}.pth"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of torch.hub, and no waiting."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    return tmp_path / "cache" / "hub" / "checkpoints"


def test_a_cut_connection_is_resumed(cache):
    with serving(data=DATA, cuts=2, cut_after=700_000) as (served, url):
        path = from_url(f"{url}/{NAME}")
    assert path.read_bytes() == DATA
    assert served.requests == [None, "bytes=700000-", "bytes=1400000-"]
    assert os.listdir(cache) == [NAME]


def test_a_server_without_ranges_sends_all_again(cache):
    with serving(data=DATA, cuts=2, cut_after=700_000, ranges=False) as (served, url):
        assert from_url(f"{url}/{NAME}").read_bytes() == DATA
    assert len(served.requests) == 3


def test_a_file_that_changes_between_attempts_is_not_mixed(cache):
    def change(self):
        Handler.do_GET(self)
        type(self).data, type(self).etag = DATA, '"two"'

    how = {"data": DATA[::-1], "cuts": 1, "cut_after": 700_000, "do_GET": change}
    with serving(**how) as (served, url):
        assert from_url(f"{url}/{NAME}").read_bytes() == DATA
    assert served.requests == [None, "bytes=700000-"]


def test_without_a_validator_nothing_is_resumed(cache):
    with serving(data=DATA, cuts=1, cut_after=9, etag='W/"weak"') as (served, url):
        assert from_url(f"{url}/{NAME}").read_bytes() == DATA
    assert served.requests == [None, None]


@pytest.mark.parametrize("errors", [(503,), (500, 429, 502)])
def test_passing_errors_are_tried_again(cache, errors):
    with serving(data=DATA, errors=errors) as (served, url):
        assert from_url(f"{url}/{NAME}").read_bytes() == DATA
    assert len(served.requests) == len(errors) + 1


@pytest.mark.parametrize(("code", "tries"), [(404, 1), (403, 1), (503, transfer.ATTEMPTS)])
def test_lasting_errors_are_one_line(cache, code, tries):
    with (
        serving(errors=(code,) * 9) as (served, url),
        pytest.raises(SourceError, match="cannot download") as error,
    ):
        from_url(f"{url}/{NAME}")
    assert len(served.requests) == tries
    assert "\n" not in str(error.value)
    assert os.listdir(cache) == []


def test_endless_cuts_end_in_one_line(cache):
    with (
        serving(data=DATA, cuts=99, cut_after=1000) as (served, url),
        pytest.raises(SourceError, match="IncompleteRead"),
    ):
        from_url(f"{url}/{NAME}")
    assert len(served.requests) == transfer.ATTEMPTS
    assert os.listdir(cache) == []


def test_a_silent_server_is_given_up(cache, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT", 0.1)
    monkeypatch.setattr(transfer, "ATTEMPTS", 2)
    silence = threading.Event()

    def wait(self):
        self.requests.append(None)
        silence.wait(10)

    with serving(do_GET=wait) as (served, url):
        with pytest.raises(SourceError, match="timed out"):
            from_url(f"{url}/{NAME}")
        silence.set()
    assert len(served.requests) == 2


def test_a_wrong_hash_is_refused_and_removed(cache):
    with (
        serving(data=DATA[:-1] + b"x") as (_, url),
        pytest.raises(UnreadableError, match="does not begin with") as error,
    ):
        from_url(f"{url}/{NAME}")
    assert "\n" not in str(error.value)
    assert os.listdir(cache) == []


def test_the_cache_needs_no_network(cache):
    with serving(data=DATA) as (served, url):
        from_url(f"{url}/{NAME}")
    assert from_url(f"{url}/{NAME}") == hub_path(url + "/" + NAME)  # the server has stopped
    assert len(served.requests) == 1


def test_others_may_read_a_download(cache):
    with serving(data=DATA) as (_, url):
        path = from_url(f"{url}/{NAME}")
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_two_processes_at_once(cache):
    """Both fetch the same file; each finds it whole, whichever ends first."""
    script = (
        "import hashlib, sys\n"
        "from cwda.zoo.download import from_url\n"
        "print(hashlib.sha256(from_url(sys.argv[1]).read_bytes()).hexdigest())\n"
    )
    together = threading.Barrier(2, timeout=60)

    def meet(self):
        together.wait()  # neither gets a byte before both have asked
        Handler.do_GET(self)

    with serving(data=DATA, do_GET=meet) as (served, url):
        command = [sys.executable, "-c", script, f"{url}/{NAME}"]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        told = [process.communicate()[0].strip() for process in both]
    assert told == [hashlib.sha256(DATA).hexdigest()] * 2
    assert len(served.requests) == 2
    assert os.listdir(cache) == [NAME]


def test_a_plain_name_has_no_hash(cache):
    torch.save({"conv.weight": torch.zeros(8, 3, 3, 3)}, cache.parent.parent.parent / "x.pth")
    data = (cache.parent.parent.parent / "x.pth").read_bytes()
    with serving(data=data) as (_, url):
        assert from_url(f"{url}/x.pth").read_bytes() == data


def test_a_bar_counts_the_bytes_where_somebody_watches(cache, monkeypatch):
    shown = []
    monkeypatch.setattr("cwda.progress._is_watched", lambda: True)
    monkeypatch.setattr("cwda.progress.Counter.update", lambda _, *counts: shown.append(counts))
    with serving(data=DATA, cuts=1, cut_after=700_000) as (_, url):
        from_url(f"{url}/{NAME}")
    assert shown[-1] == (len(DATA), len(DATA))
