"""Prediction of rank correlations by drawing layers from the fitted model.

A draw of n filters f_j = mu + s_j g_j has g_j ~ N(0, Sigma) with the Sigma of the rung; from
`scale` on, the s_j are the layer's own scales (freed of the scatter that CWDA explains), and
in `shape` mu is the fitted mean and log l1 gets the excess variance of log(l1 / l2). The
draws see what the closed form leaves out: skewness, near-dead filters, the projection
of a filter on its own share of the mean, and terms of higher order in 1/d.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

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
from cwda.theory.moments import CRITERIA
from cwda.theory.prediction import (
    NAN,
    SIMULATED,
    Forecast,
    Pair,
    PredictedSimilarity,
    predict_layers,
)
from cwda.theory.similarity import shape_excess

__all__ = ["importance_scores", "sample_filters", "simulate_similarity", "spearman_of_draws"]

#: Numbers in one chunk of draws, 32 MiB in float64.
CHUNK_NUMBERS = 1 << 22


def simulate_similarity(
    source: Source,
    criteria: Sequence[str] | None = None,
    rungs: Sequence[str] | None = None,
    *,
    draws: int = 200,
    seed: int = 0,
    level: float = 0.95,
    device: str | torch.device = "auto",
) -> PredictedSimilarity:
    """Predict the Spearman coefficient of each two criteria in each layer, by simulation.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to predict for: a name, file, Module, layer or array N x k^2 x N'.
    criteria : sequence of str, optional
        Two or more of l1, l2, gm, fermat; all by default.
    rungs : sequence of str, optional
        Any of isotropic, diagonal, block, scale, shape; all by default.
    draws : int
        Layers drawn per layer and rung.
    seed : int
        Seed of the generator on the device.
    level : float
        Level of the prediction intervals: between order statistics of the draws.
    device : str or torch.device
        Where to fit and draw, in float64.

    Returns
    -------
    PredictedSimilarity
        As of `predict_similarity`, with the mean of the draws as `spearman` and NaN as `rho`.

    Raises
    ------
    CriterionError
        If a criterion is unknown, or there are fewer than two.
    CwdaError
        If a rung is unknown, the source, a number or the device impossible, or there are
        too few draws for the level.

    Examples
    --------
    >>> rng = torch.Generator().manual_seed(0)
    >>> from cwda.layers import ConvLayer
    >>> layer = ConvLayer("conv", torch.randn(32, 16, 3, 3, generator=rng))
    >>> found = simulate_similarity(layer, ["l1", "l2"], ["isotropic"], device="cpu").table
    >>> bool(found["low"][0] < 0.93 < found["high"][0])
    True
    """
    require_between(level, 0, 1, "level")
    require_count(draws, 1, "draws")
    require_count(seed, 0, "seed")
    fewest = math.ceil(2 / (1 - level) - 1 - 1e-9)
    if draws < fewest:
        raise CwdaError(f"a level of {level} needs {fewest} draws or more, not {draws}")
    where = resolve_device(device)
    generator = torch.Generator(device=where).manual_seed(seed)
    tails = [(1 - level) / 2, (1 + level) / 2]

    def forecast(fitted: FittedLayer, pairs: Sequence[Pair], rung: str) -> list[Forecast]:
        found = spearman_of_draws(fitted, rung, draws, generator)
        out = []
        for a, b in pairs:
            sample = found[:, CRITERIA.index(a), CRITERIA.index(b)]
            low, high = np.quantile(sample, tails, method="weibull")
            out.append(Forecast(NAN, float(sample.mean()), float(low), float(high)))
        return out

    return predict_layers(source, criteria, rungs, level, where, SIMULATED, forecast)


def spearman_of_draws(
    fitted: FittedLayer, rung: str, draws: int, generator: torch.Generator
) -> npt.NDArray[np.float64]:
    """Spearman matrices of the four criteria, draws x 4 x 4 in the order of `CRITERIA`."""
    n = fitted.n_filters
    excess = math.sqrt(shape_excess(fitted)) if rung == "shape" else 0.0
    found = []
    for filters in sample_filters(fitted, rung, draws, generator):
        scores = importance_scores(filters)
        if excess:
            noise = torch.empty_like(scores[:, 0]).normal_(generator=generator)
            scores[:, 0] *= noise.mul_(excess).exp_()
        ranks = scores.argsort(dim=2).argsort(dim=2).double() - (n - 1) / 2
        found.append(ranks @ ranks.mT * (12 / (n * (n * n - 1))))
    return torch.cat(found).cpu().numpy()


def sample_filters(
    fitted: FittedLayer, rung: str, draws: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Chunks of draws from one rung, each m x n x d, on the device of the fitted layer."""
    root = _roots(fitted, rung)
    channels, kernel_size, _ = root.shape
    n, size = fitted.n_filters, max(1, CHUNK_NUMBERS // (fitted.n_filters * fitted.dim))
    scales = root.new_ones(n)
    if rung in ("scale", "shape"):
        scales = torch.from_numpy(fitted.scales).to(root)
    for start in range(0, draws, size):
        rows = min(size, draws - start) * n
        normal = root.new_empty(channels, rows, kernel_size).normal_(generator=generator)
        filters = (normal @ root.mT).transpose(0, 1).reshape(-1, n, fitted.dim)
        filters *= scales[:, None]
        if rung == "shape":
            filters += fitted.mean.reshape(-1)
        yield filters


def _roots(fitted: FittedLayer, rung: str) -> Tensor:
    """Matrices R with R R' = the blocks of Sigma, N x k^2 x k^2."""
    variances = fitted.variances
    if rung == "isotropic":
        return torch.diag_embed(variances.mean().sqrt().expand_as(variances))
    if rung == "diagonal":
        return torch.diag_embed(variances.sqrt())
    values, vectors = torch.linalg.eigh(fitted.covariances)
    roots: Tensor = vectors * values.clamp(min=0).sqrt()[:, None, :]
    return roots


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
