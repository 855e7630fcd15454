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
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from cwda.layers import ConvLayer
from cwda.numerics.ranking.live import live_filters
from cwda.sharing import shared
from cwda.theory.model import FittedLayer, fit_or_reason
from cwda.theory.rungs import FRESH, SCALE
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
    zeros : int
        Number of filters whose weights are all exactly 0.
    reason : str
        Why there is no model; empty if there is one.
    """

    fitted: FittedLayer | None
    live: Mask
    zeros: int
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
    return shared((fit_live, layer, device), lambda: _fit_live(layer, device))


def _fit_live(layer: ConvLayer, device: Device) -> LiveFit:
    live = _not_near_zero(layer)
    fitted, reason = fit_or_reason(_part(layer, live), device=device)
    for _ in range(_ROUNDS):
        if fitted is None:
            break
        left = live.copy()
        left[live] = _stays(fitted)
        if left.sum() == live.sum():
            break
        again, _ = fit_or_reason(_part(layer, left), device=device)
        if again is None:  # too few are left for a law of their own
            break
        fitted, live = again, left
    if reason and not live.all():
        reason = f"of its {int(live.sum())} live filters: {reason}"
    zeros = int((~layer.weight.detach().flatten(1).any(1)).sum())
    return LiveFit(fitted, live, zeros, reason)


def _not_near_zero(layer: ConvLayer) -> Mask:
    """The live filters by their norms alone; all where there are no finite ones."""
    weight = layer.weight.detach().flatten(1)
    if not weight.is_floating_point():
        return np.ones(layer.n_filters, dtype=bool)
    norms = torch.linalg.vector_norm(weight, dim=1, dtype=torch.float64).cpu().numpy()
    if not np.isfinite(norms).all() or not norms.any():
        return np.ones(layer.n_filters, dtype=bool)
    return live_filters(norms)


def _stays(fitted: FittedLayer) -> Mask:
    """Filters that are neither apart by the law of all nor next to zero among them."""
    log_norms = fitted.log_energies / 2
    apart = apart_below(log_norms + math.log(fitted.unit), widest_law(fitted, "l2"))
    stays: Mask = ~apart & live_filters(np.exp(log_norms))
    return stays


def widest_law(fitted: FittedLayer, criterion: str) -> ScoreLaw:
    """The law of a score at the upper limit of the 95 % interval of the signal.

    It lies where that of fresh filters does, with which latents are compared: the noise that
    covariance between channels adds moves the log of l1.
    """
    law, fresh = (score_law(rung(fitted), criterion) for rung in (SCALE, FRESH))
    return replace(law.with_signal(signal_interval(fitted)[1]), location=fresh.location)


def _part(layer: ConvLayer, kept: Mask) -> ConvLayer:
    """The layer of these filters: the layer itself where these are all."""
    if kept.all():
        return layer
    weight = layer.weight.detach()
    index = torch.from_numpy(kept).to(weight.device)
    return ConvLayer(layer.name, weight[index], transposed=layer.transposed)
