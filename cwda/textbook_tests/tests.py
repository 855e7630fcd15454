"""The tests of textbooks, each by the library that keeps it."""

from __future__ import annotations

import numpy as np

from cwda.conditions import mean
from cwda.textbook_tests.definition import Tested, TextbookTest
from cwda.textbook_tests.weights import (
    MOST_WEIGHTS,
    Samples,
    Unsuited,
    Weights,
    evenly_spaced,
    is_regular,
)
from cwda.typing import Array

__all__ = ["TESTS"]

#: Channels whose correlations are tested, at most: each pair is a test.
_CHANNELS = 8


def _value(table: object, row: object, name: str) -> float:
    """A number of pingouin's tables; versions before 0.6 write `p-val` for `p_val`."""
    renamed = table.rename(columns=lambda column: column.replace("-", "_"))  # type: ignore[attr-defined]
    return float(renamed.at[row, name])


def _shapiro(samples: Samples) -> Tested:
    import pandas as pd
    import pingouin

    values = samples.scaled
    values = values[evenly_spaced(len(values), MOST_WEIGHTS)]
    table = pingouin.normality(pd.DataFrame(values), method="shapiro")
    return Tested(table["W"].to_numpy(), table["pval"].to_numpy(), len(values), samples.left_out)


def _position_normality(weights: Weights) -> Tested:
    return _shapiro(weights.positions())


def _filter_normality(weights: Weights) -> Tested:
    return _shapiro(weights.some_filters())


def _layer_normality(weights: Weights) -> Tested:
    from scipy import stats

    values = weights.filters.ravel()
    return _one(*stats.normaltest(values), n=values.size)


def _layer_ks(weights: Weights) -> Tested:
    from scipy import stats

    values = weights.filters.ravel()
    statistic, pvalue = stats.kstest(values, "norm", args=(values.mean(), values.std(ddof=1)))
    return _one(statistic, pvalue, n=values.size)


def _channel_normality(weights: Weights) -> Tested:
    import pingouin

    def test(block: Array) -> tuple[float, float]:
        statistic, pvalue, _ = pingouin.multivariate_normality(block / np.abs(block).max())
        return statistic, pvalue

    return _channels(weights, *weights.of_channels(test))


def _equal_variances(samples: Samples, method: str) -> Tested:
    import pingouin

    if samples.values.shape[1] < 2:
        raise Unsuited("a single sample has no other variance to be compared with")
    table = pingouin.homoscedasticity(list(samples.values.T), method=method)
    name = {"levene": "W", "bartlett": "T"}[method]
    statistic, pvalue = _value(table, method, name), _value(table, method, "pval")
    return _one(statistic, pvalue, n=len(samples.values), left_out=samples.left_out)


def _position_variances(weights: Weights) -> Tested:
    return _equal_variances(weights.positions(), "levene")


def _position_variances_bartlett(weights: Weights) -> Tested:
    return _equal_variances(weights.positions(), "bartlett")


def _filter_variances(weights: Weights) -> Tested:
    return _equal_variances(weights.some_filters(), "levene")


def _mean_of_filters(weights: Weights) -> Tested:
    return _ttest(weights.filters.mean(1))


def _mean_of_weights(weights: Weights) -> Tested:
    return _ttest(weights.filters.ravel())


def _ttest(values: Array) -> Tested:
    import pingouin

    table = pingouin.ttest(values, 0)
    row = table.index[0]
    return _one(_value(table, row, "T"), _value(table, row, "p_val"), n=len(values))


def _mean_equivalence(weights: Weights) -> Tested:
    import pingouin

    table = pingouin.tost(weights.filters.mean(1), 0, bound=mean.margin)
    return _one(np.nan, _value(table, table.index[0], "pval"), n=weights.n)


def _channel_covariance(weights: Weights) -> Tested:
    from statsmodels.stats.multivariate import test_cov_diagonal

    def test(block: Array) -> tuple[float, float]:
        found = test_cov_diagonal(np.cov(block / np.abs(block).max(), rowvar=False), len(block))
        return found.statistic, found.pvalue

    return _channels(weights, *weights.of_channels(test))


def _channels(weights: Weights, found: Array, left_out: str) -> Tested:
    return Tested(found[:, 0], found[:, 1], weights.n, left_out)


