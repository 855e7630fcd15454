"""Shared fixtures, and what is skipped where a machine lacks something."""

from __future__ import annotations

import errno
import gc
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from cwda.layers import Network
from cwda.loading import load

# The same examples each time: a change is judged by what it changes. `pytest
# --hypothesis-profile=search` looks for others.
settings.register_profile("fixed", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile("fixed")

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"

#: Tests of the rooms that read.
READING = {"containers", "torch_files", "keras_files", "onnx_files", "checkpoints", "convolutions"}
READING |= {"zoo", "loading"}

#: Names and addresses of this machine.
_HERE = (None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What takes long begins first: no process is left alone with it in the end.
    items.sort(key=lambda item: not (item.path.suffix == ".ipynb" or "slow" in item.keywords))
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):  # a folder above may have that name too
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def pytest_collection_finish() -> None:
    """What is there by now, libraries and tests, stays: no garbage is sought in it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)  # tests leave little that only a search finds


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real checkpoints and CIFAR-10, beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: real checkpoints are not part of the project")
    return SHARED


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """A file that tests only read, made by the first process of a run that asks for it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def made(name, make):
        path = folder / name
        with FileLock(folder / f"{name}.lock"):
            if not path.exists():
                make(path)
        return path

    return made


@pytest.fixture(scope="session")
def resnet56(shared_data: Path) -> Network:
    """ResNet56 trained on CIFAR-10."""
    return load(shared_data / "checkpoints" / "resnet56-4bfd9763.th")


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Tests see this machine alone, whatever it is connected to; marked ones see the network."""
    if request.node.get_closest_marker("network"):
        return
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def getaddrinfo(host, *args, **kwargs):
        if host not in _HERE:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    def local_connect(self, address):
        if isinstance(address, tuple) and address[0] not in _HERE:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        return connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", local_connect)


@pytest.fixture(autouse=True)
def _no_trial_reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Sound HDF5 files are not read in another process first, which takes a third of a second."""
    if READING & set(request.path.parts) and "another_process" not in request.node.name:
        monkeypatch.setattr("cwda.keras_files.files.require_readable", lambda source: None)


@pytest.fixture(autouse=True)
def _global_random_state_is_left_alone(request: pytest.FixtureRequest):
    if READING & set(request.path.parts):  # modules made there draw their initial weights from it
        yield
        return
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    yield
    assert torch.equal(before[0], torch.get_rng_state()), "the global torch seed was used"
    assert (before[1] == np.random.get_state()[1]).all(), "the global numpy seed was used"  # noqa: NPY002
