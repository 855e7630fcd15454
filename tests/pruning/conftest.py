"""A real network for the tests of what is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cwda.layers import ConvLayer, Network, Provenance


@pytest.fixture(scope="session")
def resnet56(shared_data: Path) -> Network:
    """ResNet56 trained on CIFAR-10."""
    path = shared_data / "checkpoints" / "resnet56-4bfd9763.th"
    state = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    layers = tuple(
        ConvLayer(name.removeprefix("module.").removesuffix(".weight"), tensor)
        for name, tensor in state.items()
        if tensor.ndim == 4
    )
    return Network("resnet56", layers, Provenance(path.name, "torch zip"))
