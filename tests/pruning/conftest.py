"""A real network for the tests of what is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from cwda.layers import Network
from cwda.loading import load


@pytest.fixture(scope="session")
def resnet56(shared_data: Path) -> Network:
    """ResNet56 trained on CIFAR-10."""
    return load(shared_data / "checkpoints" / "resnet56-4bfd9763.th")
