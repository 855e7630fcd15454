"""The six conditions as functions, for notebooks: `cwda.conditions.mean(net)` and its sisters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cwda.conditions.check import DEFAULT_ALPHA, check, check_layer
from cwda.conditions.results import ConditionResult
from cwda.conditions.table import CheckResult
from cwda.layers import ConvLayer, Network
from cwda.loading.sources import Source, layer_of

__all__ = ["epsilon", "gaussianity", "homogeneity", "independence", "mean", "variance"]

Layer = ConvLayer | Tensor | npt.NDArray[Any]
#: What leads to a network, whose layers are tested one by one.
Whole = str | Path | nn.Module | Mapping[str, Any] | Network
Device = str | torch.device


def _run(
    source: Source, condition: str, margin: float | None, alpha: float, device: Device
) -> CheckResult | ConditionResult:
    if isinstance(source, ConvLayer | Tensor | np.ndarray):
        return check_layer(layer_of(source), condition, margin=margin, alpha=alpha, device=device)
    margins = None if margin is None else {condition: margin}
    return check(source, [condition], margins=margins, alpha=alpha, device=device)


@overload
def gaussianity(
    source: Whole, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> CheckResult: ...
@overload
def gaussianity(
    source: Layer, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> ConditionResult: ...
def gaussianity(
    source: Whole | Layer,
    *,
    margin: float | None = None,
    alpha: float = DEFAULT_ALPHA,
    device: Device = "auto",
) -> CheckResult | ConditionResult:
    """Test whether the weights of the filters are Gaussian (condition 1 of the paper).

    The effect is D = sup |F_n(w) - Phi(w)| of the layer's pooled, standardised weights, with
    an interval from the jackknife over filters (simultaneous for the lower limit). The
    p-value combines Anderson-Darling tests of the d = N k^2 positions, each a sample of N'
    filters, by Cauchy combination.

    Parameters
    ----------
    source : Network, ConvLayer, array, or anything else that `cwda.load` takes
        A network, one of its layers, an array N x k^2 x N', a name, file, module or state dict.
    margin : float, optional
        Largest effect that counts as negligible; `cwda.conditions.CONDITIONS` has the default.
    alpha : float
        The interval has level 1 - 2 alpha.
    device : str or torch.device
        Where to compute, in float64.

    Returns
    -------
    CheckResult, or ConditionResult for one layer or array.

    Raises
    ------
    CwdaError
        If the source has the wrong type or shape, or a parameter is impossible.

    References
    ----------
    Huang et al. (2021), section 2.1; Stephens (1974); Liu and Xie (2020).

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> round(cwda.conditions.gaussianity(net['layer3.0.conv1']).effect, 3) < 0.2
    True
    """
    return _run(source, "gaussianity", margin, alpha, device)


@overload
def variance(
    source: Whole, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> CheckResult: ...
@overload
def variance(
    source: Layer, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> ConditionResult: ...
def variance(
    source: Whole | Layer,
    *,
    margin: float | None = None,
    alpha: float = DEFAULT_ALPHA,
    device: Device = "auto",
) -> CheckResult | ConditionResult:
    """Test whether the positions have equal variances (condition 2 of the paper).

    The effect is the coefficient of variation of the diagonal elements a_p,
    sqrt(d sum_p (a_p - mean a)^2) / sum_p a_p, by an unbiased U-statistic over pairs of
    filters.

    Parameters
    ----------
    source : Network, ConvLayer, array, or anything else that `cwda.load` takes
        A network, one of its layers, an array N x k^2 x N', a name, file, module or state dict.
    margin : float, optional
        Largest effect that counts as negligible; `cwda.conditions.CONDITIONS` has the default.
    alpha : float
        The interval has level 1 - 2 alpha.
    device : str or torch.device
        Where to compute, in float64.

    Returns
    -------
    CheckResult, or ConditionResult for one layer or array.

    Raises
    ------
    CwdaError
        If the source has the wrong type or shape, or a parameter is impossible.

    References
    ----------
    Huang et al. (2021), section 2.1.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.variance(net['layer3.0.conv1']).condition
    'variance'
    """
    return _run(source, "variance", margin, alpha, device)


@overload
def mean(
    source: Whole, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> CheckResult: ...
@overload
def mean(
    source: Layer, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> ConditionResult: ...
def mean(
    source: Whole | Layer,
    *,
    margin: float | None = None,
    alpha: float = DEFAULT_ALPHA,
    device: Device = "auto",
) -> CheckResult | ConditionResult:
    """Test whether the mean of the weights is close to 0 (condition 3 of the paper).

    The effect is |mu| / sqrt(E |f|^2): the RMS mean of the positions over the RMS weight, by an
    unbiased U-statistic over pairs of filters. `details` has the mean over all weights with
    its t interval and the p-value of two one-sided tests.

    Parameters
    ----------
    source : Network, ConvLayer, array, or anything else that `cwda.load` takes
        A network, one of its layers, an array N x k^2 x N', a name, file, module or state dict.
    margin : float, optional
        Largest effect that counts as negligible; `cwda.conditions.CONDITIONS` has the default.
    alpha : float
        The interval has level 1 - 2 alpha.
    device : str or torch.device
        Where to compute, in float64.

    Returns
    -------
    CheckResult, or ConditionResult for one layer or array.

    Raises
    ------
    CwdaError
        If the source has the wrong type or shape, or a parameter is impossible.

    References
    ----------
    Huang et al. (2021), section 2.1; Schuirmann (1987).

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.mean(net['layer3.1.conv1']).verdict
    'holds'
    """
    return _run(source, "mean", margin, alpha, device)


@overload
def epsilon(
    source: Whole, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> CheckResult: ...
@overload
def epsilon(
    source: Layer, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> ConditionResult: ...
def epsilon(
    source: Whole | Layer,
    *,
    margin: float | None = None,
    alpha: float = DEFAULT_ALPHA,
    device: Device = "auto",
) -> CheckResult | ConditionResult:
    """Test whether epsilon, the covariance inside the blocks, is small (condition 4 of the paper).

    The effect is the RMS covariance of two weights of one input channel over the mean
    variance, by a U-statistic over pairs of filters of U-centred Gram matrices: unbiased
    for N' < N k^2 and free of the mean. It is an RMS correlation where all a_p are equal.

    Parameters
    ----------
    source : Network, ConvLayer, array, or anything else that `cwda.load` takes
        A network, one of its layers, an array N x k^2 x N', a name, file, module or state dict.
    margin : float, optional
        Largest effect that counts as negligible; `cwda.conditions.CONDITIONS` has the default.
    alpha : float
        The interval has level 1 - 2 alpha.
    device : str or torch.device
        Where to compute, in float64.

    Returns
    -------
    CheckResult, or ConditionResult for one layer or array.

    Raises
    ------
    CwdaError
        If the source has the wrong type or shape, or a parameter is impossible.

    References
    ----------
    Huang et al. (2021), equation 1 and section 2.1; Szekely and Rizzo (2014).

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.epsilon(net['conv1']).n_filters
    16
    """
    return _run(source, "epsilon", margin, alpha, device)


@overload
def independence(
    source: Whole, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> CheckResult: ...
@overload
def independence(
    source: Layer, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> ConditionResult: ...
def independence(
    source: Whole | Layer,
    *,
    margin: float | None = None,
    alpha: float = DEFAULT_ALPHA,
    device: Device = "auto",
) -> CheckResult | ConditionResult:
    """Test whether weights of different input channels are uncorrelated.

    The effect is the RMS covariance of two weights of different channels over the mean
    variance, by a U-statistic over pairs of filters of U-centred Gram matrices. Equation 1
    of the paper says that Sigma is zero outside its blocks.

    Parameters
    ----------
    source : Network, ConvLayer, array, or anything else that `cwda.load` takes
        A network, one of its layers, an array N x k^2 x N', a name, file, module or state dict.
    margin : float, optional
        Largest effect that counts as negligible; `cwda.conditions.CONDITIONS` has the default.
    alpha : float
        The interval has level 1 - 2 alpha.
    device : str or torch.device
        Where to compute, in float64.

    Returns
    -------
    CheckResult, or ConditionResult for one layer or array.

    Raises
    ------
    CwdaError
        If the source has the wrong type or shape, or a parameter is impossible.

    References
    ----------
    Huang et al. (2021), equation 1; Szekely and Rizzo (2014).

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.independence(net['layer3.0.conv1']).effect < 0.3
    True
    """
    return _run(source, "independence", margin, alpha, device)


@overload
def homogeneity(
    source: Whole, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> CheckResult: ...
@overload
def homogeneity(
    source: Layer, *, margin: float | None = ..., alpha: float = ..., device: Device = ...
) -> ConditionResult: ...
def homogeneity(
    source: Whole | Layer,
    *,
    margin: float | None = None,
    alpha: float = DEFAULT_ALPHA,
    device: Device = "auto",
) -> CheckResult | ConditionResult:
    """Test whether all filters of a layer share one scale (identically distributed).

    With f_j = s_j g_j the effect is SD(log s), estimated by split halves of the input
    channels, Var(log s) = Cov(a, b) / 4 of the halves' log energies: neither noise nor
    kurtosis of the weights enters. `details` has tau^2 and the number of near-dead filters,
    and the effect without them.

    Parameters
    ----------
    source : Network, ConvLayer, array, or anything else that `cwda.load` takes
        A network, one of its layers, an array N x k^2 x N', a name, file, module or state dict.
    margin : float, optional
        Largest effect that counts as negligible; `cwda.conditions.CONDITIONS` has the default.
    alpha : float
        The interval has level 1 - 2 alpha.
    device : str or torch.device
        Where to compute, in float64.

    Returns
    -------
    CheckResult, or ConditionResult for one layer or array.

    Raises
    ------
    CwdaError
        If the source has the wrong type or shape, or a parameter is impossible.

    References
    ----------
    Huang et al. (2021), equation 1; Zou and Donner (2008) for the interval.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> cwda.conditions.homogeneity(net['layer3.0.conv1']).n_weights
    18432
    """
    return _run(source, "homogeneity", margin, alpha, device)
