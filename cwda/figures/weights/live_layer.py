"""The live filters of a layer that a figure compares."""

from __future__ import annotations

import torch
from torch import Tensor

from cwda.conditions.workspace import unfit
from cwda.errors import WeightsError
from cwda.layers import ConvLayer
from cwda.numerics.ranking.live import live_filters

__all__ = ["live_filters_of"]


def live_filters_of(layer: ConvLayer) -> tuple[Tensor, Tensor]:
    """Filters that are not near-dead over the largest |weight|, n x N x k^2, and their norms.

    Raises
    ------
    WeightsError
        If no condition can be tested in the layer.
    """
    reason = unfit(layer)
    if reason:
        raise WeightsError(f"{layer.name}: {reason}")
    weight = layer.weight.detach().double()
    blocks = weight.reshape(layer.n_filters, layer.channels, -1) / weight.abs().max()
    norms = torch.linalg.vector_norm(blocks, dim=(1, 2))
    alive = torch.from_numpy(live_filters(norms.cpu().numpy())).to(norms.device)
    return blocks[alive], norms[alive]
