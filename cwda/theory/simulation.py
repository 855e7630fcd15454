"""Prediction of rank correlations by drawing layers from the fitted model.

A draw of n filters f_j = mu + s_j g_j has g_j ~ N(0, Sigma); the s_j are the layer's own scales
(freed of the scatter that CWDA explains), mu is the fitted mean, and log l1 gets the excess
variance of log(l1 / l2). What a rung does not know is 1 or 0. The draws see what the closed form
leaves out: skewness, near-dead filters, the projection of a filter on its own share of the mean,
and terms of higher order in 1/d.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.arguments import require_between, require_count
from cwda.errors import CwdaError
from cwda.loading.sources import Source
from cwda.numerics.device import resolve_device
from cwda.numerics.distances.geometry import Geometry
from cwda.theory.model import FittedLayer
from cwda.theory.prediction import (
    NAN,
    SIMULATED,
    Forecast,
    Pair,
    PredictedSimilarity,
    predict_layers,
)
from cwda.theory.rungs import Rungs
from cwda.theory.score_law import CRITERIA
from cwda.typing import Device, Named

__all__ = ["importance_scores", "sample_filters", "simulate", "spearman_of_draws"]

#: Numbers in one chunk of draws, 32 MiB in float64.
CHUNK_NUMBERS = 1 << 22


def simulate(
    source: Source,
    criteria: str | Named | Iterable[str | Named] | None = None,
    *,
    rungs: Rungs | None = None,
    draws: int = 200,
    level: float = 0.95,
    device: Device = "auto",
    seed: int = 0,
    progress: bool = True,
) -> PredictedSimilarity:
    """Predict the Spearman coefficient of every pair of criteria in each layer, by simulation.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to predict for: a name, file, Module, layer or array N x k^2 x N'.
    criteria : iterable of str or Criterion, optional
        Two or more of l1, l2, gm, fermat; all by default.
    rungs : str, Rung or several, optional
        Models to predict by, the same as in `predict`.
    draws : int
        Layers drawn per layer and rung.
    level : float
        Confidence level of the prediction intervals, which lie between order statistics of the
        draws.
    device : str or torch.device
        Where to fit and draw, in float64.
    seed : int
        Seed of the generator on the device.
    progress : bool
        Show a bar while it takes long.

    Returns
    -------
    PredictedSimilarity
        The same as from `predict`, with the mean of the draws as `spearman` and NaN as `rho`.

    Raises
    ------
    CriterionError
        If a criterion is unknown, or there are fewer than two.
    CwdaError
        If a rung is unknown, the source, a number or the device impossible, or there are
        too few draws for the level.

    Examples
    --------
    >>> from cwda.layers import ConvLayer
    >>> rng = torch.Generator().manual_seed(0)
    >>> layer = ConvLayer("conv", torch.randn(32, 16, 3, 3, generator=rng))
    >>> table = simulate(layer, ["l1", "l2"], rungs="isotropic", device="cpu").table
    >>> bool(table["low"][0] < 0.93 < table["high"][0])
    True
    """
    require_between(level, 0, 1, "level")
    require_count(draws, 1, "draws")
    require_count(seed, 0, "seed")
    fewest = math.ceil(2 / (1 - level) - 1 - 1e-9)
    if draws < fewest:
        raise CwdaError(f"a level of {level} needs {fewest} draws or more, not {draws}")
    device = resolve_device(device)
    generator = torch.Generator(device=device).manual_seed(seed)
    tails = [(1 - level) / 2, (1 + level) / 2]

    def forecast(fitted: FittedLayer, pairs: Sequence[Pair]) -> list[Forecast]:
        coefficients = spearman_of_draws(fitted, draws, generator)
        forecasts = []
        for a, b in pairs:
            sample = coefficients[:, CRITERIA.index(a), CRITERIA.index(b)]
            low, high = np.quantile(sample, tails, method="weibull")
            forecasts.append(Forecast(NAN, float(sample.mean()), float(low), float(high)))
        return forecasts

    return predict_layers(source, criteria, rungs, level, device, progress, SIMULATED, forecast)


def spearman_of_draws(
    fitted: FittedLayer, draws: int, generator: torch.Generator
) -> npt.NDArray[np.float64]:
    """Spearman matrices of the four criteria, draws x 4 x 4 in the order of `CRITERIA`."""
    n = fitted.n_filters
    excess = math.sqrt(fitted.shape_excess)
    matrices = []
    for filters in sample_filters(fitted, draws, generator):
        scores = importance_scores(filters)
        if excess:
            noise = torch.empty_like(scores[:, 0]).normal_(generator=generator)
            scores[:, 0] *= noise.mul_(excess).exp_()
        ranks = scores.argsort(dim=2).argsort(dim=2).double() - (n - 1) / 2
        matrices.append(ranks @ ranks.mT * (12 / (n * (n * n - 1))))
    return torch.cat(matrices).cpu().numpy()


def sample_filters(fitted: FittedLayer, draws: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Chunks of draws, each m x n x d, on the device of the fitted layer."""
    root = fitted.sigma.root
    channels, kernel_size, _ = root.shape
    n, size = fitted.n_filters, max(1, CHUNK_NUMBERS // (fitted.n_filters * fitted.dim))
    scales = torch.from_numpy(fitted.scales).to(root)
    for start in range(0, draws, size):
        rows = min(size, draws - start) * n
        normal = root.new_empty(channels, rows, kernel_size).normal_(generator=generator)
        filters = (normal @ root.mT).transpose(0, 1).reshape(-1, n, fitted.dim)
        filters *= scales[:, None]
        filters += fitted.mean.reshape(-1)
        yield filters


def importance_scores(filters: Tensor) -> Tensor:
    """The four criteria of m layers at once, m x 4 x n in the order of `CRITERIA`.

    GM and Fermat come from the geometry that measured scores use, batched.

    Parameters
    ----------
    filters : Tensor
        m x n x d, float64.

    Examples
    --------
    >>> square = torch.tensor([[[1.0, 1], [1, -1], [-1, 1], [-1, -1]]]).double()
    >>> importance_scores(square)[0, :, 0].round(decimals=3).tolist()
    [2.0, 1.414, 6.828, 1.414]
    """
    l1 = filters.abs().sum(dim=2)
    l2 = torch.linalg.vector_norm(filters, dim=2)
    geometry = Geometry(filters)
    return torch.stack([l1, l2, geometry.distances.sum(dim=2), geometry.median.distances], dim=1)
