"""What a criterion costs to compute, as far as that decides between criteria that agree."""

from __future__ import annotations

import torch

from cwda.errors import CwdaError
from cwda.layers import ConvLayer
from cwda.scoring import NEEDS, Criterion, Filters
from cwda.scoring.statistics import OfActivation, OfBatchNorm, OfConvolution, OfGradient

__all__ = ["COSTS", "cost_of"]

#: From cheap to dear: the weights of each filter alone; the weights of the layer, as distances
#: between filters; a BatchNorm of the checkpoint; images that run through the network once;
#: gradients of a loss; and whatever else, such as a loss for each filter.
COSTS = ("filter", "layer", "BatchNorm", "activations", "gradients", "more")

_OF_NEEDS = ((OfBatchNorm, 2), (OfActivation, 3), (OfGradient, 4), (OfConvolution, 4))


def cost_of(criterion: Criterion) -> str:
    """The dearest thing that a criterion needs, one of `COSTS`.

    Whether the weights of one filter are enough is tried out: another filter is changed.

    Examples
    --------
    >>> from cwda.scoring import get_criterion
    >>> [cost_of(get_criterion(name)) for name in ("l2", "gm", "bn_gamma", "apoz", "taylor_l1")]
    ['filter', 'layer', 'BatchNorm', 'activations', 'gradients']
    """
    if not criterion.needs:
        return COSTS[0 if _looks_at_one_filter(criterion) else 1]
    places = [
        next((place for kind, place in _OF_NEEDS if isinstance(NEEDS[need], kind)), len(COSTS) - 1)
        for need in criterion.needs
    ]
    return COSTS[max(places)]


def _looks_at_one_filter(criterion: Criterion) -> bool:
    """Whether the scores of the first filters stay when the last one doubles."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(8, 4, 3, 3, generator=generator, dtype=torch.float64)
    other = torch.cat([weight[:-1], 2 * weight[-1:]])
    try:
        before, after = (
            criterion(Filters.of(ConvLayer("trial", each), torch.device("cpu")))[:-1]
            for each in (weight, other)
        )
    except CwdaError:
        return False
    return bool(torch.equal(before, after))
