"""Numbers that describe a layer: F F^T by blocks, and normality of single weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cwda.answers import Answer, column, common, spread
from cwda.arguments import choose
from cwda.brief import brief
from cwda.conditions.built_in.covariance import SHARES, energy_shares
from cwda.conditions.condition import Condition
from cwda.conditions.layerwise import needs_of
from cwda.conditions.reference import Reference, as_reference
from cwda.conditions.register import CONDITIONS
from cwda.conditions.workspace import Workspace
from cwda.errors import CwdaError, OutOfMemory, WeightsError
from cwda.layers import ConvLayer
from cwda.loading.source import Source
from cwda.loading.sources import layer_of, networks_of
from cwda.numerics.device import Placement, resolve_device
from cwda.numerics.normality.henze_zirkler import henze_zirkler
from cwda.numerics.normality.layers import marginals, unit_norm_allowed
from cwda.numerics.normality.shapiro_wilk import LARGEST_SAMPLE
from cwda.progress import showing, steps
from cwda.typing import Device

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BlockCovariance",
    "Description",
    "LayerDescription",
    "block_covariance",
    "describe",
    "joint_normality",
    "normality",
]

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


def block_covariance(source: Source, *, device: Device = "auto") -> BlockCovariance:
    """Estimate F F^T / N' by blocks, without forming a d x d matrix.

    Parameters
    ----------
    source : ConvLayer or array
        One layer, or a source with a single one; weights must be finite, not constant, with 8
        filters or more.
    device : str or torch.device
        Where to compute, in float64.

    Raises
    ------
    CwdaError
        If the layer's weights do not allow it.

    References
    ----------
    Huang et al. (2021), section 2.1 and figure 2.

    Examples
    --------
    >>> import cwda
    >>> layer = cwda.load("resnet20-cifar10")["layer1.0.conv1"]
    >>> covariance = cwda.conditions.block_covariance(layer)
    >>> covariance.blocks.shape, covariance.diagonal.shape, round(covariance.sampling_level, 3)
    ((16, 9, 9), (144,), 0.199)
    """
    return _block_covariance(_workspace(layer_of(source), device))


def _block_covariance(work: Workspace) -> BlockCovariance:
    n = work.layer.n_filters
    scaled = work.blocks.double() / work.scale
    by_channel = scaled.transpose(0, 1)
    blocks = (by_channel.transpose(1, 2) @ by_channel).mul_(work.scale_squared / n)
    diagonal = blocks.diagonal(dim1=1, dim2=2).reshape(-1)
    return BlockCovariance(
        blocks.cpu().numpy(),
        diagonal.cpu().numpy(),
        energy_shares(work),
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


@dataclass(frozen=True, kw_only=True)
class LayerDescription:
    """The classical numbers of one layer: a row of the table of `cwda.describe`."""

    network: str = common("network")
    layer: str = common("layer")
    n_filters: int = common("n_filters")
    dim: int = common("dim")
    n_weights: int = common("n_weights")
    weight_mean: float = column("Mean of all weights.", default=math.nan)
    weight_sd: float = column("Standard deviation of all weights.", default=math.nan)
    diagonal_min: float = column(
        "Smallest element of the diagonal of $F F^T / N'$, the estimates of $a_p$.",
        default=math.nan,
    )
    diagonal_median: float = column("Median of that diagonal.", default=math.nan)
    diagonal_max: float = column("Largest element of that diagonal.", default=math.nan)
    mean_abs_correlation: float = column(
        "Mean absolute correlation of weights of different channels, of at most 512 evenly "
        "spaced positions.",
        default=math.nan,
    )
    sampling_level: float = column(
        r"What that mean is without any correlation, $\sqrt{2 / (\pi N')}$.", default=math.nan
    )
    energy_diagonal: float = column(SHARES["energy_diagonal"], default=math.nan)
    energy_within: float = column(SHARES["energy_within"], default=math.nan)
    energy_between: float = column(SHARES["energy_between"], default=math.nan)
    effective_dim: float = column(SHARES["effective_dim"], default=math.nan)
    effects: Mapping[str, float] = spread(
        "Effect of each condition, such as `effect_mean`; as in the table of `cwda.check`."
    )
    percentiles: Mapping[str, float] = spread(
        "With a reference, the share of its comparable layers whose effect is smaller, such as "
        "`percentile_mean`; as in the table of `cwda.check`.",
        default_factory=dict,
    )
    reason: str = column("Why the layer has no such numbers; empty otherwise.", default="")

    __repr__ = brief


@dataclass(frozen=True, eq=False, repr=False)
class Description(Answer[LayerDescription]):
    """The classical numbers of the layers of networks; there are no intervals."""

    row: ClassVar[type] = LayerDescription

    def title(self) -> str:
        """What is described."""
        return f"layers of {', '.join(network.name for network in self.networks)}"

    def summary(self) -> pd.DataFrame:
        """A few of the columns."""
        columns = ["network", "layer", "n_filters", "dim", "weight_mean", "weight_sd"]
        columns += ["mean_abs_correlation", "sampling_level", "effective_dim", "reason"]
        return self.table[columns]


def describe(
    source: Source | Iterable[Source],
    *,
    reference: Reference | str | Path | None = None,
    device: Device = "auto",
    progress: bool = True,
) -> Description:
    """The classical numbers of each layer, and the effect of each condition.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes, or an iterable of such
        What to describe.
    reference : Reference or path, optional
        Effects of many networks, as in `cwda.check`: each layer then says in what share of
        comparable layers each effect is smaller.
    device : str or torch.device
        Where to compute, in float64.
    progress : bool
        Whether long work shows a bar.

    Returns
    -------
    Description
        `.table` has one row per layer: mean and standard deviation of the weights, the diagonal
        of F F^T / N', correlations of different channels, the shares of energy of Sigma, its
        effective dimension, and the effects.

    Raises
    ------
    CwdaError
        If a source or the reference cannot be read, or the device cannot be used.

    References
    ----------
    Huang et al. (2021), section 2.1 and figure 2.

    Examples
    --------
    >>> import cwda
    >>> table = cwda.describe(cwda.load("resnet20-cifar10")).table
    >>> len(table), bool((table["diagonal_min"] > 0).all())
    (19, True)
    """
    resolve_device(device)
    others = as_reference(reference)
    conditions = list(CONDITIONS.values())
    with showing(progress):
        networks = networks_of(source)
        rows = tuple(
            _described(network.name, layer, conditions, others, device)
            for network in networks
            for layer in steps(network.layers, f"describing {network.name}")
        )
    return Description(rows, tuple(networks), level=math.nan)


def _described(
    network: str,
    layer: ConvLayer,
    conditions: Sequence[Condition],
    others: Reference | None,
    device: Device,
) -> LayerDescription:
    """The row of a layer, also if memory runs out."""
    try:
        return Placement(device, f"layer {layer.name}", layer.n_weights).run(
            partial(_describe, network, layer, conditions, others)
        )
    except OutOfMemory as error:
        return LayerDescription(
            network=network,
            layer=layer.name,
            n_filters=layer.n_filters,
            dim=layer.dim,
            n_weights=layer.n_weights,
            effects={f"effect_{condition.name}": math.nan for condition in conditions},
            reason=str(error),
        )


def _describe(
    network: str,
    layer: ConvLayer,
    conditions: Sequence[Condition],
    others: Reference | None,
    device: torch.device,
) -> LayerDescription:
    work = Workspace(layer, device, needs=needs_of(conditions) | {"covariance kernel"})
    tested = [condition.test(work, condition.margin) for condition in conditions]
    placed = [others.place(row, layer.kernel) for row in tested] if others else []
    facts: dict[str, Any] = {
        "network": network,
        "layer": layer.name,
        "n_filters": layer.n_filters,
        "dim": layer.dim,
        "n_weights": layer.n_weights,
        "effects": {f"effect_{row.condition}": row.effect for row in tested},
        "percentiles": {f"percentile_{row.condition}": row.percentile for row in placed},
    }
    if work.unfit:
        return LayerDescription(**facts, reason=work.unfit)
    try:
        covariance = _block_covariance(work)
    except WeightsError as error:
        return LayerDescription(**facts, reason=str(error))
    mean = float(layer.weight.detach().double().mean())
    facts |= covariance.shares
    return LayerDescription(
        weight_mean=mean,
        # In units of the RMS weight, whose square float64 may not hold.
        weight_sd=work.scale * math.sqrt(max(1 - (mean / work.scale) ** 2, 0.0)),
        diagonal_min=float(covariance.diagonal.min()),
        diagonal_median=float(np.median(covariance.diagonal)),
        diagonal_max=float(covariance.diagonal.max()),
        mean_abs_correlation=covariance.mean_abs_correlation,
        sampling_level=covariance.sampling_level,
        **facts,
    )


def normality(
    source: Source,
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
    source : ConvLayer or array
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
        One row per sample: Anderson-Darling A^2, Shapiro-Wilk W (up to 5,000 values), skewness,
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
    layer = layer_of(source)
    work = _workspace(layer, device)
    filters = work.filters
    if unit_norm:
        if scope == "position" and not unit_norm_allowed(layer.n_filters, work.effective_dim):
            raise CwdaError(
                f"{layer.name}: dividing filters of effective dimension "
                f"{work.effective_dim:.0f} by their norm makes {layer.n_filters} weights of a "
                "position non-normal by itself; use scope 'filter' or 'layer'"
            )
        rms = torch.linalg.vector_norm(filters, dim=1, keepdim=True, dtype=torch.float64)
        filters = filters.double() / (rms / math.sqrt(layer.dim))
    rows = {"position": filters.T, "filter": filters, "layer": filters.reshape(1, -1)}[scope]
    tests: list[Any] = ["anderson_darling", "moments", "ks"]
    if rows.shape[1] <= LARGEST_SAMPLE:
        tests.append("shapiro_wilk")
    if rows.shape[1] < 3:
        raise CwdaError(f"{layer.name}: {rows.shape[1]} values per {scope}; 3 are needed")
    statistics = marginals(rows, tests)
    columns = {
        name: value.cpu().numpy()
        for name, value in vars(statistics).items()
        if isinstance(value, Tensor) and (scope == "position" or not name.endswith("pvalue"))
    }
    return pd.DataFrame(columns).rename_axis(scope)


def joint_normality(source: Source, *, device: Device = "auto") -> pd.DataFrame:
    """Henze-Zirkler test of joint normality of the k^2 weights of each input channel.

    Parameters
    ----------
    source : ConvLayer or array
        One layer, or a source with a single one, with kernels of 2 to 49 positions and more
        filters than positions.
    device : str or torch.device
        Where to compute, in float64.

    Returns
    -------
    DataFrame
        One row per input channel: statistic and pvalue, NaN where the kernels' covariance is
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

    statistic, pvalue = henze_zirkler(_workspace(layer_of(source), device).blocks)
    table = pd.DataFrame({"statistic": statistic.cpu().numpy(), "pvalue": pvalue.cpu().numpy()})
    return table.rename_axis("channel")


def _workspace(layer: ConvLayer, device: Device) -> Workspace:
    work = Workspace(layer, resolve_device(device), needs={"covariance kernel"})
    if work.unfit:
        raise WeightsError(f"{layer.name}: {work.unfit}")
    return work
