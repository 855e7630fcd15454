"""Criteria that rate what the other filters of a layer could replace, not how large a filter is.

They are negative controls of the comparisons: the assumption that makes the norms agree with one
another says nothing about the directions of filters, nor about what their channels share. So
nothing predicts that these criteria agree with the norms.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cwda.scoring.filters import Filters
from cwda.scoring.registry import criterion
from cwda.scoring.statistics.channel_independence import CHANNEL_INDEPENDENCE

#: Cosines held in memory at a time.
_CHUNK = 10_000_000


@criterion("cosine", formula="-mean_k |cos(F_j, F_k)| over the other filters k")
def cosine(filters: Filters) -> Tensor:
    """Minus the mean absolute cosine with the other filters of the layer.

    A filter that points where others point, or opposite, is considered redundant and goes first;
    its length plays no part. A filter of zeros has no direction: it scores -1, the least there is,
    and counts as orthogonal to the others. The only filter of a layer scores 0.
    """
    n, _ = filters.values.shape
    # The largest weight first: squares of tiny or huge weights would leave the range.
    largest = filters.values.abs().amax(1, keepdim=True)
    scaled = filters.values / torch.where(largest > 0, largest, 1.0)
    length = torch.linalg.vector_norm(scaled, dim=1, keepdim=True)
    units = scaled / torch.where(length > 0, length, 1.0)
    parts = [(part @ units.T).abs().clamp(max=1).sum(1) for part in units.split(_rows(n))]
    total = torch.cat(parts) - units.square().sum(1)
    return torch.where(length[:, 0] > 0, -total / max(n - 1, 1), -1.0)


def _rows(n: int) -> int:
    return max(1, _CHUNK // n)


@criterion(
    "chip",
    formula="mean over images of ||A||_* - ||A without channel j||_*",
    needs=CHANNEL_INDEPENDENCE,
)
def chip(filters: Filters) -> Tensor:
    """Channel independence (Sui et al. 2021): what the nuclear norm loses without the channel.

    A is the matrix channels x positions of the activations of one image. A channel that is a
    combination of others takes little of the nuclear norm with it and goes first.
    """
    scores: Tensor = filters.channel_independence
    return scores


#: The criteria of this file, in the order of tables.
OF_REDUNDANCY = (cosine, chip)
