"""What is said of many networks, against plain loops, statsmodels and known truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

import cwda
from cwda.conditions.reference import PROBABILITIES
from cwda.population import (
    effect_quantiles,
    generality,
    make_reference,
    mixed_models,
    prediction_accuracy,
    standings,
    verdict_shares,
    write_tables,
)
from cwda.population.clusters import Sample
from cwda.population.shares import TOGETHER
from tests.helpers.small_surveys import survey

SURVEY = survey()


def test_networks_count_alike_whatever_their_depth():
    """One network of 6 layers with effect 1 and two of one layer with effects 2 and 3."""
    small = survey(families=3, networks=1)
    rows = small.conditions[small.conditions["condition"] == "mean"]
    kept = rows[(rows["hash"] == "0-0") | (rows["layer"] == "conv3")]
    small.conditions = kept.assign(
        effect=kept["hash"].map({"0-0": 1.0, "1-0": 2.0, "2-0": 3.0}), verdict="holds"
    )
    (row,) = effect_quantiles(small)
    assert (row.median, row.networks, row.layers) == (2.0, 3, 8)
    assert (row.q25, row.q75) == (1.0, 3.0)


def test_a_duplicate_counts_once():
    assert {row.networks for row in effect_quantiles(SURVEY)} == {12}
    (together,) = [
        row for row in verdict_shares(SURVEY)
        if (row.condition, row.unit) == (TOGETHER, "networks")
    ]  # fmt: skip
    assert (together.networks, together.families, together.judged) == (12, 4, 12)


def test_shares_are_those_of_a_loop():
    found = {(row.condition, row.unit): row for row in verdict_shares(SURVEY)}
    rows = SURVEY.conditions
    for verdict in ("holds", "fails"):
        of_networks = []
        for key in SURVEY.networks["hash"].unique()[:-1]:
            own = rows[(rows["hash"] == key) & (rows["condition"] == "epsilon")]
            of_networks.append(np.mean([each == verdict for each in own["verdict"]]))
        share = getattr(found["epsilon", "layers"], verdict)
        assert share == pytest.approx(np.mean(of_networks))
    whole = SURVEY.network_conditions
    fails = {key for key, v in zip(whole["hash"], whole["verdict"], strict=True) if v == "fails"}
    assert found[TOGETHER, "networks"].fails == pytest.approx(len(fails) / 12)
    by_family = [np.mean([f"{f}-{n}" in fails for n in range(3)]) for f in range(4)]
    assert found[TOGETHER, "families"].fails == pytest.approx(np.mean(by_family))


@pytest.mark.parametrize("by", ["family", "task", "depth", "width", "kernel", "groups"])
def test_groups_share_out_the_layers(by):
    for function in (effect_quantiles, verdict_shares, prediction_accuracy):
        table = function(SURVEY, by).table
        if "unit" in table:
            table = table[(table["unit"] == "layers") & (table["condition"] == "epsilon")]
        elif "condition" in table:
            table = table[table["condition"] == "epsilon"]
        counted = table["judged"] if "judged" in table else table["layers"]
        assert counted.sum() == 72
        assert set(table["by"]) == {by}


def terms_of(tables, condition):
    return {row.term: row for row in mixed_models(tables) if row.condition == condition}


def design_of(tables, condition, margin):
    """Rows of a condition with response and terms, by the formulas of the documentation."""
    rows = tables.conditions[tables.conditions["condition"] == condition]
    rows = rows.merge(tables.layers, on=["hash", "layer"])
    rows = rows.merge(tables.networks.drop_duplicates("hash"), on="hash")
    return rows.assign(
        y=np.arcsinh(rows["effect"] / margin),
        width=np.log2(rows["n_filters"]), point=(rows["kernel"] == "1x1").astype(float),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning")
def test_the_mixed_model_is_that_of_the_formula():
    """The same model written with `smf.mixedlm`, of statsmodels."""
    large = survey(families=6, networks=4, layers=10, slope=0.8)
    found = terms_of(large, "epsilon")
    rows = design_of(large, "epsilon", 0.3)
    middle = {f"m_{name}": rows[name] - rows[name].mean() for name in ("depth", "width", "point")}
    fit = smf.mixedlm(
        "y ~ depth + width + point", rows.assign(**middle), groups="family", re_formula="1",
        vc_formula={
            "network": "0 + C(hash)", "slope": "0 + C(hash):m_depth",
            "depth": "0 + m_depth", "width": "0 + m_width", "point": "0 + m_point",
        },
    ).fit(method="lbfgs")  # fmt: skip
    for term, name in (("depth", "depth"), ("width", "width"), ("kernel 1x1", "point")):
        assert found[term].estimate == pytest.approx(fit.params[name], abs=2e-3)
        assert not found[term].reason
    assert found["kernel other"].reason == "all layers are alike in this"
    assert found["depth"].layer_sd == pytest.approx(math.sqrt(fit.scale), abs=2e-3)


def test_intervals_of_alike_families_are_students_over_their_slopes():
    """Of families with the same layers: scipy's t interval of their least squares slopes."""
    alike = survey(families=7, networks=2, layers=9)
    found = terms_of(alike, "epsilon")
    slopes = []
    for _, rows in design_of(alike, "epsilon", 0.3).groupby("family"):
        terms = rows[["depth", "width", "point"]].to_numpy()
        fixed = np.column_stack([np.ones(len(rows)), terms])
        slopes.append(np.linalg.lstsq(fixed, rows["y"].to_numpy(), rcond=None)[0][1:])
    for term, own in zip(("depth", "width", "kernel 1x1"), np.transpose(slopes), strict=True):
        test = stats.ttest_1samp(own, 0)
        limits = test.confidence_interval(0.95)
        assert found[term].estimate == pytest.approx(own.mean(), abs=1e-6)
        assert (found[term].low, found[term].high) == pytest.approx((limits.low, limits.high))
        assert found[term].pvalue == pytest.approx(test.pvalue)
        assert found[term].freedom == pytest.approx(6)


