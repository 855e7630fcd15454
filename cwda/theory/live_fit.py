"""The fit of a layer to its live filters: those that lie apart below the others are left out.

Filters next to zero are no draw of the law that the others follow. They would pull the
quartiles, the variances of the positions and the medians towards themselves, so the law is fitted
without them. A filter is left out if its norm is below `NEAR_DEAD` times the median norm of the
others, or lies *apart*: below all that the normal law of the others' log-norms allows for the
smallest of n (`apart_below`). Without those left out the law is narrower and may leave out more, so
the two steps repeat.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from cwda.layers import ConvLayer
from cwda.numerics.ranking.live import live_filters
from cwda.theory.model import FittedLayer, fit_or_reason
from cwda.theory.rungs import SCALE
from cwda.theory.score_law import ScoreLaw, score_law
from cwda.theory.swaps import apart_below, signal_interval
from cwda.typing import Device

__all__ = ["LiveFit", "fit_live"]

Mask = npt.NDArray[np.bool_]

#: Times that the law is fitted; what is still found then is left in.
_ROUNDS = 4


class LiveFit(NamedTuple):
    """The model of a layer's live filters.

    Attributes
    ----------
    fitted : FittedLayer or None
        What `fit_layer` finds in them, with all departures.
    live : ndarray of bool
        Which filters they are, (n,).
    reason : str
        Why there is no model; empty if there is one.
    """

    fitted: FittedLayer | None
    live: Mask
    reason: str


def fit_live(layer: ConvLayer, *, device: Device = "auto") -> LiveFit:
    """Fit the models of the ladder to the live filters of a layer.

    Parameters
    ----------
    layer : ConvLayer
        The layer.
    device : str or torch.device
        Where to compute, in float64.

    Examples
    --------
    >>> weight = torch.randn(64, 16, 3, 3, generator=torch.Generator().manual_seed(0))
    >>> weight[[3, 7]] *= 0.1
    >>> fit = fit_live(ConvLayer("conv", weight))
    >>> fit.fitted.n_filters, (~fit.live).nonzero()[0].tolist()
    (62, [3, 7])
    """
    live = np.ones(layer.n_filters, dtype=bool)
    fitted, reason = fit_or_reason(layer, device=device)
    for _ in range(_ROUNDS):
        left = live & ~_left_out(layer, fitted, live)
        if left.sum() == live.sum() or not left.any():
            break
        again, problem = fit_or_reason(_part(layer, left), device=device)
        if again is None and fitted is not None:
            break  # too few are left for a law of their own
        fitted, live, reason = again, left, problem
    if reason and not live.all():
        reason = f"of its {int(live.sum())} live filters: {reason}"
    return LiveFit(fitted, live, reason)


def _left_out(layer: ConvLayer, fitted: FittedLayer | None, live: Mask) -> Mask:
    """Filters that are next to zero, or apart by the law of the live ones."""
    if fitted is None:
        weight = layer.blocks()
        norms = weight.flatten(1).norm(dim=1).numpy()
        if not np.isfinite(norms).all():
            return np.zeros_like(live)
        out: Mask = ~live_filters(norms)
        return out
    out = np.zeros_like(live)
    log_norms = fitted.log_energies / 2
    apart = apart_below(log_norms + math.log(fitted.unit), widest_law(fitted, "l2"))
    out[live] = apart | ~live_filters(np.exp(log_norms))
    return out


def widest_law(fitted: FittedLayer, criterion: str) -> ScoreLaw:
    """The law of a score at the upper limit of the 95 % interval of the signal."""
    law = score_law(SCALE(fitted), criterion)
    return law.with_signal(signal_interval(fitted)[1])


def _part(layer: ConvLayer, kept: Mask) -> ConvLayer:
    weight = layer.weight.detach()
    index = torch.from_numpy(kept).to(weight.device)
    return ConvLayer(layer.name, weight[index], transposed=layer.transposed)
