"""Advice on networks that are made so that the answer is known."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import cwda
from cwda.advice import layers
from cwda.advice.agreement import Agreement
from cwda.advice.costs import COSTS, cost_of
from cwda.advice.groups import Found, cluster_rows
from cwda.advice.images import Images
from cwda.advice.layers import Judged
from cwda.advice.result import (
    APART,
    CHOOSE,
    NO_RANKING,
    OTHER,
    RANK,
    UNJUDGED,
    Advice,
    Cluster,
    PairAgreement,
)
from cwda.advice.right import most_right
from cwda.advice.sentences import sentences
from cwda.comparison import LayerValidity, Validity
from cwda.layers import ConvLayer, Network, Provenance
from cwda.scoring import Criterion, collect, criteria, get_criterion

SHAPE = (48, 24, 3, 3)


def network(**scales):
    """Layers of normal filters, filter j of scale exp(s z_j)."""
    generator = torch.Generator().manual_seed(0)

    def layer(name, spread):
        scale = (spread * torch.randn(SHAPE[0], 1, 1, 1, generator=generator)).exp()
        return ConvLayer(name, scale * torch.randn(SHAPE, generator=generator))

    layers = tuple(layer(name, spread) for name, spread in scales.items())
    return Network("made", layers, Provenance("", "array"))


def share_of_the_layer(filters):
    return filters.values.norm(dim=1) / filters.values.norm()


def advice_of(layers):
    return {row.layer: row.advice for row in layers}


@pytest.fixture(scope="module")
def scaled():
    return network(a=0.4, b=0.4, flat=0.0, c=0.4, d=0.5)


@pytest.fixture(scope="module")
def advice(scaled):
    return cwda.advise(scaled, progress=False)


def test_norms_of_scaled_filters_are_one_cluster(advice):
    (cluster,) = advice.clusters
    assert cluster.members == ("l1", "l2", "gm", "fermat")
    assert (advice.criterion, cluster.cost, cluster.advised) == ("l2", "filter", True)
    lowest = advice.pair_table["agreement"].min()
    assert cluster.agreement == lowest >= 0.75


def test_a_layer_without_signal_has_no_ranking(advice):
    assert advice_of(advice) == {"a": RANK, "b": RANK, "flat": NO_RANKING, "c": RANK, "d": RANK}
    assert any("flat" in each.text for each in advice.sentences if each.topic == "no ranking")
    row = advice.table.set_index("layer").loc["flat"]
    assert row["discriminate"] == ""
    assert row["swap"] > 0.25


def test_dead_filters_are_pruned_where_nothing_else_is_told_apart():
    layers = [*network(a=0.4, flat=0.0)]
    weight = layers[1].weight.clone()
    weight[:3] *= 1e-3
    made = Network("made", (layers[0], ConvLayer("flat", weight)), Provenance("", "array"))
    found = cwda.advise(made, progress=False)
    assert advice_of(found) == {"a": RANK, "flat": APART}
    assert found.table["apart"].tolist() == [0, 3]
    assert any("only 3 filters far below" in each.text for each in found.sentences)


def test_without_signal_anywhere_criteria_part(scaled):
    """Under CWDA l1 and l2 correlate by .93, which is a kappa of .76, and gm less with l1."""
    found = cwda.advise(network(**dict.fromkeys("abcdefgh", 0.0)), progress=False)
    assert {*advice_of(found).values()} == {NO_RANKING}
    kappa = found.pair_table["kappa"][0]
    assert kappa == pytest.approx(2 / np.pi * np.arcsin(1 / np.sqrt(np.pi - 2)), abs=0.08)


def test_random_is_never_advised(scaled):
    found = cwda.advise(scaled, ["random", "l1"], progress=False)
    assert found.criterion == "l1"
    assert [row.members for row in found.clusters] == [("l1",)]
    assert found.pair_table["same"].tolist() == ["no"]
    alone = cwda.advise(scaled, "random", progress=False)
    assert (alone.criterion, alone.clusters) == ("", ())
    assert "No criterion" in alone.sentences[0].text


def test_the_cheapest_stands_in(scaled):
    slow = Criterion("slow", "l2 again", get_criterion("l2").score)
    relative = Criterion(
        "relative", "l2 over the layer", lambda x: x.values.norm(dim=1) / x.values.norm()
    )
    found = cwda.advise(scaled, [relative, "gm", slow], progress=False)
    assert found.criterion == "slow"
    assert [cost_of(one) for one in (slow, relative)] == ["filter", "layer"]
    assert {cost_of(get_criterion(name)) for name in criteria()} <= {*COSTS}


def test_a_layer_in_which_a_cluster_parts_is_named():
    """In one layer of six the criteria prune opposite filters."""
    made = network(a=0.4, b=0.4, c=0.4, d=0.4, e=0.4, odd=0.4)

    def turned(filters):
        norms = filters.values.norm(dim=1)
        return -norms if filters.name == "odd" else norms

    found = cwda.advise(made, ["l2", Criterion("turned", "", turned)], same=0.5, progress=False)
    assert found.clusters[0].members == ("l2", "turned")
    assert [row.layer for row in found if row.advice == CHOOSE] == ["odd"]
    assert found.table.set_index("layer").loc["odd", "lowest"] == pytest.approx(-1)


def test_scores_are_normalised_where_layers_differ_in_size():
    generator = torch.Generator().manual_seed(1)
    narrow = ConvLayer("narrow", torch.randn(32, 4, 3, 3, generator=generator))
    wide = ConvLayer("wide", 0.35 * torch.randn(32, 64, 3, 3, generator=generator))
    layers = Network("made", (narrow, wide), Provenance("", "array"))
    found = cwda.advise(layers, ["l1", "l2"], progress=False)
    assert found.normalise == "mean"
    raw = found.scale_table[found.scale_table["normalise"] == "none"]
    assert raw["emptied"].tolist() == [1, 1]
    even = cwda.advise(network(a=0.4, b=0.4, c=0.4), ["l1", "l2"], progress=False)
    assert even.normalise is None
    selected = cwda.pruning.select(layers, "l2", 0.5, strategy="global", normalise="mean")
    assert not selected.emptied


def test_what_does_not_change_the_ranking_does_not_change_the_advice(scaled, advice):
    rng = torch.Generator().manual_seed(2)
    moved = tuple(
        ConvLayer(layer.name, 3.0 * layer.weight[torch.randperm(SHAPE[0], generator=rng)])
        for layer in scaled
    )
    other = cwda.advise(Network("made", moved, Provenance("", "array")), progress=False)
    columns = ["layer", "advice", "agreement", "lowest", "discriminate"]
    assert other.table[columns].round(9).equals(advice.table[columns].round(9))
    assert other.criterion == advice.criterion
    assert np.allclose(other.pair_table["kappa"], advice.pair_table["kappa"])


def test_layers_that_select_nothing_have_reasons():
    generator = torch.Generator().manual_seed(3)
    layers = (
        ConvLayer("one", torch.randn(1, 4, 3, 3, generator=generator)),
        ConvLayer("dead", torch.zeros(16, 4, 3, 3)),
        ConvLayer("live", torch.randn(16, 4, 3, 3, generator=generator)),
    )
    found = cwda.advise(Network("made", layers, Provenance("", "array")), progress=False)
    assert found.table["reason"].str.contains("filter is none|weights are 0").tolist() == [
        True, True, False,
    ]  # fmt: skip
    assert advice_of(found)["one"] == UNJUDGED
    assert found.pair_table["layers"].unique().tolist() == [1]
    assert "no interval from 1 layer" in found.pair_table["reason"][0]


def test_an_empty_network_has_empty_advice():
    found = cwda.advise(Network("empty", (), Provenance("", "array")), progress=False)
    assert (len(found), found.criterion) == (0, "")
    assert "No criterion" in repr(found)


def test_it_is_saved_and_read(advice, tmp_path):
    advice.save(tmp_path / "advice.json")
    again = cwda.advice.Advice.load(tmp_path / "advice.json")
    assert again.table.equals(advice.table)
    assert again.clusters == advice.clusters
    assert again.sentences == advice.sentences
    assert repr(again) == repr(advice)


def placed(low, high, value, reliability):
    """Clusters of l1 and of a criterion from images, with this agreement."""

    def square(x):
        return np.array([[1.0, x], [x, 1.0]])

    agreement = Agreement(
        *map(square, (value, low, high)), *map(square, (value, low, high)),
        over=square(0) > 2, latent_reliability=np.array([1.0, reliability]),
        layers=np.full((2, 2), 9),
    )  # fmt: skip
    criteria = tuple(map(get_criterion, ("l1", "taylor_l1")))
    images = Images(512, {}, {"taylor_l1": 0.3}, {"taylor_l1": 4000.0}, {})
    found = Found(network(a=0.0), criteria, (), {}, images, None)
    return cluster_rows(found, agreement, 0.75)


def test_a_criterion_that_differs_by_noise_alone_asks_for_images():
    own, left_out = placed(0.4, 1.0, 0.6, 0.6)
    assert own.members == ("l1",)
    assert (left_out.cluster, left_out.members, left_out.images_needed) == (0, ("taylor_l1",), 4000)
    assert "leaves open whether it belongs with l1" in left_out.reason


def test_without_an_interval_noise_is_not_shown_to_make_no_difference():
    """Fewer than four layers have none."""
    own, left_out = placed(np.nan, np.nan, 0.6, 0.6)
    assert (own.members, left_out.cluster) == (("l1",), 0)
    assert "leaves open whether it belongs with l1" in left_out.reason
    assert all(row.cluster for row in placed(np.nan, np.nan, 0.6, 0.95))


@pytest.mark.parametrize(
    ("low", "high", "value", "reliability", "members"),
    [
        (0.6, 1.0, 0.8, 0.6, [("l1", "taylor_l1")]),  # like l1, as far as is known
        (0.4, 0.7, 0.6, 0.6, [("l1",), ("taylor_l1",)]),  # shown to differ
        (0.6, 0.8, 0.7, 0.95, [("l1",), ("taylor_l1",)]),  # not for noise
    ],
)
def test_what_is_known_is_placed(low, high, value, reliability, members):
    rows = placed(low, high, value, reliability)
    assert [row.members for row in rows] == members
    assert all(row.cluster for row in rows)


def test_noise_beyond_use_is_not_placed():
    *_, left_out = placed(0.0, 1.0, 0.9, 0.4)
    assert (
        "its latent reliability, the correlation of what it prunes with what it would prune"
        in left_out.reason
    )


@pytest.fixture(scope="module")
def model():
    return cwda.load_model("resnet20-cifar10")


def test_criteria_from_images_are_judged_by_their_noise(model):
    images = torch.randn(48, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    options = {"data": images, "batch_size": 12, "progress": False}
    layers = cwda.load(model).select("layer1*")
    collected = collect(model, ["activations", "batchnorm"], data=images, batch_size=12)
    found = cwda.advise(layers, ["l1", "bn_gamma", "apoz"], data=collected, progress=False)
    assert found.images == 48
    costs = {row.stand_in: row.cost for row in found.clusters}
    assert costs == {"l1": "filter", "bn_gamma": "BatchNorm", "apoz": "activations"}
    expected = cwda.scoring.reliability(model, "apoz", **options).table
    expected = expected[expected["layer"].str.startswith("layer1")]
    apoz = next(row for row in found.clusters if row.stand_in == "apoz")
    assert apoz.changed == pytest.approx(expected["share_changed"].mean())
    assert any("apoz" in each.text for each in found.sentences if each.topic == "images")


def test_one_batch_says_nothing_of_noise(model):
    images = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    collected = collect(model, "activations", data=images)
    layers = cwda.load(model).select("layer1*")
    found = cwda.advise(layers, ["l1", "apoz"], data=collected, progress=False)
    assert "noise not taken off" in found.pairs[0].reason
    assert found.pairs[0].agreement == found.pairs[0].kappa
    apart = next(row for row in found.clusters if row.stand_in == "apoz")
    assert apart.cluster == 0  # not placed
    assert "not known (the images came in one batch" in apart.reason


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        (Judged(True), (True, True), RANK),
        (Judged(False, 0.4), (True, True), OTHER),
        (Judged(False, 0.4), (False, True), NO_RANKING),
        (Judged(False, 0.4, 2), (True, True), APART),
        (Judged(None), (True, False), RANK),
        (Judged(None), (False, False), UNJUDGED),
    ],
)
def test_a_layer_is_ranked_by_what_the_criterion_advised_can_tell(own, others, expected):
    assert layers._advice(own, False, *others) == expected
    assert layers._advice(own, True, *others) == (CHOOSE if expected == RANK else expected)


def validity_of(values, layers=6):
    """A made answer of `cwda.validity`: these coefficients in every layer, but for a wobble."""
    rows = [
        LayerValidity(
            "made", f"layer{at}", name, spearman=value + 0.02 * (-1) ** at, half_reliability=1.0,
            oracle_half_reliability=0.9, ratio=0.5, verdict="weak", statement="", n_filters=16,
            dim=9, images=64, method="", reason="",
        )
        for name, value in values.items()
        for at in range(layers)
    ]  # fmt: skip
    made = Network("made", (), Provenance("", "array"))
    return Validity(tuple(rows), (made,), level=0.95, criteria=tuple(values), ratio=0.5)


def test_the_cluster_that_is_shown_to_be_right_is_advised(scaled):
    backwards = Criterion("backwards", "-l2", lambda x: -x.values.norm(dim=1))
    criteria = ["l1", "l2", backwards]
    assert cwda.advise(scaled, criteria, progress=False).criterion == "l1"
    known = validity_of({"l1": 0.1, "l2": 0.1, "backwards": 0.6})
    found = cwda.advise(scaled, criteria, validity=known, progress=False)
    assert found.criterion == "backwards"
    assert [row.members for row in found.clusters] == [("backwards",), ("l1", "l2")]
    assert found.clusters[0].validity == pytest.approx(0.6 / np.sqrt(0.9), abs=0.01)
    assert any("backwards .6" in each.text for each in found.sentences if each.topic == "validity")
    assert all("Likeness" not in each.text for each in found.sentences)
    alike = validity_of({"l1": 0.6, "l2": 0.6, "backwards": 0.6})
    assert cwda.advise(scaled, criteria, validity=alike, progress=False).criterion == "l1"
    with pytest.raises(cwda.CwdaError, match=r"an answer of cwda\.validity"):
        cwda.advise(scaled, criteria, validity=True)


def validity_by_layer(values):
    """The same with a coefficient for each layer; NaN where there is none."""
    rows = [
        replace(row, spearman=values[row.criterion][int(row.layer.removeprefix("layer"))])
        for row in validity_of(dict.fromkeys(values, 0.0))
    ]
    return replace(validity_of(dict.fromkeys(values, 0.0)), rows=tuple(rows))


def test_a_difference_is_held_against_its_own_scatter():
    # The cheapest scatters over the layers, from .2 to .8; the best stays at .55 to .65.
    scattered, steady = [0.8, 0.2, 0.8, 0.2, 0.8, 0.2], [0.6, 0.55, 0.65, 0.6, 0.55, 0.65]
    assert most_right(["l2", "apoz"], validity_by_layer({"l2": scattered, "apoz": steady})) == 0
    # Both scatter, but in the same layers.
    above = [each + 0.1 + 0.01 * at for at, each in enumerate(scattered)]
    assert most_right(["l2", "apoz"], validity_by_layer({"l2": scattered, "apoz": above})) == 1
    # It is only compared in layers that both rank: in three of them there is no interval.
    gaps = [*scattered[:3], *[math.nan] * 3]
    assert most_right(["l2", "apoz"], validity_by_layer({"l2": gaps, "apoz": above})) == 0
    assert most_right(["l2", "apoz"], None) == most_right([], None) == 0


def cluster(number, *members):
    """A cluster of criteria, of which the first one is advised."""
    nan = float("nan")
    return Cluster(
        "net", number, ", ".join(members), members[0], "filter", number == 1, nan, nan, nan, 1, 1,
        0.0, 0.0, nan, nan, nan, "", members,
    )  # fmt: skip


def pair(a, b, same, *, over=False):
    return PairAgreement(
        "net", a, b, 0.7, 0.6, 0.8, 1.0, 1.0, 0.7, 0.6, 0.8, over=over, same=same, layers=9,
        reason="",
    )  # fmt: skip


def said(clusters, pairs):
    found = sentences("net", 0.5, 0.75, clusters, pairs, [], [], 0)
    return {sentence.topic: sentence.text for sentence in found}


def test_another_cluster_that_may_be_the_same_is_told_in_one_sentence():
    clusters = [cluster(1, "l2", "gm"), cluster(2, "l1")]
    pairs = [pair("l2", "gm", "yes"), pair("l1", "l2", "open"), pair("l1", "gm", "no")]
    text = said(clusters, pairs)
    assert "open" not in text
    first = text["alternatives"].partition(". ")[0]
    assert "1 other cluster of criteria prunes different filters: l1; but whether l1 with" in first
    open_ = "l1 with l2 (.700, interval .600 to .800) belongs together is open, as the interval"
    assert f"{open_} of kappa includes .750" in first


def test_a_pair_within_a_cluster_may_be_open_too():
    text = said([cluster(1, "l2", "gm"), cluster(2, "l1")], [pair("l2", "gm", "open")])
    open_ = "Whether l2 with gm (.700, interval .600 to .800) belongs in one cluster is open"
    assert text["open"].startswith(open_)
    assert "open" not in text["alternatives"]


def test_too_few_layers_for_an_interval_are_the_reason_why_a_pair_is_open(scaled):
    found = cwda.advise(scaled.select("[ab]"), ["l1", "l2"], progress=False)
    [text] = [each.text for each in found.sentences if each.topic == "open"]
    assert re.search(r"l1 with l2 \([.\d]+\) belongs .* so few layers give no interval", text)


def test_where_nothing_ranks_the_advice_begins_with_that():
    found = cwda.advise(network(**dict.fromkeys("abcd", 0.0)), progress=False)
    first, second, *_ = found.sentences
    assert first.text.startswith("No ranking helps: in all 4 layers no criterion can tell filters")
    assert second.text.startswith("If a ranking is wanted nevertheless, take ")
    assert not any("filters can be told apart" in each.text.lower() for each in found.sentences)
    assert not found.ranks


def test_near_dead_filters_go_first():
    layers = [*network(a=0.4, b=0.4)]
    weight = layers[1].weight.clone()
    weight[:5] *= 1e-3
    made = Network("made", (layers[0], ConvLayer("b", weight)), Provenance("", "array"))
    found = cwda.advise(made, progress=False)
    first, second = found.short
    assert first.startswith("To prune 50 % of the filters, rank them by l2")
    assert second == f"Prune the 5 near-dead filters first: 5 of {len(weight)} in b."
    assert found.table["near_dead"].tolist() == [0, 5]


def of_pairs(pairs):
    return Advice((), (), level=0.95, sentences=(), clusters=(), pairs=pairs, scales=())


def test_a_kappa_that_is_cut_off_is_labelled():
    rows = (pair("l1", "apoz", "yes", over=True), pair("l1", "l2", "yes"))
    made = of_pairs(rows)
    assert made.cut_off.startswith("kappa cut off at 1")
    assert made.cut_off.endswith(": l1 with apoz")
    assert of_pairs(rows[1:]).cut_off == ""


def test_a_check_gives_the_advice_of_its_networks(tmp_path):
    net = cwda.load("resnet20-cifar10").select("layer3.*")
    other = cwda.load("resnet20-cifar10:init").select("layer3.*")
    res = cwda.check([net, other], ["mean"])
    advice = res.advice("resnet20-cifar10:init", criteria=["l1", "l2"], ratio=0.25)
    assert [each.name for each in advice.networks] == [other.name]
    assert advice.sentences == cwda.advise(other, ["l1", "l2"], ratio=0.25).sentences
    with pytest.raises(cwda.CwdaError, match="there are 2 networks; name one"):
        res.advice()
    with pytest.raises(cwda.CwdaError, match="resnet20-cifar10"):
        res.advice("resnet20")
    res.save(tmp_path / "res.json")
    with pytest.raises(cwda.CwdaError, match="again"):
        cwda.conditions.CheckResult.load(tmp_path / "res.json").advice(net.name)
