"""Numbers that describe a layer: F F^T by blocks, and normality of single weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.arguments import choose
from cwda.brief import brief
from cwda.conditions.covariance import energy_shares
from cwda.conditions.workspace import Workspace, unfit
from cwda.errors import CwdaError, WeightsError
from cwda.layers import ConvLayer
from cwda.loading.sources import Source, layer_of, network_of
from cwda.numerics.device import resolve_device
from cwda.numerics.normality.henze_zirkler import henze_zirkler
from cwda.numerics.normality.layers import marginals, unit_norm_allowed
from cwda.numerics.normality.shapiro_wilk import LARGEST_SAMPLE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BlockCovariance", "block_covariance", "describe", "joint_normality", "normality"]

Device = str | torch.device
Array = npt.NDArray[np.float64]
Scope = Literal["position", "filter", "layer"]

#: Positions between which correlations are averaged; larger layers are thinned evenly.
MOST_POSITIONS = 512


@dataclass(frozen=True, eq=False)
class BlockCovariance:
    """The block-diagonal part of F F^T / N' of one layer, and what lies outside it.

    Attributes
    ----------
    blocks : ndarray
        Second moments within each input channel, (N, k^2, k^2), exact.
    diagonal : ndarray
        Diagonal of F F^T / N', (d,): the estimates of a_p.
    shares : dict of str to float
        Unbiased shares of ||Sigma||^2 on the diagonal, inside and between the blocks, and the
        effective dimension.
    mean_abs_correlation : float
        Mean |r_pq| over pairs of positions of different channels, of at most 512 evenly
        spaced positions; NaN for one channel.
    sampling_level : float
        What it would be without any correlation, sqrt(2 / (pi N')), about 0.8 / sqrt(N').
    """

    blocks: Array
    diagonal: Array
    shares: dict[str, float]
    mean_abs_correlation: float
    sampling_level: float

    __repr__ = brief


def block_covariance(layer: Source, *, device: Device = "auto") -> BlockCovariance:
    """Estimate F F^T / N' by blocks, without forming a d x d matrix.

    Parameters
    ----------
    layer : ConvLayer or array
        One layer, or a source with a single one; weights must be finite, not constant, with 8
        filters or more.
    device : str or torch.device
        Where to compute, in float64.

    Raises
    ------
    WeightsError
        If the layer's weights do not allow it.

    References
    ----------
    Huang et al. (2021), section 2.1 and figure 2.

    Examples
    --------
    >>> import cwda
    >>> found = cwda.conditions.block_covariance(cwda.load("resnet20-cifar10")["layer1.0.conv1"])
    >>> found.blocks.shape, found.diagonal.shape, round(found.sampling_level, 3)
    ((16, 9, 9), (144,), 0.199)
    """
    layer = layer_of(layer)
    space = _workspace(layer, device)
    n = layer.n_filters
    scaled = space.blocks.double() / space.scale
    by_channel = scaled.transpose(0, 1)
    blocks = (by_channel.transpose(1, 2) @ by_channel).mul_(space.scale**2 / n)
    diagonal = blocks.diagonal(dim1=1, dim2=2).reshape(-1)
    return BlockCovariance(
        blocks.cpu().numpy(),
        diagonal.cpu().numpy(),
        energy_shares(space),
        _mean_abs_correlation(scaled),
        math.sqrt(2 / (math.pi * n)),
    )


def _mean_abs_correlation(blocks: Tensor) -> float:
    n, channels, kernel_size = blocks.shape
    if channels == 1:
        return math.nan
    d = channels * kernel_size
    # Evenly spaced, rounded: no draw is needed, and every channel is met alike.
    at = torch.linspace(0, d - 1, min(d, MOST_POSITIONS), device=blocks.device).round().long()
    x = blocks.reshape(n, d)[:, at]
    norms = torch.linalg.vector_norm(x, dim=0)
    apart = (at[:, None] // kernel_size) != (at // kernel_size)
    apart &= (norms[:, None] > 0) & (norms > 0)
    x = x / norms.clamp(min=torch.finfo(x.dtype).tiny)
    return float((x.T @ x).abs()[apart].mean())


def describe(network: Source, *, device: Device = "auto") -> pd.DataFrame:
    """The classical numbers of each layer, as a tidy table.

    Columns: network, layer, n_filters, dim, n_weights, weight_mean, weight_sd, the smallest,
    median and largest element of the diagonal of F F^T / N', mean_abs_correlation of different
    channels beside its sampling_level, the energy shares and effective_dim, and reason (why a
    layer has none of them).

    Parameters
    ----------
    network : Network, or anything that `cwda.load` takes
        What to describe.
    device : str or torch.device
        Where to compute, in float64.

    References
    ----------
    Huang et al. (2021), section 2.1 and figure 2.

    Examples
    --------
    >>> import cwda
    >>> table = cwda.describe(cwda.load("resnet20-cifar10"))
    >>> len(table), bool((table["diagonal_min"] > 0).all())
    (19, True)
    """
    import pandas as pd

    network = network_of(network)
    return pd.DataFrame([_describe(network.name, layer, device) for layer in network])


def _describe(network: str, layer: ConvLayer, device: Device) -> dict[str, Any]:
    row: dict[str, Any] = {
        "network": network,
        "layer": layer.name,
        "n_filters": layer.n_filters,
        "dim": layer.dim,
        "n_weights": layer.n_weights,
    }
    try:
        found = block_covariance(layer, device=device)
    except WeightsError as error:
        return {**row, "reason": str(error)}
    mean = float(layer.weight.detach().double().mean())
    return {
        **row,
        "weight_mean": mean,
        "weight_sd": math.sqrt(max(float(found.diagonal.mean()) - mean**2, 0.0)),
        "diagonal_min": float(found.diagonal.min()),
        "diagonal_median": float(np.median(found.diagonal)),
        "diagonal_max": float(found.diagonal.max()),
        "mean_abs_correlation": found.mean_abs_correlation,
        "sampling_level": found.sampling_level,
        **found.shares,
        "reason": "",
    }


def normality(
    layer: Source,
    scope: Scope = "position",
    *,
    unit_norm: bool = False,
    device: Device = "auto",
) -> pd.DataFrame:
    """Normality of the weights of one layer, sample by sample.

    The scope says what a sample is: each of the d positions over the N' filters (under CWDA
    N' independent normal values: the only scope whose p-values are valid, hence the only one
    that has them), each filter over its d weights, or all weights of the layer.

    Parameters
    ----------
    layer : ConvLayer or array
        One layer, or a source with a single one.
    scope : str
        "position", "filter" or "layer".
    unit_norm : bool
        Divide each filter by its root mean square first, which removes differences of scale.
    device : str or torch.device
        Where to compute, in float64.

    Returns
    -------
    DataFrame
        A row a sample: Anderson-Darling A^2, Shapiro-Wilk W (up to 5,000 values), skewness,
        excess kurtosis, Jarque-Bera, D'Agostino K^2 and the KS distance; for positions the
        p-values, of which those of Jarque-Bera and K^2 are descriptive only.

    Raises
    ------
    CwdaError
        If the scope is unknown, the weights do not allow it, or positions are asked for with
        `unit_norm` where the division itself would make them visibly non-normal.

    References
    ----------
    Stephens (1974); Royston (1995); D'Agostino and Pearson (1973); Jarque and Bera (1987).

    Examples
    --------
    >>> import cwda
    >>> layer = cwda.load("resnet20-cifar10")["layer3.0.conv1"]
    >>> len(cwda.conditions.normality(layer)), len(cwda.conditions.normality(layer, "filter"))
    (288, 64)
    """
    import pandas as pd

    choose([scope], get_args(Scope), "scope")
    layer = layer_of(layer)
    space = _workspace(layer, device)
    filters = space.filters
    if unit_norm:
        if scope == "position" and not unit_norm_allowed(layer.n_filters, space.effective_dim):
            raise CwdaError(
                f"{layer.name}: dividing filters of effective dimension "
                f"{space.effective_dim:.0f} by their norm makes {layer.n_filters} weights of a "
                "position non-normal by itself; use scope 'filter' or 'layer'"
            )
        rms = torch.linalg.vector_norm(filters, dim=1, keepdim=True, dtype=torch.float64)
        filters = filters.double() / (rms / math.sqrt(layer.dim))
    rows = {"position": filters.T, "filter": filters, "layer": filters.reshape(1, -1)}[scope]
    wanted: list[Any] = ["anderson_darling", "moments", "ks"]
    if rows.shape[1] <= LARGEST_SAMPLE:
        wanted.append("shapiro_wilk")
    if rows.shape[1] < 3:
        raise CwdaError(f"{layer.name}: {rows.shape[1]} values a {scope}; 3 are needed")
    found = marginals(rows, wanted)
    columns = {
        name: value.cpu().numpy()
        for name, value in vars(found).items()
        if isinstance(value, Tensor) and (scope == "position" or not name.endswith("pvalue"))
    }
    return pd.DataFrame(columns).rename_axis(scope)


def joint_normality(layer: Source, *, device: Device = "auto") -> pd.DataFrame:
    """Henze-Zirkler test of joint normality of the k^2 weights of each input channel.

    Parameters
    ----------
    layer : ConvLayer or array
        One layer, or a source with a single one, with kernels of 2 to 49 positions and more
        filters than positions.
    device : str or torch.device
        Where to compute, in float64.

    Returns
    -------
    DataFrame
        A row an input channel: statistic and pvalue, NaN where the kernels' covariance is
        singular.

    Raises
    ------
    CwdaError
        If the weights or the kernel do not allow it.

    References
    ----------
    Henze and Zirkler (1990).

    Examples
    --------
    >>> import cwda
    >>> len(cwda.conditions.joint_normality(cwda.load("resnet20-cifar10")["layer3.0.conv1"]))
    32
    """
    import pandas as pd

    statistic, pvalue = henze_zirkler(_workspace(layer_of(layer), device).blocks)
    table = pd.DataFrame({"statistic": statistic.cpu().numpy(), "pvalue": pvalue.cpu().numpy()})
    return table.rename_axis("channel")


def _workspace(layer: ConvLayer, device: Device) -> Workspace:
    reason = unfit(layer)
    if reason:
        raise WeightsError(f"{layer.name}: {reason}")
    return Workspace(layer, resolve_device(device), alpha=0.05, variance=False)
