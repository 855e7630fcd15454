"""`FittedLayer`: the Gaussian model of one layer and its departures, fitted from few filters.

With n < d filters a sample covariance is mostly noise: squared sample correlations are too
large by about 1/n, and variances of the positions scatter by 2/n. Both are shrunk, by one
factor a layer each, until the sums of squares that the scores depend on equal their
unbiased U-statistics. The shrunk matrices stay covariances, so that closed forms and
simulation share one model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.brief import brief
from cwda.conditions.workspace import FilterMoments, Workspace, filter_moments, unfit
from cwda.errors import CannotFit, CwdaError
from cwda.filters.norm_moments import NormMoments, norm_moments
from cwda.filters.norm_noise import NormNoise, norm_noise
from cwda.layers import ConvLayer
from cwda.loading.source import Source
from cwda.loading.sources import layer_of
from cwda.numerics.device import Placement, resolve_device
from cwda.numerics.pairs.sums import KernelSums
from cwda.numerics.spread import NORMAL_IQR
from cwda.sharing import shared
from cwda.theory.log_scores.score_moments import LogScores
from cwda.typing import Device

__all__ = [
    "FittedLayer",
    "Sigma",
    "fit_layer",
    "fit_or_reason",
    "mean_signal",
]

#: Largest variance of the log norms that a log-normal law is fitted to. The quartiles of the norms
#: then differ by a factor of 400: filters next to zero are mixed with living ones, which is no one
#: law, and moments of the law, with exp(20) in them, soon leave the range of floats.
WIDEST = 20.0

#: Squared norms below this part of the median count as this part, so that filters of zeros have
#: a logarithm. A norm a million times smaller than the median is zero to every criterion.
FLOOR = 1e-12


@dataclass(frozen=True, eq=False)
class Sigma:
    """The covariance matrix of a filter, and what predictions need of it, each made once.

    Attributes
    ----------
    blocks : Tensor
        The blocks of Sigma, N x k^2 x k^2, float64.
    """

    blocks: Tensor

    __repr__ = brief

    @property
    def variances(self) -> Tensor:
        """a_p, N x k^2."""
        return self.blocks.diagonal(dim1=1, dim2=2)

    @cached_property
    def moments(self) -> NormMoments:
        """Moments of l1 and l2^2 of a filter N(0, Sigma)."""
        return norm_moments(self.blocks)

    @cached_property
    def eigenvalues(self) -> Tensor:
        """Of the blocks, N x k^2, in ascending order."""
        values: Tensor = torch.linalg.eigvalsh(self.blocks)
        return values

    @cached_property
    def root(self) -> Tensor:
        """Their symmetric roots R, R R = the blocks, N x k^2 x k^2; diagonal where these are."""
        values, vectors = torch.linalg.eigh(self.blocks)
        root: Tensor = vectors * values.clamp(min=0).sqrt()[:, None, :] @ vectors.mT
        return root


@dataclass(frozen=True, eq=False)
class FittedLayer:
    """What the predictions need to know of one layer, in units of its root mean square weight.

    `fit_layer` gives all that is known; a `Rung` switches off what its model does not know.

    Attributes
    ----------
    name : str
        The layer.
    n_filters, dim : int
        n = N' and d = N k^2.
    sigma : Sigma
        Covariance matrix of a filter: variances shrunk to their mean and correlations to 0 as
        far as their excess is sampling noise.
    mean : Tensor
        Mean filter, N x k^2, shrunk so that mu' Sigma mu is `mean_signal`.
    mean_signal : float
        mu' Sigma mu by U-statistics, not below 0.
    mean_energy : float
        |mu|^2, the mean of f_i . f_j over i != j, not below 0.
    log_scale_variance : float
        t = Var(log s): the interquartile range of log q as a normal law's, less the part
        2 / d_eff of it that CWDA explains; not below 0.
    log_energies : ndarray
        log q_j of the filters, q = |f|^2, (n,).
    effective_dim : float
        d_eff of the whole Sigma by U-statistics, with what lies outside the blocks; NaN where
        the estimate of trace(Sigma^2) is not positive.
    unit : float
        Root mean square weight of the layer, by which all else is divided.
    measured_noise : NormNoise
        Scatter of the norms at one scale, as the parts of the filters show it.
    noise : NormNoise or None
        The same where the model has it; None where Sigma says it, of normal weights.
    scores : LogScores or None
        The log-scores of the layer, whose moments predict in place of all else; None where the
        model is one of the filters.
    """

    name: str
    n_filters: int
    dim: int
    sigma: Sigma
    mean: Tensor
    mean_signal: float
    mean_energy: float
    log_scale_variance: float
    log_energies: npt.NDArray[np.float64]
    effective_dim: float
    unit: float
    measured_noise: NormNoise
    noise: NormNoise | None = None
    scores: LogScores | None = None

    __repr__ = brief

    @property
    def moments(self) -> NormMoments:
        """Moments of l1 and l2^2 of a filter N(0, Sigma)."""
        return self.sigma.moments

    @property
    def norm_noise(self) -> float:
        """Variance of log l2 of filters of one scale; 1 / (2 d_eff) of N(0, Sigma)."""
        return self.moments.l2_relative if self.noise is None else self.noise.l2

    @cached_property
    def log_norm(self) -> float:
        """Median of log l2 over the filters, in units of `unit`."""
        return float(np.median(self.log_energies)) / 2

    @cached_property
    def log_norm_variance(self) -> float:
        """Variance of log l2 over the filters: that of the normal law with their IQR."""
        return _robust_variance(self.log_energies / 2)

    @cached_property
    def scales(self) -> npt.NDArray[np.float64]:
        """Filter scales s_j with mean square 1, (n,), so that E |f|^2 stays trace(Sigma).

        The measured norms, their logarithms shrunk to the median until the
        interquartile range of log s is that of `log_scale_variance`.
        """
        centred = (self.log_energies - np.median(self.log_energies)) / 2
        spread = _robust_variance(centred)
        shrink = math.sqrt(self.log_scale_variance / spread) if spread > 0 else 0.0
        scales = np.exp(shrink * centred)
        return np.asarray(scales / np.sqrt(np.mean(scales**2)))


def fit_layer(source: Source, *, device: Device = "auto") -> FittedLayer:
    """Fit the models of the ladder to one layer.

    Parameters
    ----------
    source : ConvLayer or array
        One layer, or a source with a single one; of 8 filters or more.
    device : str or torch.device
        Where to compute, in float64; memory stays near that of the filters in float64.

    Returns
    -------
    FittedLayer

    Raises
    ------
    CannotFit
        If the layer cannot be fitted; its `reason` says why.
    SourceError
        If the source cannot be read, or its network has several layers.
    OutOfMemory
        If memory runs out on the device that was asked for.

    Examples
    --------
    >>> rng = torch.Generator().manual_seed(0)
    >>> fitted = fit_layer(ConvLayer("conv", torch.randn(64, 16, 3, 3, generator=rng)))
    >>> fitted.sigma.blocks.shape, bool(abs(fitted.moments.effective_dim - 144) < 10)
    (torch.Size([16, 9, 9]), True)
    """
    layer = layer_of(source)
    reason = unfit(layer)
    if reason:
        raise CannotFit(layer.name, reason)
    return Placement(device, f"layer {layer.name}", layer.n_weights).run(
        lambda device: _fitted(layer, device)
    )


def _fitted(layer: ConvLayer, device: torch.device) -> FittedLayer:
    """The models of the ladder, fitted on one device."""
    work = Workspace(layer, device)
    filters = work.blocks.double() / work.scale
    energy = filters.square().sum(dim=(1, 2))
    alive = energy > 0
    living = int(alive.sum())
    if 2 * living <= len(energy):
        raise CannotFit(layer.name, "half of its filters or more are zero")
    energy = energy.clamp(min=FLOOR * float(energy[alive].median()))
    average = filters.mean(dim=0)
    moments = filter_moments(layer, device)
    sigma = Sigma(_covariances(filters - average, moments))
    signal = max(mean_signal(moments.products), 0.0)
    total = moments.products.total
    log_energies = energy.log().cpu().numpy()
    noise = sigma.moments.l2_relative
    log_scale_variance = max(_robust_variance(log_energies / 2) - noise, 0.0)
    if log_scale_variance > WIDEST:
        raise CannotFit(
            layer.name, "the norms of its filters spread over too many orders of magnitude"
        )
    return FittedLayer(
        name=layer.name,
        n_filters=layer.n_filters,
        dim=layer.dim,
        sigma=sigma,
        mean=_shrunk_mean(average, sigma.blocks, signal),
        mean_signal=signal,
        mean_energy=max(total / (layer.n_filters * (layer.n_filters - 1)), 0.0),
        log_scale_variance=log_scale_variance,
        log_energies=log_energies,
        effective_dim=moments.effective_dim,
        unit=work.scale,
        measured_noise=norm_noise(
            filters if living == len(filters) else filters[alive],
            sigma.blocks,
            moments.effective_dim,
        ),
        scores=LogScores(layer, device),
    )


def fit_or_reason(layer: ConvLayer, *, device: Device = "auto") -> tuple[FittedLayer | None, str]:
    """The fitted layer and no reason, or None and why it cannot be fitted.

    Examples
    --------
    >>> fit_or_reason(ConvLayer("conv", torch.ones(16, 3, 3, 3)))
    (None, 'all weights are equal')
    """
    resolve_device(device)  # that there is no such device is not the layer's fault
    return shared((fit_or_reason, layer, device), lambda: _fit_or_reason(layer, device))


def _fit_or_reason(layer: ConvLayer, device: Device) -> tuple[FittedLayer | None, str]:
    try:
        return fit_layer(layer, device=device), ""
    except CannotFit as error:
        return None, error.reason
    except CwdaError as error:
        return None, str(error)


def _covariances(centred: Tensor, moments: FilterMoments) -> Tensor:
    """Shrunk blocks of Sigma."""
    n = len(centred)
    columns = centred.permute(1, 2, 0)
    sample = columns @ columns.mT / (n - 1)
    variances = sample.diagonal(dim1=1, dim2=2)
    deviation = variances - variances.mean()
    unbiased = moments.squared_variances - moments.squared_trace / variances.numel()
    shrunk = variances.mean() + _shrinkage(unbiased, deviation) * deviation
    # Scaled to the shrunk variances as a whole, the matrices keep their correlations.
    factor = (shrunk / variances.where(variances > 0, 1.0)).sqrt()
    factor = factor.where(variances > 0, 0.0)
    scaled = sample * factor[:, :, None] * factor[:, None, :]
    diagonal = torch.diag_embed(shrunk)
    off = scaled - torch.diag_embed(scaled.diagonal(dim1=1, dim2=2))
    return diagonal + _shrinkage(moments.squared_within, off) * off


def _shrinkage(unbiased: float, sample: Tensor) -> float:
    """Factor 0 to 1 that brings the sum of squares of `sample` down to its unbiased estimate."""
    squares = float(sample.square().sum())
    return math.sqrt(min(max(unbiased / squares, 0.0), 1.0)) if squares > 0 else 0.0


def mean_signal(products: KernelSums) -> float:
    """mu' Sigma mu from the Gram matrix, by U-statistics of degree 3 and 4; may be negative.

    The mean of G_ik G_kl over distinct i, k, l estimates mu' Sigma mu + (mu' mu)^2, that of
    G_ij G_kl over distinct i, j, k, l the latter.

    Parameters
    ----------
    products : KernelSums
        Sums of f_i . f_j with zero diagonal, n >= 4.
    """
    rows, total, squares = products.rows, products.total, products.squares
    n = len(rows)
    paths = float(rows @ rows) - squares
    disjoint = total**2 - 4 * paths - 2 * squares
    triples = n * (n - 1) * (n - 2)
    return paths / triples - disjoint / (triples * (n - 3))


def _shrunk_mean(average: Tensor, blocks: Tensor, signal: float) -> Tensor:
    sample = float((average[:, None] @ blocks @ average[:, :, None]).sum())
    return average * (math.sqrt(min(signal / sample, 1.0)) if sample > 0 else 0.0)


def _robust_variance(x: npt.NDArray[np.float64]) -> float:
    """Variance of the normal law with the sample's interquartile range."""
    low, high = np.percentile(x, [25, 75])
    return float(((high - low) / NORMAL_IQR) ** 2)
