"""Descriptive numbers against plain numpy, scipy and pingouin."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import cwda
from cwda.layers import ConvLayer

from . import simulated


def test_blocks_and_diagonal_are_those_of_the_whole_matrix():
    layer = simulated.layer(n=20, channels=4, mean=0.3)
    found = cwda.conditions.block_covariance(layer)
    whole = layer.matrix @ layer.filters / 20
    for b in range(4):
        np.testing.assert_allclose(
            found.blocks[b], whole[9 * b : 9 * b + 9, 9 * b : 9 * b + 9], rtol=1e-10
        )
    np.testing.assert_allclose(found.diagonal, np.diag(whole), rtol=1e-10)
    scale = np.sqrt(np.diag(whole))
    apart = np.kron(np.eye(4), np.ones((9, 9))) == 0
    expected = np.abs(whole / np.outer(scale, scale))[apart].mean()
    assert found.mean_abs_correlation == pytest.approx(expected, rel=1e-10)


def test_correlation_of_independent_filters_is_at_its_sampling_level():
    found = cwda.conditions.block_covariance(simulated.layer(n=100, channels=100, seed=1))
    assert found.sampling_level == pytest.approx(math.sqrt(2 / (100 * math.pi)))
    assert found.mean_abs_correlation == pytest.approx(found.sampling_level, rel=0.02)


def test_describe_has_a_row_for_every_layer():
    net = simulated.network(
        simulated.layer(n=16, name="good", mean=0.1),
        ConvLayer("zeros", torch.zeros(16, 4, 3, 3)),
    )
    table = cwda.describe(net).table.set_index("layer")
    filters = net["good"].filters
    assert table.loc["good", "weight_mean"] == pytest.approx(filters.mean(), rel=1e-10)
    assert table.loc["good", "weight_sd"] == pytest.approx(filters.std(), rel=1e-9)
    assert "all weights are 0" in table.loc["zeros", "reason"]


@pytest.mark.parametrize("unit_norm", [False, True])
def test_normality_in_each_scope_is_that_of_scipy(unit_norm):
    layer = simulated.layer(n=16, channels=8, transform=simulated.unequal_filters)
    filters = layer.filters
    if unit_norm:
        filters = filters / np.sqrt((filters**2).mean(axis=1, keepdims=True))
    rows = {"position": filters.T, "filter": filters, "layer": filters.reshape(1, -1)}
    for scope, samples in rows.items():
        table = cwda.conditions.normality(layer, scope, unit_norm=unit_norm)
        np.testing.assert_allclose(table["skewness"], stats.skew(samples, axis=1), rtol=1e-8)
        np.testing.assert_allclose(table["kurtosis"], stats.kurtosis(samples, axis=1), rtol=1e-8)
        expected = [stats.shapiro(sample).statistic for sample in samples]
        np.testing.assert_allclose(table["shapiro_wilk"], expected, rtol=1e-7)
        assert any(name.endswith("pvalue") for name in table) == (scope == "position")


def test_positions_of_unit_norm_filters_are_refused_where_the_division_shows():
    with pytest.raises(cwda.CwdaError, match="effective dimension"):
        cwda.conditions.normality(simulated.layer(n=64, channels=1), unit_norm=True)


def test_joint_normality_is_that_of_pingouin():
    import pingouin

    layer = simulated.layer(n=40, channels=3, kernel=(2, 2), transform=simulated.student)
    table = cwda.conditions.joint_normality(layer)
    for b, row in enumerate(table.itertuples()):
        expected = pingouin.multivariate_normality(layer.array[b].T)
        assert row.statistic == pytest.approx(expected.hz, rel=1e-8)
        assert row.pvalue == pytest.approx(expected.pval, rel=1e-8)


def test_mistakes_are_told_in_one_line():
    layer = simulated.layer(n=16)
    with pytest.raises(cwda.CwdaError, match="unknown scope"):
        cwda.conditions.normality(layer, "channel")
    with pytest.raises(cwda.CwdaError, match="all weights are 0"):
        cwda.conditions.joint_normality(ConvLayer("zeros", torch.zeros(16, 4, 3, 3)))


def test_a_description_of_several_networks_is_an_answer(tmp_path):
    one, two = (simulated.network(simulated.layer(n=16, seed=seed), name="net") for seed in (0, 1))
    answer = cwda.describe([one, two])
    assert answer.table["network"].tolist() == ["net", "net (2)"]
    assert list(answer.summary()["layer"]) == ["conv", "conv"]
    assert repr(answer).startswith("Description: layers of net, net (2); .table has 2 rows\n")
    answer.save(tmp_path / "a.json")
    assert cwda.conditions.Description.load(tmp_path / "a.json").table.equals(answer.table)


def test_effects_of_a_description_are_those_of_the_check():
    net = simulated.network(simulated.layer(n=16, channels=3), ConvLayer("z", torch.zeros(9, 1, 3)))
    table = cwda.describe(net).table
    for name, condition in cwda.conditions.CONDITIONS.items():
        np.testing.assert_allclose(
            table[f"effect_{name}"], condition(net).table["effect"], rtol=1e-12
        )


def test_weights_beyond_the_squares_of_float64_lose_no_table():
    layer = simulated.layer(n=16)
    large = cwda.ConvLayer("large", layer.weight.double() * 1e160)
    net = simulated.network(layer, large)
    table = cwda.describe(net).table
    assert table["layer"].tolist() == [layer.name, "large"]
    assert table["effect_mean"].iloc[0] == pytest.approx(table["effect_mean"].iloc[1])
    assert np.isinf(cwda.conditions.block_covariance(large).diagonal).all()
