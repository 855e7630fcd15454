"""The tests of textbooks, each by the library that keeps it."""

from __future__ import annotations

import numpy as np

from cwda.conditions import mean
from cwda.textbook_tests.definition import TextbookTest, Tested
from cwda.textbook_tests.weights import MOST_WEIGHTS, Samples, Unsuited, Weights, evenly_spaced
from cwda.textbook_tests.weights import is_regular
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
    return Tested(
        table["W"].to_numpy(), table["pval"].to_numpy(), len(values), samples.left_out
    )


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
    return Tested(
        table["r"].to_numpy(), table["p_unc"].to_numpy(), len(frame), samples.left_out
    )


def _one(statistic: float, pvalue: float, *, n: int, left_out: str = "") -> Tested:
    return Tested(np.array([statistic]), np.array([pvalue]), n, left_out)


TESTS: tuple[TextbookTest, ...] = (
    TextbookTest(
        "position normality",
        "the weights at each position are normal over the filters",
        "pingouin.normality (shapiro)",
        "a position; its weights in all filters",
        "With few filters hardly any departure is seen, with many any is: passing measures n.",
        _position_normality,
    ),
    TextbookTest(
        "filter normality",
        "the weights of each filter are normal",
        "pingouin.normality (shapiro)",
        "a filter; its weights",
        "The weights of one filter are no sample: they are correlated and their variances differ, "
        "and the assumption does not say that they are one normal law.",
        _filter_normality,
    ),
    TextbookTest(
        "layer normality",
        "all weights of the layer are draws of one normal law",
        "scipy.stats.normaltest",
        "the layer; all its weights",
        "Filters of different scale make a mixture that is not normal, and at a million weights "
        "any departure is significant, however small.",
        _layer_normality,
    ),
    TextbookTest(
        "layer normality, KS",
        "all weights of the layer are draws of one normal law",
        "scipy.stats.kstest",
        "the layer; all its weights",
        "Mean and SD come from the same weights, for which the p-values are not made: it passes "
        "what it should reject in small layers, and rejects any departure in large ones.",
        _layer_ks,
    ),
    TextbookTest(
        "channel normality",
        "the positions of each channel are jointly normal over the filters",
        "pingouin.multivariate_normality (Henze-Zirkler)",
        "a channel; its kernel in all filters",
        "With few filters it sees little; filters of different scale fail it, however normal.",
        _channel_normality,
    ),
    TextbookTest(
        "position variances",
        "all positions have one variance",
        "pingouin.homoscedasticity (levene)",
        "the layer; the positions as groups of filters",
        "The groups should be independent, and positions share their filters; a pass says that n "
        "is small, not that variances are close.",
        _position_variances,
    ),
    TextbookTest(
        "position variances, Bartlett",
        "all positions have one variance",
        "pingouin.homoscedasticity (bartlett)",
        "the layer; the positions as groups of filters",
        "It takes heavy tails, which filters of different scale give, for unequal variances.",
        _position_variances_bartlett,
    ),
    TextbookTest(
        "filter variances",
        "all filters have one variance",
        "pingouin.homoscedasticity (levene)",
        "the layer; the filters as groups of weights",
        "The weights of a filter are taken for independent; correlated ones make the variances of "
        "equal filters scatter more than the test allows.",
        _filter_variances,
    ),
    TextbookTest(
        "mean of filters",
        "the mean of a filter's weights is 0 on average",
        "pingouin.ttest",
        "the layer; the mean of each filter",
        "Positive and negative positions cancel in the mean of a filter, so that means far from 0 "
        "pass.",
        _mean_of_filters,
    ),
    TextbookTest(
        "mean of weights",
        "the mean of all weights is 0",
        "pingouin.ttest",
        "the layer; all its weights",
        "It takes the weights of a filter for independent, and at a million of them a mean of a "
        "thousandth of their SD is significant.",
        _mean_of_weights,
    ),
    TextbookTest(
        "mean of filters, TOST",
        f"the mean of a filter's weights is {mean.margin:g} RMS weights or more from 0 on average",
        "pingouin.tost",
        "the layer; the mean of each filter",
        "A pass is evidence here, but for the mean over positions only: means of positions that "
        "cancel pass.",
        _mean_equivalence,
        equivalence=True,
    ),
    TextbookTest(
        "channel covariance",
        "the positions of each channel are uncorrelated",
        "statsmodels test_cov_diagonal",
        "a channel; its kernel in all filters",
        "Any correlation is rejected where filters are many, and the assumption allows small ones "
        "inside a channel.",
        _channel_covariance,
    ),
    TextbookTest(
        "sphericity",
        "all positions are uncorrelated with one variance",
        "statsmodels test_cov_spherical",
        "the layer; its filters",
        "It needs more filters than weights per filter, which few layers have, and the assumption "
        "allows correlations inside a channel.",
        _sphericity,
    ),
    TextbookTest(
        "diagonal covariance",
        "all positions are uncorrelated",
        "statsmodels test_cov_diagonal",
        "the layer; its filters",
        "Its law holds where n is many times d: at n = 512, d = 256 it rejected .885 of layers "
        "for which it is true.",
        _diagonal,
    ),
    TextbookTest(
        "block-diagonal covariance",
        "positions of different channels are uncorrelated",
        "statsmodels test_cov_blockdiagonal",
        "the layer; its filters",
        "It needs more filters than weights per filter, and its law holds where they are many "
        "times more.",
        _block_diagonal,
    ),
    TextbookTest(
        "channel correlations",
        "the mean weights of two channels are uncorrelated over the filters",
        "pingouin.pairwise_corr",
        "a pair of channels; the mean of each channel in all filters",
        "It sees only what the means of channels share; other correlations pass.",
        _channel_correlations,
    ),
)
