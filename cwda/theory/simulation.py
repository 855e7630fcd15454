"""Prediction of rank correlations by drawing layers from the fitted model.

The draws (`cwda.theory.draws`) see what the closed form leaves out: skewness, near-dead filters,
the projection of a filter on its own share of the mean, and terms of higher order in 1/d.

A rung that keeps the scores (`cross-fitted`) draws normal log-scores of the live filters instead,
with its correlations as the sample correlations of each draw: what scatters then is Spearman's
coefficient given the moments. The interval adds the error of the model to each draw
(`cwda.theory.log_scores.model_error`), on Fisher's scale.
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
from cwda.loading.source import Source
from cwda.numerics.device import resolve_device
from cwda.numerics.ranking.ranks import ascending
from cwda.theory.criteria import CRITERIA
from cwda.theory.draws import Normals, filters_from, generator_of
from cwda.theory.log_scores.score_draws import bound_of, drawn_scores, with_error
from cwda.theory.log_scores.score_moments import importance_scores
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
from cwda.typing import Device, Named

__all__ = ["simulate", "spearman_of_draws"]

Array = npt.NDArray[np.float64]


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
        return [
            [
                _forecast(fitted, pair, of_pair, tails, seed)
                for pair, of_pair in zip(pairs, of_rung.T, strict=True)
            ]
            for fitted, of_rung in zip(models, samples, strict=True)
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
    of_filters = [fitted for fitted in models if not fitted.scores]
    matrices: list[list[Tensor]] = [[] for _ in of_filters]
    chunks = Normals(models[0], seed).chunks(draws) if of_filters else ()
    for normal in chunks:
        for fitted, own in zip(of_filters, matrices, strict=True):
            own.append(_spearman(importance_scores(filters_from(normal, fitted))))
            advance(len(normal) / (draws * len(of_filters)))
    drawn = iter(matrices)
    return np.stack(
        [
            drawn_scores(fitted.scores.moments, draws, generator_of(fitted.name, seed))
            if fitted.scores
            else torch.cat(next(drawn)).cpu().numpy()
            for fitted in models
        ]
    )


def _forecast(
    fitted: FittedLayer, pair: Pair, samples: Array, tails: Sequence[float], seed: int
) -> Forecast:
    """Mean and limits of the draws of one pair of criteria."""
    if not fitted.scores:
        low, high = np.quantile(samples, tails, method="weibull")
        return Forecast(NAN, float(samples.mean()), float(low), float(high))
    moments = fitted.scores.moments
    reason = moments.reason(*pair)
    if reason:
        return Forecast(NAN, NAN, NAN, NAN, reason=reason)
    rng = generator_of("-".join((fitted.name, *pair)), seed)
    low, high = np.quantile(with_error(samples, moments, *pair, rng), tails, method="weibull")
    bound = bound_of(moments, *pair)
    return Forecast(NAN, float(samples.mean()), float(low), float(high), bound)


def _spearman(scores: Tensor) -> Tensor:
    """Spearman's correlations where no scores are equal, m x 4 x n -> m x 4 x 4."""
    n = scores.shape[2]
    order = ascending(scores, stable=False)
    centred = torch.arange(n, dtype=scores.dtype, device=scores.device) - (n - 1) / 2
    ranks = torch.empty_like(scores).scatter_(2, order, centred.expand_as(scores))
    return ranks @ ranks.mT * (12 / (n * (n * n - 1)))