def _covariance(weights: Weights) -> Array:
    """The covariance matrix of all positions, where it can be inverted."""
    if weights.dim < 2:
        raise Unsuited("a filter has a single weight")
    if weights.n <= weights.dim:
        raise Unsuited(
            f"n <= d: {weights.n} filters, not more than the {weights.dim} weights of each, "
            "so that the covariance matrix is singular"
        )
    if not is_regular(weights.filters):
        raise Unsuited("the covariance matrix of the positions is singular")
    covariance: Array = np.cov(weights.filters, rowvar=False)
    return covariance


def _sphericity(weights: Weights) -> Tested:
    from statsmodels.stats.multivariate import test_cov_spherical

    found = test_cov_spherical(_covariance(weights), weights.n)
    return _one(found.statistic, found.pvalue, n=weights.n)


def _diagonal(weights: Weights) -> Tested:
    from statsmodels.stats.multivariate import test_cov_diagonal

    found = test_cov_diagonal(_covariance(weights), weights.n)
    return _one(found.statistic, found.pvalue, n=weights.n)


def _block_diagonal(weights: Weights) -> Tested:
    from statsmodels.stats.multivariate import test_cov_blockdiagonal

    if weights.channels < 2:
        raise Unsuited("a single channel has no others")
    sizes = [weights.kernel_size] * weights.channels
    found = test_cov_blockdiagonal(_covariance(weights), weights.n, sizes)
    return _one(found.statistic, found.pvalue, n=weights.n)


def _channel_correlations(weights: Weights) -> Tested:
    import pandas as pd
    import pingouin

    samples = weights.channel_means(_CHANNELS)
    if samples.values.shape[1] < 2:
        raise Unsuited("a single channel has no others to be correlated with")
    frame = pd.DataFrame(samples.values).rename(columns=str)
    table = pingouin.pairwise_corr(frame, padjust="none")
    table = table.rename(columns=lambda column: column.replace("-", "_"))
    return Tested(table["r"].to_numpy(), table["p_unc"].to_numpy(), len(frame), samples.left_out)


def _one(statistic: float, pvalue: float, *, n: int, left_out: str = "") -> Tested:
    return Tested(np.array([statistic]), np.array([pvalue]), n, left_out)


