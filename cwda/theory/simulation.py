"""Prediction of rank correlations by drawing layers from the fitted model.

The draws (`cwda.theory.draws`) see what the closed form leaves out: skewness, near-dead filters,
the projection of a filter on its own share of the mean, and terms of higher order in 1/d. In a
rung that knows the shapes of filters, log l1 gets the excess variance of log(l1 / l2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.arguments import require_between, require_count
from cwda.errors import CwdaError
from cwda.loading.sources import Source
from cwda.numerics.device import resolve_device
from cwda.numerics.distances.geometry import Geometry
from cwda.numerics.ranking.ranks import ascending
from cwda.theory.draws import Normals, filters_from
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

__all__ = ["importance_scores", "simulate", "spearman_of_draws"]


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
        Seed of the draws, which depend on it, the name of the layer and the kind of device. All
        rungs share them, which takes part of the chance out of their differences.
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
    tails = [(1 - level) / 2, (1 + level) / 2]

    def forecast(
        models: Sequence[FittedLayer], pairs: Sequence[Pair], advance: Callable[[float], None]
    ) -> list[list[Forecast]]:
        first = [CRITERIA.index(a) for a, _ in pairs]
        second = [CRITERIA.index(b) for _, b in pairs]
        samples = spearman_of_draws(models, draws, seed, advance)[:, :, first, second]
        low, high = np.quantile(samples, tails, axis=1, method="weibull")
        return [
            [Forecast(NAN, *map(float, limits)) for limits in zip(*of_rung, strict=True)]
            for of_rung in zip(samples.mean(axis=1), low, high, strict=True)
        ]

    return predict_layers(source, criteria, rungs, level, device, progress, SIMULATED, forecast)


def spearman_of_draws(
    models: Sequence[FittedLayer],
    draws: int,
    seed: int,
    advance: Callable[[float], None] = lambda share: None,
) -> npt.NDArray[np.float64]:
    """Spearman matrices of the four criteria in draws of a layer as some rungs know it.

    Parameters
    ----------
    models : sequence of FittedLayer
        One layer, by each rung.
    draws, seed : int
        As in `simulate`.
    advance : callable
        Told of each share of the work that is done.

    Returns
    -------
    ndarray
        Models x draws x 4 x 4, in the order of `CRITERIA`.
    """
    matrices: list[list[Tensor]] = [[] for _ in models]
    for normal, noise in Normals(models[0], seed).chunks(draws):
        for fitted, own in zip(models, matrices, strict=True):
            scores = importance_scores(filters_from(normal, fitted))
            if excess := math.sqrt(fitted.shape_excess):
                scores[:, 0] *= (excess * noise).exp_()
            own.append(_spearman(scores))
            advance(len(normal) / (draws * len(models)))
    return torch.stack([torch.cat(own) for own in matrices]).cpu().numpy()


def _spearman(scores: Tensor) -> Tensor:
    """Spearman's correlations where no scores are equal, m x 4 x n -> m x 4 x 4."""
    n = scores.shape[2]
    order = ascending(scores, stable=False)
    centred = torch.arange(n, dtype=scores.dtype, device=scores.device) - (n - 1) / 2
    ranks = torch.empty_like(scores).scatter_(2, order, centred.expand_as(scores))
    return ranks @ ranks.mT * (12 / (n * (n * n - 1)))


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
