"""Shares, quantiles and means over clusters, against loops, closed forms and known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from cwda.population.clusters import Sample

RNG = np.random.default_rng(1)


def test_means_have_the_standard_error_of_statsmodels():
    y, clusters = RNG.normal(2, 1, 60), np.repeat(np.arange(12), 5)
    y += RNG.normal(0, 1, 12)[clusters]
    found = Sample.of(np.ones(60), clusters, 0.95).mean(y)
    # OLS on a constant, clustered, with the correction G / (G - 1) alone
    fit = sm.OLS(y, np.ones(60)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    error = fit.bse[0] * math.sqrt(12 / 11)
    radius = stats.t.ppf(0.975, 11) * error
    assert found.value == pytest.approx(y.mean())
    assert (found.low, found.high) == pytest.approx((y.mean() - radius, y.mean() + radius))


def test_a_share_of_independent_rows_is_nearly_that_of_statsmodels():
    hits = np.arange(400) < 30
    found = Sample.of(np.ones(400), np.arange(400), 0.95).share(hits)
    expected = proportion_confint(30, 400, method="beta")
    assert found.value == 0.075
    assert (found.low, found.high) == pytest.approx(expected, abs=0.001)


def test_copies_of_a_cluster_tell_no_more_than_one():
    hits, clusters = np.arange(20) < 5, np.arange(20)
    once = Sample.of(np.ones(20), clusters, 0.95).share(hits)
    often = Sample.of(np.ones(400), np.tile(clusters, 20), 0.95).share(np.tile(hits, 20))
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))


def test_what_no_row_has_is_still_possible():
    sample = Sample.of(np.ones(50), np.repeat(np.arange(10), 5), 0.95)
    none, every = sample.share(np.zeros(50)), sample.share(np.ones(50))
    assert none.value == none.low == 0
    assert none.high == pytest.approx(1 - every.low)
    assert 0.25 < none.high < 0.45  # of 10 clusters: 31 % by Clopper and Pearson


def test_one_cluster_has_no_interval():
    sample = Sample.of(np.ones(5), np.zeros(5), 0.95)
    for found in (
        sample.share(np.ones(5)),
        sample.mean(np.arange(5)),
        sample.quantile([1, 2, 3, 4, 5], 0.5),
    ):
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert not math.isnan(found.value)


def test_quantiles_are_those_of_repeated_rows():
    values, counts = RNG.normal(size=40), RNG.integers(1, 5, 40)
    sample = Sample.of(counts, np.arange(40), 0.95)
    for q in (0.05, 0.25, 0.5, 0.9):
        expected = np.quantile(np.repeat(values, counts), q, method="inverted_cdf")
        assert sample.quantile(values, q).value == expected
        assert sample.quantiles(values, [q])[0] == expected


def test_intervals_cover_what_they_should():
    """Families of several networks of many layers; of 200 draws, with a median and a share."""
    covered = np.zeros(3)
    rng = np.random.default_rng(5)
    for _ in range(200):
        networks = rng.geometric(0.4, 15)
        family = np.repeat(np.arange(15), networks)
        layers = rng.integers(2, 30, len(family))
        centre = (rng.normal(0, 1, 15)[family] + rng.normal(0, 0.5, len(family))).repeat(layers)
        y = centre + rng.normal(0, 1, len(centre))
        sample = Sample.of(np.repeat(1 / layers, layers), np.repeat(family, layers), 0.95)
        share = stats.norm.sf(1 / math.sqrt(2.25))
        for place, (found, truth) in enumerate(
            [(sample.mean(y), 0), (sample.quantile(y, 0.5), 0), (sample.share(y > 1), share)]
        ):
            covered[place] += found.low <= truth <= found.high
    # .95 each; three standard errors of 200 draws are .046
    assert (covered / 200 > 0.88).all()
    assert (covered / 200 < 0.995).all()