def test_what_families_cannot_tell_is_missing_with_its_reason():
    one = terms_of(survey(families=1, networks=6), "epsilon")["depth"]
    assert (one.over, one.families) == ("networks", 1)
    assert math.isnan(one.family_sd)
    assert one.missing == "no two families are known"
    single = terms_of(survey(families=9, networks=1, seed=1), "epsilon")["depth"]
    assert math.isnan(single.family_sd)
    assert math.isnan(single.network_sd)
    assert single.missing == "no family has two networks, so that the two are one"
    assert single.low < single.estimate < single.high


def test_terms_that_are_one_have_no_estimate_and_others_keep_theirs():
    wide = survey(families=6, networks=2)
    wide.layers["n_filters"] = np.where(wide.layers["kernel"] == "1x1", 64, 16)
    found = terms_of(wide, "epsilon")
    assert found["width"].reason == "cannot be told apart from kernel 1x1 in these layers"
    assert found["kernel 1x1"].reason == "cannot be told apart from width in these layers"
    assert found["depth"].low < found["depth"].estimate < found["depth"].high


def test_kernels_are_compared_with_the_commonest():
    long = survey(families=6, networks=2)
    long.layers["kernel"] = long.layers["kernel"].replace("3x3", "9")
    found = terms_of(long, "epsilon")
    assert [*found] == ["depth", "width", "kernel 1x1", "kernel 3x3"]
    assert found["kernel 1x1"].meaning == (
        "a kernel of one position, compared with those of neither 1x1 nor 3x3"
    )
    assert found["kernel 1x1"].low < found["kernel 1x1"].high
    assert found["kernel 3x3"].reason == "all layers are alike in this"


def test_a_kernel_of_one_family_alone_says_nothing_of_others():
    rare = survey(families=6, networks=2)
    place = rare.layers["hash"].str.startswith("0-") & (rare.layers["layer"] == "conv1")
    rare.layers.loc[place, "kernel"] = "5x5"
    found = terms_of(rare, "epsilon")
    assert found["kernel other"].reason == "one family alone tells this"
    assert found["depth"].low < found["depth"].high