#: In the order of tables. Rates in their sentences are those of ``python -m benchmarks.textbook``
#: (layers of 16 channels, 3 x 3 kernels; 100 layers per cell) and, at d = 256, of 300 layers.
TESTS: tuple[TextbookTest, ...] = (
    TextbookTest(
        "position normality",
        "the weights at each position are normal over the filters",
        "pingouin.normality (shapiro)",
        "a position; its weights in all filters",
        "Passing measures n: layers of normal filters whose scales differ (SD of the "
        "logarithm .2) fail in 10, 40 and 100 % at 16, 64 and 512 filters.",
        _position_normality,
    ),
    TextbookTest(
        "filter normality",
        "the weights of each filter are normal",
        "pingouin.normality (shapiro)",
        "a filter; its weights",
        "The weights of a filter are no sample of one law: the assumption gives each position "
        "a variance of its own, and correlates those of a channel.",
        _filter_normality,
    ),
    TextbookTest(
        "layer normality",
        "all weights of the layer are draws of one normal law",
        "scipy.stats.normaltest",
        "the layer; all its weights",
        "Filters of different scale make a mixture that is not normal: with normal filters, "
        "SD of the logarithm .2, 84 % of layers fail at 16 filters, all at 64. At a million "
        "weights any departure is significant.",
        _layer_normality,
    ),
    TextbookTest(
        "layer normality, KS",
        "all weights of the layer are draws of one normal law",
        "scipy.stats.kstest",
        "the layer; all its weights",
        "Mean and SD come from the same weights, for which its p-values are not made: it "
        "rejected none of 300 normal layers at .05, so that a pass says little, and at a "
        "million weights it rejects any departure.",
        _layer_ks,
    ),
    TextbookTest(
        "channel normality",
        "the positions of each channel are jointly normal over the filters",
        "pingouin.multivariate_normality (Henze-Zirkler)",
        "a channel; its kernel in all filters",
        "Passing measures n: normal filters whose scales differ (SD of the logarithm .2) fail "
        "in 13, 67 and 100 % of layers at 16, 64 and 512 filters.",
        _channel_normality,
    ),
    TextbookTest(
        "position variances",
        "all positions have one variance",
        "pingouin.homoscedasticity (levene)",
        "the layer; the positions as groups of filters",
        "At few filters it hardly ever rejects (none of 400 layers of 16 filters with equal "
        "variances), and at many it rejects differences of any size.",
        _position_variances,
    ),
    TextbookTest(
        "position variances, Bartlett",
        "all positions have one variance",
        "pingouin.homoscedasticity (bartlett)",
        "the layer; the positions as groups of filters",
        "It takes heavy tails for unequal variances: filters whose scales differ (SD of the "
        "logarithm .2) make it reject equal ones in 19 to 29 % of layers.",
        _position_variances_bartlett,
    ),
    TextbookTest(
        "filter variances",
        "all filters have one variance",
        "pingouin.homoscedasticity (levene)",
        "the layer; the filters as groups of weights",
        "It takes the weights of a filter for independent: with a correlation of .1 inside "
        "channels it rejects filters of one scale in 14 % of layers of 512 filters, and d "
        "weights make it reject differences of any size.",
        _filter_variances,
    ),
    TextbookTest(
        "mean of filters",
        "the mean of a filter's weights is 0 on average",
        "pingouin.ttest",
        "the layer; the mean of each filter",
        "Means of different sign cancel: of layers in which half of the channels have a mean "
        "of .3 SD and half one of -.3 SD, 292 of 300 passed.",
        _mean_of_filters,
    ),
    TextbookTest(
        "mean of weights",
        "the mean of all weights is 0",
        "pingouin.ttest",
        "the layer; all its weights",
        "It takes all weights for independent, and at a million of them a mean of .002 SD is "
        "significant; means that cancel pass (295 of 300 layers with means of .3 and -.3 SD).",
        _mean_of_weights,
    ),
    TextbookTest(
        "mean of filters, TOST",
        f"the mean of a filter's weights is {mean.margin:g} RMS weights or more from 0 on average",
        "pingouin.tost",
        "the layer; the mean of each filter",
        "A pass is evidence here, of the mean over positions alone: all of 300 layers passed "
        "in which means of .3 and -.3 SD cancel.",
        _mean_equivalence,
        equivalence=True,
    ),
    TextbookTest(
        "channel covariance",
        "the positions of each channel are uncorrelated",
        "statsmodels test_cov_diagonal",
        "a channel; its kernel in all filters",
        "The assumption allows small correlations inside a channel; one of .1 fails 21, 93 "
        "and 100 % of layers at 16, 64 and 512 filters. Filters whose scales differ fail 27 "
        "to 38 % without any.",
        _channel_covariance,
    ),
    TextbookTest(
        "sphericity",
        "all positions are uncorrelated with one variance",
        "statsmodels test_cov_spherical",
        "the layer; its filters",
        "It needs n > d, which few layers have, and n many times d to be right: under its "
        "null hypothesis it rejected 12 % at n = 512, d = 144 and 87 % at d = 256. The "
        "assumption does not say that the covariance is spherical.",
        _sphericity,
    ),
    TextbookTest(
        "diagonal covariance",
        "all positions are uncorrelated",
        "statsmodels test_cov_diagonal",
        "the layer; its filters",
        "It needs n > d, which few layers have, and n many times d to be right: under its "
        "null hypothesis it rejected 11 % at n = 512, d = 144 and 87 % at d = 256. The "
        "assumption allows correlations inside channels.",
        _diagonal,
    ),
    TextbookTest(
        "block-diagonal covariance",
        "positions of different channels are uncorrelated",
        "statsmodels test_cov_blockdiagonal",
        "the layer; its filters",
        "It needs n > d, which few layers have, and n many times d to be right: under its "
        "null hypothesis it rejected 12 % at n = 512, d = 144 and 87 % at d = 256.",
        _block_diagonal,
    ),
    TextbookTest(
        "channel correlations",
        "the mean weights of two channels are uncorrelated over the filters",
        "pingouin.pairwise_corr",
        "a pair of channels; the mean of each channel in all filters",
        "It sees only what the means of channels share, in 8 channels at most; correlations "
        "between single positions pass.",
        _channel_correlations,
    ),
)
