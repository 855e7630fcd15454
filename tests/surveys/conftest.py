"""Children that compute nothing, so that tests of kills take moments."""

import pickle
import sys
from pathlib import Path

import pytest

from cwda.surveys.store import as_part
from cwda.surveys.tables import MEASURED
from cwda.surveys.workers import worker

STAND_IN = Path(__file__).with_name("stand_in.py")


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Surveys of this process, and of those that it starts, have stand-ins for children."""
    folder = tmp_path / "stand_in"
    folder.mkdir()
    parts = {table.name: as_part(table, []) for table in MEASURED}
    (folder / "parts.pickle").write_bytes(pickle.dumps(parts))
    monkeypatch.setenv("STAND_IN", str(folder))
    monkeypatch.setattr(worker, "COMMAND", [sys.executable, str(STAND_IN)])
    yield folder
    worker.close()


@pytest.fixture
def make(tmp_path):
    """Files that stand-ins take for networks."""

    def files(*names):
        folder = tmp_path / "nets"
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / name).write_text(name)
        return folder

    return files