def test_a_known_slope_is_found():
    """Effects of half a margin or more times exp(0.8 depth): nearly .8 on the scale of asinh."""
    large = survey(families=12, networks=3, layers=10, slope=1.5, spread=(0.3, 0.2, 0.3))
    found = {(row.condition, row.term): row for row in mixed_models(large)}
    depth, width = found["epsilon", "depth"], found["epsilon", "width"]
    assert depth.low > 0.5
    assert depth.high < 1.5
    assert width.low < 0 < width.high
    assert found["distinctness", "depth"].reason == "the effect is the same in 100 % of the layers"


def test_few_networks_have_the_reason():
    found = mixed_models(survey(families=1, networks=2))
    reasons = {row.reason for row in found if row.condition == "mean"}
    assert reasons == {"5 networks are needed, not 2"}
    assert found.table["estimate"].isna().all()


def test_networks_are_in_the_order_of_their_excess():
    found = standings(SURVEY)
    whole = SURVEY.network_conditions
    for row in found:
        own = whole[whole["hash"] == row.hash]
        margins = own["effect"] / own["margin"]
        assert row.excess == pytest.approx(margins.median())
        assert row.worst_excess == pytest.approx(margins.max())
        assert row.fails == (own["verdict"] == "fails").sum()
    excesses = [row.excess for row in found]
    assert excesses == sorted(excesses)
    assert found.rows[0].network in found.title()


def test_predictions_are_measured_as_in_a_loop():
    (row,) = prediction_accuracy(SURVEY)
    pairs = SURVEY.similarity
    errors = pairs["predicted"] - pairs["measured"]  # all networks have as many layers
    assert row.pair == "l1 and l2"
    assert row.mae == pytest.approx(errors.abs().mean())
    assert row.bias == pytest.approx(errors.mean())
    assert row.coverage == pytest.approx((errors.abs() <= 0.04).mean())
    assert row.mae_low < row.mae < row.mae_high


@pytest.mark.parametrize(
    ("level_of_effects", "opening"),
    [
        (-3.0, "CWDA is general in these networks"),
        (3.0, "CWDA is not general in these networks"),
        (0.3, "Whether CWDA is general cannot be told"),
    ],
)
def test_the_answer_says_what_the_interval_does(level_of_effects, opening):
    many = survey(families=12, slope=level_of_effects, layers=2)
    told = generality(many)
    assert told.startswith(opening)
    assert "36 networks of 12 families" in told


def test_networks_of_unknown_family_or_of_few_are_not_judged():
    """Eight checkpoints of one training are not eight networks."""
    epochs = survey(families=1, networks=8, slope=3.0, layers=2)
    opening = "Whether CWDA is general is not judged (5 families are needed), 8 networks of one"
    assert generality(epochs).startswith(opening)
    unlabelled = survey(families=6, slope=3.0, layers=2)
    unlabelled.networks["family"] = ""
    told = generality(unlabelled)
    opening = "Whether CWDA is general is not judged (too many networks without a family), 18"
    assert told.startswith(opening)
    assert "Intervals take these networks for independent" in told
    for function in (effect_quantiles, verdict_shares, prediction_accuracy):
        row = function(unlabelled).rows[0]
        assert (row.families, row.unlabelled, row.over) == (0, 18, "networks")
    some = survey(families=12, slope=3.0, layers=2)
    some.networks.loc[some.networks["hash"].str.startswith("0-"), "family"] = ""
    assert generality(some).startswith("CWDA is not general in these networks, 36 networks, 3 with")
    row = verdict_shares(some).rows[0]
    assert (row.families, row.unlabelled, row.over) == (11, 3, "families")


