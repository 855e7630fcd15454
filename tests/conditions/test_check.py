"""check(): the table, bad layers, margins, adjusted p-values."""

import math

import numpy as np
import pytest
import torch

import cwda
from cwda.answers import columns_of
from cwda.conditions.results import ConditionResult, decide
from cwda.layers import ConvLayer
from tests.helpers.adjusting import multipletests

from . import simulated

DOCUMENTED = [
    *("network", "layer", "condition", "scale", "estimate", "effect", "effect_low"),
    "effect_high",
    *("margin", "statistic", "pvalue", "pvalue_holm", "pvalue_bh", "log10_pvalue", "theta"),
    *("theta_se", "verdict", "note", "percentile", "percentile_low", "comparable"),
    *("n_filters", "dim", "n_weights"),
    *("method", "reason"),
]


def test_columns_are_the_documented_ones():
    table = cwda.check(simulated.network(simulated.layer(n=16))).table
    assert list(table.columns) == DOCUMENTED
    assert list(columns_of(ConditionResult)) == DOCUMENTED
    assert list(table["condition"]) == list(cwda.conditions.CONDITIONS)
    assert table["n_weights"].tolist() == [16 * 72] * len(table)


def bad(name, weight):
    return ConvLayer(name, weight)


def a_nan():
    weight = torch.randn(16, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[2, 1, 0, 0] = math.nan
    return weight


BAD = [
    ("zeros", torch.zeros(16, 4, 3, 3), "all weights are 0"),
    ("constant", torch.full((16, 4, 3, 3), 0.3), "all weights are equal"),
    ("nan", a_nan(), "1 of 576 weights are NaN or infinite"),
    ("infinite", torch.full((16, 4, 3, 3), math.inf), "576 of 576 weights are NaN"),
    ("integers", torch.ones(16, 4, 3, 3, dtype=torch.int8), "int8"),
    ("few", torch.arange(7 * 4 * 9.0).reshape(7, 4, 3, 3), "7 filters; 8 are needed"),
    ("copies", torch.arange(36.0).reshape(1, 4, 3, 3).repeat(16, 1, 1, 1), "filters are equal"),
]


@pytest.mark.parametrize(("name", "weight", "reason"), BAD)
def test_a_bad_layer_becomes_rows_with_its_reason_and_loses_no_other(name, weight, reason):
    net = simulated.network(
        simulated.layer(n=16, name="before"), bad(name, weight), simulated.layer(n=16, name="after")
    )
    table = cwda.check(net).table
    assert len(table) == 3 * len(cwda.conditions.CONDITIONS)
    rows = table[table["layer"] == name]
    assert (rows["verdict"] == "not applicable").all()
    assert rows["reason"].str.contains(reason, regex=False).all()
    assert rows["effect"].isna().all()
    others = table[table["layer"] != name]
    assert (others["verdict"] != "not applicable").all()
    assert (others["reason"] == "").all()


def test_conditions_without_meaning_say_why():
    pointwise = simulated.layer(n=16, channels=8, kernel=(1, 1), name="pointwise")
    depthwise = simulated.layer(n=16, channels=1, kernel=(3, 3), name="depthwise")
    table = cwda.check(simulated.network(pointwise, depthwise)).table
    reasons = table.set_index(["layer", "condition"])["reason"]
    assert "kernel of one position" in reasons["pointwise", "epsilon"]
    assert "one input channel" in reasons["depthwise", "independence"]
    assert "one input channel" in reasons["depthwise", "homogeneity"]
    assert "effective dimension" in reasons["depthwise", "distinctness"]
    assert (table["verdict"] == "not applicable").sum() == 5


@pytest.mark.parametrize("kernel", [(5,), (3, 3, 3), (7, 7), (1, 5)])
def test_kernels_of_any_dimension_are_tested(kernel):
    table = cwda.check(simulated.network(simulated.layer(n=16, channels=8, kernel=kernel))).table
    assert (table["verdict"] != "not applicable").all()


def test_binary_weights_are_tested_without_warning():
    rng = np.random.default_rng(0)
    weight = torch.from_numpy(rng.choice([-1.0, 1.0], (16, 4, 3, 3)))
    table = cwda.check(simulated.network(ConvLayer("binary", weight))).table
    verdicts = table.set_index("condition")["verdict"]
    assert verdicts["variance"] == "holds"
    assert verdicts["gaussianity"] == "fails"


def test_adjusted_pvalues_are_those_of_statsmodels():
    layers = [simulated.layer(n=16, name=f"c{i}", seed=i, mean=0.02 * i) for i in range(6)]
    layers.insert(2, bad("zeros", torch.zeros(16, 4, 3, 3)))
    table = cwda.check(simulated.network(*layers), ["mean", "variance"]).table
    for _, rows in table[table["reason"] == ""].groupby("condition"):
        for column, method in (("pvalue_holm", "holm"), ("pvalue_bh", "fdr_bh")):
            expected = multipletests(rows["pvalue"], method=method)[1]
            np.testing.assert_allclose(rows[column], expected, rtol=1e-12)


def test_networks_are_adjusted_apart_and_keep_their_names():
    net = simulated.network(*(simulated.layer(n=16, name=f"c{i}", seed=i) for i in range(3)))
    alone = cwda.check(net, ["mean"]).table
    twice = cwda.check([net, net], ["mean"]).table
    assert twice["network"].unique().tolist() == ["simulated", "simulated (2)"]
    np.testing.assert_array_equal(twice["pvalue_holm"][:3], alone["pvalue_holm"])
    np.testing.assert_array_equal(twice["pvalue_holm"][3:], alone["pvalue_holm"])


def test_one_condition_alone_gives_the_numbers_of_all():
    net = simulated.network(simulated.layer(n=24, seed=3))
    whole = cwda.check(net).table.set_index("condition")
    for name in cwda.conditions.CONDITIONS:
        alone = cwda.check(net, [name]).table.iloc[0]
        for column in ("effect", "effect_low", "effect_high", "pvalue"):
            assert alone[column] == pytest.approx(whole.loc[name, column], rel=1e-10)


def test_verdict_follows_interval_and_margin():
    assert decide(0.0, 0.1, 0.1) == "holds"
    assert decide(0.1, 0.2, 0.1) == "inconclusive"
    assert decide(0.11, 0.2, 0.1) == "fails"


def test_a_margin_changes_the_verdict_and_is_in_the_table():
    net = simulated.network(simulated.layer(n=64, transform=simulated.correlated_blocks))
    wide = cwda.check(net, ["epsilon"], margins={"epsilon": 0.9}).table.iloc[0]
    narrow = cwda.check(net, ["epsilon"], margins={"epsilon": 0.05}).table.iloc[0]
    assert (wide["verdict"], wide["margin"]) == ("holds", 0.9)
    assert (narrow["verdict"], narrow["margin"]) == ("fails", 0.05)


def test_a_higher_level_widens_the_interval():
    layer = simulated.layer(n=32, transform=simulated.correlated_blocks)
    narrow, wide = (
        cwda.conditions.epsilon(layer, level=0.6),
        cwda.conditions.epsilon(layer, level=0.98),
    )
    assert wide.effect_low < narrow.effect_low < narrow.effect_high < wide.effect_high


def test_summary_counts_layers_and_weights():
    net = simulated.network(
        simulated.layer(n=128, channels=16, name="good"),
        simulated.layer(n=128, channels=16, name="bad", mean=1.0),
        bad("none", torch.zeros(128, 16, 3, 3)),
    )
    row = cwda.check(net, ["mean"]).summary().iloc[0]
    assert (row["holds"], row["fails"], row["not_applicable"]) == (1, 1, 1)
    assert row["weights_hold"] == pytest.approx(1 / 3)


def test_condition_adds_its_own_columns():
    table = cwda.check(simulated.network(simulated.layer(n=16))).condition("homogeneity")
    assert {"tau_squared", "near_dead", "effect_alive"} <= set(table.columns)


def test_notebook_display_escapes_names():
    net = simulated.network(simulated.layer(n=16), name="<b>net</b>")
    shown = cwda.check(net)._repr_html_()
    assert "&lt;b&gt;net" in shown
    assert "<b>net" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"conditions": ["normality"]}, "unknown condition 'normality'"),
        ({"conditions": []}, "no condition given"),
        ({"margins": {"mean": -1.0}}, "margin of mean"),
        ({"margins": {"mean": math.nan}}, "margin of mean"),
        ({"margins": {"means": 1.0}}, "unknown condition 'means'"),
        ({"level": 1.5}, "level"),
        ({"device": "tpu"}, "'tpu' cannot be used"),
    ],
)
def test_impossible_parameters_are_told_in_one_line(arguments, message):
    with pytest.raises(cwda.CwdaError) as caught:
        cwda.check(simulated.network(simulated.layer(n=16)), **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_without_layers_gives_an_empty_table():
    res = cwda.check(simulated.network())
    assert len(res.table) == 0
    assert len(res.summary()) == 0
    assert "0 rows" in repr(res)
