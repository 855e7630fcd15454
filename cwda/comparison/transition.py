"""Transition layers: where a network changes its number of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cwda.layers import ConvLayer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FEWEST_CHANNELS", "compare_transitions", "is_transition", "stratified_test"]

Array = npt.NDArray[np.float64]

#: Fewer input channels are an image's: its layer is the network's first one, not a transition.
FEWEST_CHANNELS = 5

#: Permutations of the labels within each network.
PERMUTATIONS = 9_999


def is_transition(layer: ConvLayer) -> bool:
    """Whether a layer changes the number of channels, as far as its weights tell.

    Its kernel has several positions (a 1 x 1 convolution is a projection), and it has other than
    as many filters as its input has channels, of which there are `FEWEST_CHANNELS` or more. Stride
    is not in a checkpoint.

    Examples
    --------
    >>> import torch
    >>> [is_transition(ConvLayer("conv", torch.zeros(32, n, 3, 3))) for n in (3, 16, 32)]
    [False, True, False]
    """
    channels = layer.channels * layer.groups
    return layer.kernel_size > 1 and channels >= FEWEST_CHANNELS and layer.n_filters != channels


def compare_transitions(table: pd.DataFrame, value: str = "measured") -> pd.DataFrame:
    """Whether a number is lower or higher in transition layers than in the others.

    Parameters
    ----------
    table : DataFrame
        One row per network, layer and pair of criteria, columns ``network, criterion_a,
        criterion_b, transition`` and the value; such as one rung of a `Comparison`.
    value : str
        The column to test.

    Returns
    -------
    DataFrame
        One row per pair: networks that have both kinds, layers of each, medians, the p-value of
        Mann and Whitney over all layers together, and that of `stratified_test`.
    """
    import pandas as pd
    from scipy import stats  # takes most of a second to import

    rows = []
    for pair, group in table.dropna(subset=[value]).groupby(
        ["criterion_a", "criterion_b"], sort=False
    ):
        kinds = group.groupby("network")["transition"].nunique()
        group = group[group["network"].isin(kinds.index[kinds == 2])]
        label = group["transition"].to_numpy(dtype=bool)
        x = group[value].to_numpy(dtype=np.float64)
        both = bool(label.any())
        rows.append(
            {
                "criterion_a": pair[0],
                "criterion_b": pair[1],
                "networks": group["network"].nunique(),
                "transitions": int(label.sum()),
                "others": int((~label).sum()),
                "median_transition": float(np.median(x[label])) if both else np.nan,
                "median_other": float(np.median(x[~label])) if both else np.nan,
                "pvalue_mann_whitney": (
                    float(stats.mannwhitneyu(x[label], x[~label]).pvalue) if both else np.nan
                ),
                "pvalue_within_networks": (
                    stratified_test(x, label, group["network"].to_numpy()) if both else np.nan
                ),
            }
        )
    return pd.DataFrame(rows)


def stratified_test(
    x: Array, label: npt.NDArray[np.bool_], strata: npt.NDArray[np.object_], *, seed: int = 0
) -> float:
    """Two-sided p-value of a permutation test of labels within strata.

    The statistic is the sum over strata of the labelled values' ranks within their stratum, each
    divided by the size of the stratum plus 1 (van Elteren 1960).

    Examples
    --------
    >>> x, networks = np.arange(16.0), np.array(["a"] * 8 + ["b"] * 8)
    >>> stratified_test(x, x % 8 < 2, networks) < 0.01
    True
    """
    from scipy import stats

    rng = np.random.default_rng(seed)
    observed, expected = 0.0, 0.0
    drawn = np.zeros(PERMUTATIONS)
    for stratum in np.unique(strata):
        inside = strata == stratum
        ranks = stats.rankdata(x[inside]) / (inside.sum() + 1)
        labelled = int(label[inside].sum())
        observed += float(ranks[label[inside]].sum())
        expected += labelled / 2
        order = rng.random((PERMUTATIONS, len(ranks))).argsort(axis=1)[:, :labelled]
        drawn += ranks[order].sum(axis=1)
    # Sums that are equal but for rounding count as equal.
    extreme = np.abs(drawn - expected) >= abs(observed - expected) - 1e-9
    return float((1 + extreme.sum()) / (1 + PERMUTATIONS))