def test_a_reference_has_the_quantiles_of_its_groups():
    reference = make_reference(SURVEY)
    groups = {(row.condition, row.width, row.kernel): row for row in reference}
    every, narrow = groups["mean", "any", "any"], groups["mean", "17 to 32", "3x3"]
    assert (reference.surveyed, reference.families) == (12, 4)
    assert (every.networks, every.layers) == (12, 71)
    places = SURVEY.layers[SURVEY.layers["n_filters"] == 32]
    rows = SURVEY.conditions.merge(places, on=["hash", "layer"])
    effects = rows.loc[rows["condition"] == "mean", "effect"].to_numpy()
    assert narrow.layers == len(effects)
    middle = np.quantile(effects, 0.5, method="inverted_cdf")
    assert narrow.quantiles["q50"] == middle
    assert narrow.below(middle)[0] == pytest.approx(0.5)
    assert narrow.below(effects.min()) == (0, 0)
    share, low = narrow.below(effects.max() + 1)
    assert share == 1
    assert narrow.families == 4
    lows = [*narrow.lows.values()]
    assert lows == sorted(lows)
    assert low == lows[-1] < 1
    assert all(each <= p for each, p in zip(lows, PROBABILITIES, strict=True))
    clusters = rows.loc[rows["condition"] == "mean", "hash"].str[0]
    weights = 1 / rows[rows["condition"] == "mean"].groupby("hash")["layer"].transform("size")
    below = Sample.of(weights, clusters, 0.95).share(effects <= middle)
    assert narrow.lows["low50"] >= 0.5 - (below.value - below.low)


def test_a_reference_without_a_family_is_that_of_the_other_networks():
    large = survey(families=5, networks=3)
    others = survey(families=5, networks=3)
    others.networks = others.networks[others.networks["family"] != "family 2"]
    left = make_reference(large, without="family 2")
    assert left.table.equals(make_reference(others).table)
    assert (left.surveyed, left.families) == (12, 4)
    with pytest.raises(cwda.CwdaError, match="did you mean 'family 2'"):
        make_reference(large, without="famly 2")


def test_copies_of_one_training_run_make_no_group():
    """Ten networks of two families, which may be steps of two runs, say nothing of a kernel."""
    near = survey(families=5, networks=6)
    long = near.layers["hash"].str.startswith(("0-", "1-")) & (near.layers["layer"] == "conv0")
    near.layers.loc[long, "kernel"] = "1x7"
    groups = {(row.family, row.kernel): row.networks for row in make_reference(near)}
    assert groups["any", "3x3"] == 30
    assert ("any", "along one axis") not in groups
    near.networks["family"] = ""  # where nothing is known of families, all are one
    groups = {(row.family, row.kernel): row.networks for row in make_reference(near)}
    assert ("any", "along one axis") in groups


def test_tables_are_written_with_all_groupings(tmp_path):
    paths = write_tables(SURVEY, tmp_path / "new")
    effects = pd.read_csv(tmp_path / "new" / "effects.csv")
    assert [path.name for path in paths] == [
        "effects.csv", "verdicts.csv", "predictions.csv", "terms.csv", "networks.csv"
    ]  # fmt: skip
    own = effects[effects["by"] == "all"].set_index("condition")["median"]
    for row in effect_quantiles(SURVEY):
        assert own[row.condition] == pytest.approx(row.median, rel=1e-5)
    assert {*effects["by"]} == {"all", "family", "task", "depth", "width", "kernel", "groups"}


def test_no_survey_and_an_empty_one_are_refused_in_one_line():
    with pytest.raises(cwda.CwdaError, match=r"^a survey is needed, such as cwda.read_survey"):
        effect_quantiles(3)
    bare = survey()
    bare.layers = bare.layers.drop(columns="depth")
    with pytest.raises(cwda.CwdaError, match="table layers of this survey has no column 'depth'"):
        verdict_shares(bare)
    empty = survey()
    empty.conditions = empty.conditions[:0]
    with pytest.raises(cwda.CwdaError, match="no network of this survey could be analysed"):
        generality(empty)
    with pytest.raises(cwda.CwdaError, match="did you mean 'family'"):
        effect_quantiles(SURVEY, "familly")
