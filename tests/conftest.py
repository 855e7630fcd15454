"""Fixtures that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real checkpoints and images beside the project; skips where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no folder {SHARED_DATA} with real checkpoints")
    return SHARED_DATA
