"""The network as a whole: means, intervals, counts, sentences."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from statsmodels.stats.meta_analysis import combine_effects

import cwda
from cwda.conditions import CONDITIONS, Measurement, NetworkResult
from cwda.conditions.averaging import DISTANCES, LOGARITHMS, SHARES, SIGNED_SQUARES, SQUARES
from cwda.conditions.results import ConditionResult, decide
from cwda.conditions.whole.expected import _tables, expected_counts
from cwda.conditions.whole.heterogeneity import between_layers, inconsistency, random_effects
from cwda.conditions.whole.likeness import DIVIDE, Likeness, Parts, likeness, parts
from cwda.conditions.whole.pooled import LayerEffects, pool
from cwda.conditions.whole.sentences import Extent, _by_test, sentences
from cwda.conditions.whole.untrained import untrained_pvalue
from tests.helpers.adjusting import multipletests

from . import simulated

Z = 1.6448536269514722  # scipy.stats.norm.ppf(.95)


def row(theta, error, weights=100, verdict="inconclusive", **facts):
    facts = {"condition": "mean", "margin": 0.5, **facts}
    effect = math.sqrt(max(theta, 0))
    limits = {"effect_low": 0.0, "effect_high": 9.0, "effect": effect}
    numbers = {"theta": theta, "theta_se": error, "verdict": verdict, **limits, **facts}
    return ConditionResult(
        network="net", layer="l", n_filters=16, dim=9, n_weights=weights, method="", **numbers
    )


def layers(rows, averaging=SQUARES):
    total = sum(one.n_weights for one in rows)
    columns = zip(*((one.theta, one.theta_se, one.n_weights / total) for one in rows), strict=True)
    return LayerEffects(*columns, averaging)


def test_the_mean_over_the_weights_by_hand():
    rows = [row(0.04, 0.01, 100), row(0.16, 0.02, 300), row(-0.02, 0.03, 100)]
    found = pool(rows, layers(rows), 0.90)
    theta = 0.2 * 0.04 + 0.6 * 0.16 - 0.2 * 0.02
    error = math.sqrt((0.2 * 0.01) ** 2 + (0.6 * 0.02) ** 2 + (0.2 * 0.03) ** 2)
    assert found.theta == pytest.approx(theta, rel=1e-12)
    assert found.error == pytest.approx(error, rel=1e-12)
    assert found.effect == pytest.approx(math.sqrt(theta), rel=1e-12)
    assert found.low == pytest.approx(math.sqrt(theta - Z * error), rel=1e-12)
    assert found.high == pytest.approx(math.sqrt(theta + Z * error), rel=1e-12)
    assert found.verdict == "holds"


def test_a_negative_mean_never_fails_and_does_not_hold_by_itself():
    rows = [row(-0.04, 0.01), row(-0.06, 0.01)]
    found = pool(rows, layers(rows), 0.90)
    assert (found.effect, found.low) == (0, 0)
    assert found.high == pytest.approx(math.sqrt(Z * math.sqrt(0.5) * 0.01))  # from 0, not -.05
    wide = [row(-0.04, 1.0, margin=0.1), row(-0.06, 1.0, margin=0.1)]
    assert pool(wide, layers(wide), 0.90).verdict == "inconclusive"


def test_one_layer_keeps_its_effect_interval_and_verdict():
    rows = [row(0.3, 0.1, verdict="fails", effect=0.55, effect_low=0.52, effect_high=0.6)]
    found = pool(rows, layers(rows), 0.90)
    assert (found.effect, found.low, found.high) == (0.55, 0.52, 0.6)
    assert found.verdict == "fails"


def test_shares_lie_between_0_and_1():
    rows = [row(0.1, 2.0), row(0.9, 3.0), row(0.5, 1.0)]
    found = pool(rows, layers(rows, SHARES), 0.90)
    assert (found.low, found.high) == (0, 1)
    found = random_effects("net", "distinctness", layers(rows, SHARES), 0.90)
    assert (found.prediction_low, found.prediction_high) == (0, 1)
    assert CONDITIONS["distinctness"].averaging is SHARES
    assert (DISTANCES.least, DISTANCES.most) == (SHARES.least, SHARES.most)


def test_gaussianity_of_many_small_normal_layers_does_not_fail():
    """Noise inflates the distance of each layer beyond the margin, and of their mean as well."""
    generator = torch.Generator().manual_seed(0)
    weights = {f"{i}.weight": torch.randn(8, 1, 3, 3, generator=generator) for i in range(20)}
    found = cwda.check(cwda.load(weights, name="net"), ["gaussianity"]).network.rows[0]
    assert found.effect > found.margin
    assert found.verdict == "inconclusive"
    assert found.effect_low < 0.02


def test_gaussianity_of_many_uniform_layers_fails():
    generator = torch.Generator().manual_seed(0)
    weights = {f"{i}.weight": torch.rand(64, 16, 3, 3, generator=generator) for i in range(6)}
    found = cwda.check(cwda.load(weights, name="net"), ["gaussianity"]).network.rows[0]
    assert found.verdict == "fails"


def test_a_further_question_has_the_answer_of_most_weights():
    holds = {"effect_high": 0.2}
    rows = [row(0.01, 0.001, 60, "fails", **holds), row(0.01, 0.001, 40, "holds", **holds)]
    assert pool(rows, layers(rows), 0.90).verdict == "fails"
    rows = [row(0.01, 0.001, 40, "fails", **holds), row(0.01, 0.001, 60, "holds", **holds)]
    assert pool(rows, layers(rows), 0.90).verdict == "holds"
    rows = [row(0.01, 0.001, 40, "fails", **holds), row(0.01, 0.001, 60, "inconclusive", **holds)]
    assert pool(rows, layers(rows), 0.90).verdict == "inconclusive"


def test_other_scales():
    rows = [row(math.log(1.5), 0.1), row(math.log(6), 0.1)]
    assert pool(rows, layers(rows, LOGARITHMS), 0.9).effect == pytest.approx(3)
    rows = [row(-0.04, 0.01), row(-0.04, 0.01)]
    found = pool(rows, layers(rows, SIGNED_SQUARES), 0.9)
    assert found.effect == pytest.approx(-0.2)
    assert found.low < found.effect < found.high < 0


def test_random_effects_are_those_of_statsmodels():
    theta, error = np.array([0.1, 0.3, 0.25, 0.6, 0.05]), np.array([0.05, 0.1, 0.03, 0.2, 0.04])
    rows = [row(*pair) for pair in zip(theta, error, strict=True)]
    found = random_effects("net", "mean", layers(rows), 0.90)
    expected = combine_effects(theta, error**2, method_re="iterated", use_t=True)
    low, high = expected.conf_int(alpha=0.1)[3]  # of random effects, Hartung and Knapp
    assert found.random_effect**2 == pytest.approx(expected.mean_effect_re, rel=1e-4)
    assert found.random_low == pytest.approx(math.sqrt(max(low, 0)), rel=1e-4)
    assert found.random_high == pytest.approx(math.sqrt(high), rel=1e-4)
    assert found.tau**2 == pytest.approx(between_layers(theta, error**2), rel=1e-4)
    assert inconsistency(theta, error**2) == pytest.approx(expected.i2, rel=1e-12)
    wide = 2.353363434801823 * math.sqrt(found.tau**2 + expected.sd_eff_w_re_hksj**2)
    mean = expected.mean_effect_re  # t of 3 degrees of freedom above, scipy.stats.t.ppf(.95, 3)
    assert found.prediction_high == pytest.approx(math.sqrt(mean + wide), rel=1e-4)
    assert found.prediction_low == 0


def test_layers_without_difference_or_error():
    equal = np.full(4, 0.2)
    assert between_layers(equal, np.full(4, 0.01)) == 0
    assert between_layers(np.array([0.0, 2.0]), np.zeros(2)) == 2
    assert math.isnan(between_layers(np.array([1.0]), np.array([1.0])))
    alike = random_effects("net", "distinctness", layers([row(0, 0.1)] * 3, SHARES), 0.9)
    limits = alike.random_low, alike.random_high, alike.prediction_low, alike.prediction_high
    assert (alike.random_effect, alike.tau) == (0, 0)
    assert all(map(math.isnan, limits))
    rows = [row(0.2, math.nan), row(0.3, 0.1)]
    assert math.isnan(random_effects("net", "mean", layers(rows), 0.9).tau)
    found = pool(rows, layers(rows), 0.9)
    assert found.verdict == "inconclusive"
    assert math.isnan(found.high)


@pytest.fixture(scope="module")
def checked():
    first = simulated.network(
        simulated.layer(n=32, channels=8, name="a"), simulated.layer(n=16, seed=3, name="b")
    )
    other = cwda.load({"lone.weight": torch.zeros(16, 4, 3, 3)}, name="flat")
    return cwda.check([first, other], progress=False)


def test_the_table_and_its_sentences(checked, tmp_path):
    whole = checked.network
    assert len(whole) == 2 * len(CONDITIONS)
    table = whole.table.set_index(["network", "condition"])
    flat = table.loc["flat"]
    assert (flat["layers"] == 0).all()
    assert (flat["verdict"] == "not applicable").all()
    [flat_sentence] = whole.verdicts[1].sentences
    assert flat_sentence.startswith("flat: no condition can be judged in any layer (in 1 layer: ")
    assert whole.verdicts[1].distinguishable is None
    for row_ in whole:
        parts = (row_.holds, row_.fails, row_.inconclusive, row_.not_applicable)
        expected = (row_.expected_holds, row_.expected_fails, row_.expected_inconclusive)
        assert sum(parts[:3]) == row_.layers
        assert math.isnan(expected[0]) or sum(expected) == pytest.approx(row_.layers)
    assert repr(checked).startswith("\n".join(whole.verdicts[0].sentences))
    assert flat_sentence in checked._repr_html_()
    whole.save(tmp_path / "whole.json")
    back = NetworkResult.load(tmp_path / "whole.json")
    pd.testing.assert_frame_equal(back.table, whole.table)
    pd.testing.assert_frame_equal(back.random_effects(), whole.random_effects())
    checked.save(tmp_path / "check.json")
    loaded = cwda.conditions.CheckResult.load(tmp_path / "check.json")
    pd.testing.assert_frame_equal(loaded.network.table, whole.table)
    assert loaded.network.verdicts == whole.verdicts


def test_a_condition_of_ones_own_averages_its_effects():
    @cwda.condition(margin=0.5, null="x", effect="y", method="z")
    def share(work):
        effect = {"a": 0.2, "b": 0.4}[work.layer.name]
        return Measurement(effect=effect, low=effect - 0.1, high=effect + 0.1)

    try:
        net = simulated.network(
            simulated.layer(n=16, name="a"), simulated.layer(n=48, seed=1, name="b")
        )
        result = cwda.check(net, [share], progress=False)
        [found] = result.network
        assert found.effect == pytest.approx(0.25 * 0.2 + 0.75 * 0.4)
        reach = math.sqrt(0.25**2 + 0.75**2) * 0.1
        assert found.effect_low == pytest.approx(found.effect - reach)
        assert found.verdict == "holds"
        assert math.isnan(found.expected_holds)
        assert result.network.verdicts[0].sentences[0].startswith("Share holds for")
    finally:
        CONDITIONS.forget("share")
    again = replace(result)  # as if loaded where the condition is not known
    assert again.network.rows[0].effect == pytest.approx(found.effect)


def test_expected_counts_are_looked_up_and_interpolated():
    cells = _tables()["variance", CONDITIONS["variance"].margin][9]
    inside = cells.at(32, 16)
    assert (inside == cells.shares[cells.filters.index(32), cells.channels.index(16)]).all()
    between = cells.at(23, 16)  # nearly halfway between 16 and 32 on a logarithmic scale
    low, high = sorted([cells.at(16, 16)[0], cells.at(32, 16)[0]])
    assert low <= between[0] <= high
    assert (cells.at(10**6, 16) == cells.at(max(cells.filters), 16)).all()
    one = row(0.0, 0.1, condition="variance", margin=CONDITIONS["variance"].margin)
    assert expected_counts([one], {"l": (16, 9)}, 0.90)[0] == pytest.approx(cells.at(16, 16)[0])
    assert all(map(math.isnan, expected_counts([one], {"l": (16, 9)}, 0.95)))
    for other in (replace(one, margin=0.7), replace(one, scale="unit")):
        assert all(map(math.isnan, expected_counts([other], {"l": (16, 9)}, 0.90)))


def test_the_better_of_two_laws_counts():
    others = [row(0, 1, pvalue=p) for p in (0.02, 0.5, math.nan)]
    marginals = [row(0, 1, pvalue=1e-9, details={"uniform_pvalue": p}) for p in (0.4, 0.9)]
    adjusted = multipletests([2 * 0.02, 2 * 0.4], method="holm")[1]
    assert untrained_pvalue([others, marginals]) == pytest.approx(adjusted.min())
    normal = [replace(one, details={"uniform_pvalue": 0.0}) for one in marginals]
    assert untrained_pvalue([others, normal]) == pytest.approx(2 * 2e-9)
    only_normal = [replace(one, details={"uniform_pvalue": math.nan}) for one in marginals]
    assert untrained_pvalue([others, only_normal]) == pytest.approx(0.04)
    assert math.isnan(untrained_pvalue([[row(0, 1)]]))


def test_the_sentence_names_what_breaks_it_worst_first():
    result = cwda.check("resnet20-cifar10", progress=False)
    [told] = result.network.verdicts
    assert told.verdict == "fails"
    assert told.distinguishable
    assert len(told.sentences) == 3
    assert "Judged over all 267,696 weights in 19 layers" in told.sentences[1]
    assert "like a trained network's" in told.sentences[2]
    broken = [one for one in result.network if one.verdict == "fails"]
    worst = max(broken, key=lambda one: one.effect / one.margin).condition
    assert told.conditions.startswith(worst)
    places = [told.sentences[0].index(name) for name in told.conditions.split(", ")]
    assert places == sorted(places)


def test_the_sentence_tells_what_was_not_judged():
    net = cwda.load(
        {
            "a.weight": simulated.layer(n=32, channels=16).weight,
            "b.weight": torch.full((8, 32, 3, 3), math.nan),
        },
        name="net",
    )
    [told] = cwda.check(net, ["mean", "epsilon"], progress=False).network.verdicts
    assert "over 4,608 of 6,912 weights, in 1 of 2 layers" in told.sentences[1]
    assert told.sentences[0].startswith("In the layers that can be judged (67 % of the weights), ")
    whole = cwda.check(net["a"], ["mean", "homogeneity"], scale="unit", progress=False).network
    said = whole.verdicts[0].sentences[1]
    assert said == "Judged over all 4,608 weights in 1 layer; not judged: homogeneity."


@pytest.mark.parametrize("verdict", ["holds", "fails", "inconclusive"])
def test_the_sentence_names_conditions_that_judge_fewer_weights(checked, verdict):
    rows = [replace(one, verdict=verdict, weights=0.9) for one in checked.network.rows[:8]]
    rows[4] = replace(rows[4], weights=0.45)
    rows[6] = replace(rows[6], weights=0.0, verdict="not applicable")
    told = sentences("net", rows, Extent(900, 3), Extent(1000, 4), UNKNOWN, Parts(), math.nan)
    assert "over 900 of 1,000 weights, in 3 of 4 layers" in told[1]
    assert told[1].endswith("; over fewer: epsilon 45 %; not judged: homogeneity.")
    if verdict == "holds":
        assert told[0].startswith("What was tested of CWDA holds for net")


def test_what_fails_within_its_margin_is_told_by_its_note_alone():
    generator = torch.Generator().manual_seed(0)
    filters = torch.linalg.qr(torch.randn(144, 64, generator=generator)).Q.T.reshape(64, 16, 3, 3)
    whole = cwda.check(cwda.load({"a.weight": filters}, name="net"), ["homogeneity"]).network
    assert whole.rows[0].verdict == "fails"
    said = whole.verdicts[0].sentences[0]
    assert "homogeneity (norms less variable than CWDA allows: in layer a their variance" in said
    assert said.endswith("where .500 is the least).")


def test_an_open_further_question_is_told_by_its_numbers_and_not_by_the_interval():
    """As of layers that are as initialised by default: the weights are uniform."""
    generator = torch.Generator().manual_seed(0)
    made = [torch.rand(n, 128, 1, 1, generator=generator) - 0.5 for n in (32, 64)]
    state = dict(zip(["a.weight", "b.weight"], made, strict=True))
    net = cwda.load(state, name="net")
    whole = cwda.check(net, ["homogeneity", "mean"], progress=False).network
    row = whole.rows[1]
    assert (row.verdict, decide(row.effect_low, row.effect_high, row.margin)) == (
        "inconclusive",
        "holds",
    )
    answer = whole.verdicts[0].sentences[0]
    told = "homogeneity (norms perhaps less variable than CWDA allows: in layer b, the"
    assert told in answer
    assert "is not settled" in answer
    assert "beyond the margin" not in answer
    failing = [replace(whole.rows[0], verdict="fails", effect=1.0, effect_low=0.9), row]
    one = Extent(900, 3)
    assert told in sentences("net", failing, one, one, UNKNOWN, Parts(), math.nan)[1]


def test_a_further_question_of_a_condition_of_ones_own_is_named():
    layer = simulated.layer()
    facts = {"network": "n", "condition": "c", "margin": 0.1, "method": ""}
    blank = ConditionResult.not_applicable(layer, "", **facts)
    found = blank.measured(Measurement(effect=0.0, low=0.0, high=0.05, further="inconclusive"), 0.9)
    assert (found.verdict, found.note) == (
        "inconclusive",
        "a further question of the condition is open",
    )


def test_near_dead_filters_are_named_as_the_cause():
    weight = simulated.layer(n=64, channels=16).weight.clone()
    weight[:20] *= 1e-4
    whole = cwda.check(cwda.load({"a.weight": weight}, name="net"), ["homogeneity"]).network
    said = whole.verdicts[0].sentences[0]
    assert "; some filters are near-dead: in layer a 20 of 64 filters: remove these first)" in said


def test_layers_with_nan_are_named_in_the_first_sentences():
    bad = simulated.layer(n=32, channels=16).weight.clone()
    bad[0, 0, 0, 0] = math.nan
    net = cwda.load({"a.weight": simulated.layer(n=32, channels=16).weight, "b.weight": bad})
    said = cwda.check(net, ["mean"], progress=False).network.verdicts[0].sentences[1]
    assert said.startswith("Not judged: layer b, in which 1 of 4,608 weights are NaN or infinite.")


#: Of a network whose weights were not compared.
UNKNOWN = Likeness("not applicable", math.nan, math.nan, math.nan, ())


def effect(condition, theta, theta_se=0.0, margin=0.5, layers=3):
    return SimpleNamespace(
        condition=condition, theta=theta, theta_se=theta_se, margin=margin, layers=layers
    )


def test_likeness_is_the_root_mean_square_of_effects_over_margins():
    two = [effect("mean", 0.04, 0.003, margin=0.1), effect("epsilon", -0.01, 0.02)]
    found = likeness([*two, effect("homogeneity", 9.0), effect("variance", 9.0, layers=0)], 0.90)
    square = (0.04 / 0.01 - 0.01 / 0.25) / 2
    reach = 1.6448536 * math.sqrt((0.003 / 0.01) ** 2 + (0.02 / 0.25) ** 2) / 2
    assert found.structure == pytest.approx(math.sqrt(square))
    assert (found.low, found.high) == pytest.approx(
        (math.sqrt(square - reach), math.sqrt(square + reach))
    )
    assert (found.like, found.conditions) == ("trained", ("mean", "epsilon"))
    assert likeness(two[:1], 0.90).like == "not applicable"
    none = [effect(name, -0.5) for name in ("mean", "epsilon")]
    assert (likeness(none, 0.90).like, likeness(none, 0.90).structure) == ("untrained", 0.0)
    noisy = [effect(name, 0.0, 0.5 * DIVIDE) for name in ("mean", "epsilon")]
    assert likeness(noisy, 0.90).like == "open"


@pytest.mark.parametrize("law", ["normal", "uniform", "orthogonal"])
def test_initialised_weights_are_like_an_untrained_network(law):
    generator = torch.Generator().manual_seed(0)
    weights = {f"{at}.weight": torch.empty(64, 32, 3, 3) for at in range(4)}
    for weight in weights.values():
        {
            "normal": torch.nn.init.normal_,
            "uniform": torch.nn.init.kaiming_uniform_,
            "orthogonal": torch.nn.init.orthogonal_,
        }[law](weight, generator=generator)
    [told] = cwda.check(weights, progress=False).network.verdicts
    assert told.like == "untrained"
    assert "like an untrained network's" in told.sentences[-1]
    assert told.structure_low <= told.structure <= told.structure_high <= DIVIDE
    blurred = {
        name: weight + 2 * weight.mean((2, 3), keepdim=True) for name, weight in weights.items()
    }
    [told] = cwda.check(blurred, ["epsilon", "variance"], progress=False).network.verdicts
    assert told.like == "trained"


def test_the_answer_says_what_is_open_and_by_how_much():
    [told] = cwda.check(
        simulated.network(simulated.layer(n=12, channels=4)), progress=False
    ).network.verdicts
    assert told.verdict == "inconclusive"
    assert "is open: no condition fails, but the intervals of" in told.sentences[0]
    whole = cwda.check(simulated.network(simulated.layer(n=256, channels=32)), progress=False)
    [told] = whole.network.verdicts
    assert told.verdict == "holds"
    assert "all 8 conditions do" in told.sentences[0]
    assert "margin" in told.sentences[0]


def test_layers_are_judged_alone_too():
    """One layer decides what a network is like; the shares say that the others are not so."""
    asked = ["mean", "epsilon", "independence"]
    fresh = {f"{at}.weight": simulated.layer(n=64, channels=32, seed=at).weight for at in range(5)}
    blurred = fresh["4.weight"] + 4 * fresh["4.weight"].mean((2, 3), keepdim=True)
    [told] = cwda.check({**fresh, "4.weight": blurred}, asked, progress=False).network.verdicts
    assert told.like == "trained"
    assert (told.untrained_layers, told.trained_layers) == (4, 1)
    assert (told.untrained_weights, told.trained_weights) == pytest.approx((0.8, 0.2))
    assert told.sentences[-1].endswith(
        ", but 4 of 5 layers, with 80 % of the weights, look as before training."
    )
    small = {"5.weight": blurred[:32, :4]}
    [told] = cwda.check({**fresh, **small}, asked, progress=False).network.verdicts
    assert told.like != "trained"
    assert (told.untrained_layers, told.trained_layers) == (5, 1)
    assert "but 1 of 6 layers, with 1 % of the weights, is like trained ones" in told.sentences[-1]
    [told] = cwda.check("resnet20-cifar10", asked, progress=False).network.verdicts
    assert told.untrained_layers == 0
    assert 0.9 < told.trained_weights < 1  # its first layers are small


def test_the_parts_are_those_of_each_layer_by_the_rule_of_the_whole():
    rows = [
        replace(row(theta, 0.001, weights, condition=name), layer=layer)
        for layer, (theta, weights) in {"a": (0.0, 30), "b": (1.0, 10)}.items()
        for name in ("mean", "epsilon")
    ]
    found = parts([rows[::2], rows[1::2]], 0.90)
    assert (found.layers, found.untrained_layers, found.trained_layers) == (2, 1, 1)
    assert (found.untrained_weights, found.trained_weights) == (0.75, 0.25)
    assert parts([rows[:1]], 0.90) == Parts()


@pytest.mark.parametrize(
    ("pvalue", "words"),
    [
        (0.3, "cannot be told from independent normal or uniform weights (p = .300)"),
        (0.044, "can barely be told from independent normal or uniform weights (p = .044)"),
        (0.009, "can be told from independent normal or uniform weights (p = .009)"),
        (0.0, "can be told from independent normal or uniform weights (p < 1e-300)"),
    ],
)
def test_a_p_value_near_its_limit_is_not_told_as_a_finding(pvalue, words):
    assert _by_test(pvalue) == words
