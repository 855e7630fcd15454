"""From the moments of log-scores to Spearman's coefficients: closed, and by drawing scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cwda.theory.criteria import CRITERIA
from cwda.theory.log_scores.model_error import FREEDOM, error_of
from cwda.theory.log_scores.score_moments import ScoreMoments, correlation
from cwda.theory.moments import expected_spearman, spearman_with_dead

__all__ = ["bound_of", "coefficient", "drawn_scores", "with_error"]

Array = npt.NDArray[np.float64]


def coefficient(rho: float, moments: ScoreMoments) -> float:
    """Expected coefficient of a layer whose live filters have log-scores of correlation rho."""
    live = expected_spearman(rho, moments.live)
    return spearman_with_dead(live, moments.n_filters, moments.live, moments.zero)


def bound_of(moments: ScoreMoments, a: str, b: str) -> float:
    """What the moments of the scores themselves give: no prediction."""
    return coefficient(float(moments.measured[CRITERIA.index(a), CRITERIA.index(b)]), moments)


def drawn_scores(moments: ScoreMoments, draws: int, rng: np.random.Generator) -> Array:
    """Spearman matrices, draws x 4 x 4, of layers with just these sample correlations.

    Live filters have normal log-scores, whitened so that each draw has the correlations exactly;
    dead ones are below them and draw theirs from the same law. Undefined correlations stay NaN.

    Parameters
    ----------
    moments : ScoreMoments
        Of the layer.
    draws : int
        How many layers to draw.
    rng : Generator
        Random numbers.
    """
    unknown = np.isnan(moments.correlations)
    if unknown.all():
        return np.full((draws, 4, 4), np.nan)
    target = _root(np.where(unknown, np.eye(4), moments.correlations))
    live = _ranks(_exact(rng.standard_normal((draws, 4, moments.live)), target))
    dead = moments.n_filters - moments.live - moments.zero
    near_dead = _ranks(target @ rng.standard_normal((draws, 4, dead)))
    zero = np.full((draws, 4, moments.zero), (moments.zero - 1) / 2)
    ranks = [zero, near_dead + moments.zero, live + (moments.zero + dead)]
    found = correlation(np.concatenate(ranks, axis=2))
    found[:, unknown] = np.nan
    return found


def with_error(
    samples: Array, moments: ScoreMoments, a: str, b: str, rng: np.random.Generator
) -> Array:
    """Coefficients with the error of the model added on Fisher's scale."""
    n = moments.n_filters
    most = 1 - 6 / max(n**3 - n, 12)
    own = float(moments.misfit[CRITERIA.index(a), CRITERIA.index(b)])
    noise = rng.standard_t(FREEDOM, len(samples)) * error_of(a, b).of_model(own) ** 0.5
    moved = np.tanh(np.arctanh(np.clip(samples, -most, most)) + noise)
    return np.asarray(np.where(moved >= most, 1.0, np.where(moved <= -most, -1.0, moved)))


def _exact(normal: Array, target: Array) -> Array:
    """Normal rows turned so that their sample covariance is the square of `target`."""
    centred = normal - normal.mean(axis=2, keepdims=True)
    values, vectors = np.linalg.eigh(centred @ np.swapaxes(centred, 1, 2) / normal.shape[2])
    inverse = (vectors / np.sqrt(values)[:, None]) @ np.swapaxes(vectors, 1, 2)
    return np.asarray(target @ inverse @ centred)


def _root(matrix: Array) -> Array:
    """Symmetric root of the nearest correlation matrix that has one."""
    values, vectors = np.linalg.eigh(matrix)
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    return np.asarray(root / np.linalg.norm(root, axis=1, keepdims=True))


def _ranks(scores: Array) -> Array:
    return scores.argsort(axis=2).argsort(axis=2).astype(np.float64)
