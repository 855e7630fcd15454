"""What the matrix of all feature maps of an image loses without one channel."""

from __future__ import annotations

import torch
from torch import Tensor

from cwda.scoring.statistics.statistic import OfActivation, register_statistic

__all__ = ["CHANNEL_INDEPENDENCE"]

#: Numbers in one stack of matrices.
_CHUNK = 4_000_000


class _ChannelIndependence(OfActivation[Tensor, Tensor]):
    name = "channel_independence"
    meaning = "loss of the nuclear norm of an image's feature maps without the channel"

    def observe(self, activation: Tensor) -> Tensor:
        """The losses summed over the images, float64, N'.

        The matrix of an image is channels x positions. Its singular values are those of its
        triangular factor, which is no wider than it has channels; so are those of the matrix
        without some of the rows.
        """
        total = torch.zeros(activation.shape[1], dtype=torch.float64, device=activation.device)
        for image in activation:
            maps = image.reshape(len(image), -1).double()
            if maps.shape[1] > len(maps):
                maps = torch.linalg.qr(maps.T, mode="r").R.T
            total += _losses(maps)
        return total

    def finish(self, sums: Tensor, images: int) -> Tensor:
        """Mean loss over the images."""
        return sums / images


def _losses(maps: Tensor) -> Tensor:
    """||A||_* - ||A without row j||_* for each row j; exactly 0 for a row of zeros."""
    losses = maps.new_zeros(len(maps))
    alive = maps.any(1).nonzero()[:, 0]
    rows = maps[alive]
    n = len(rows)
    if n == 0:
        return losses
    others = torch.arange(n - 1, device=maps.device).expand(n, n - 1)
    others = others + (others >= torch.arange(n, device=maps.device)[:, None]).long()
    size = max(1, _CHUNK // rows.numel())
    without = [torch.linalg.svdvals(rows[part]).sum(1) for part in others.split(size)]
    losses[alive] = torch.linalg.svdvals(rows).sum() - torch.cat(without)
    return losses


CHANNEL_INDEPENDENCE = register_statistic(_ChannelIndependence())
