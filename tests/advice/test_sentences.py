"""What the advice says first, and how it says it."""

from dataclasses import replace

import pytest
import torch

import cwda
from cwda.advice.nothing import least_ratio
from cwda.advice.result import (
    APART,
    CHOOSE,
    NO_RANKING,
    OTHER,
    RANK,
    SHORT,
    UNJUDGED,
    Cluster,
    GlobalScale,
    LayerAdvice,
    PairAgreement,
)
from cwda.advice.sentences import sentences
from cwda.layers import ConvLayer, Network, Provenance

NAN = float("nan")


def layer(name, advice=RANK, **found):
    sizes = {"pruned": 8, "n_filters": 16, "dim": 9, "reason": ""}
    return LayerAdvice("net", name, advice, **(sizes | found))


def layers(**numbers):
    """So many layers of each kind."""
    kinds = {
        "rank": RANK, "choose": CHOOSE, "none": NO_RANKING, "apart": APART, "other": OTHER,
        "unjudged": UNJUDGED,
    }  # fmt: skip
    return [layer(f"{kind}{at}", kinds[kind]) for kind, n in numbers.items() for at in range(n)]


def cluster(number, *members, validity=NAN):
    return Cluster(
        "net", number, ", ".join(members), members[0], "filter", number == 1, 0.8, NAN, NAN, 1, 1,
        0.0, 0.0, validity, validity, validity, "", members,
    )  # fmt: skip


def pair(a, b, same):
    return PairAgreement(
        "net", a, b, 0.7, 0.6, 0.8, 1.0, 1.0, 0.7, 0.6, 0.8, over=False, same=same, layers=9,
        reason="",
    )  # fmt: skip


def scale(name):
    return GlobalScale("net", name, "l2", 0, 0.1, 0.9, 0.9, name != "none")


def said(rows, clusters=None, pairs=(), scales=(), topic=None):
    clusters = clusters or [cluster(1, "l2", "gm")]
    found = sentences("net", 0.5, 0.75, clusters, pairs, rows, scales, 0)
    return [each.text for each in found if topic in (None, each.topic)]


def short(rows, *rest, **others):
    return said(rows, *rest, **others, topic=SHORT)


def test_what_decides_on_most_filters_comes_first():
    ranking, none = short(layers(rank=3, none=1))
    assert ranking == "To prune 50 % of the filters, rank them by l2."
    assert none.startswith("In 1 of 4 layers no criterion can tell filters apart, so that a random")
    assert short(layers(rank=1, none=3)) == [
        none.replace("In 1 of 4", "In 3 of 4"),
        ranking,
    ]
    dead = [*layers(rank=2, none=1), layer("dead", near_dead=1)]
    assert short(dead)[2] == "Prune the near-dead filter first: 1 of 16 in dead."
    full = [layer("a", near_dead=12), layer("b", NO_RANKING, near_dead=14)]
    assert (
        short(full)[0] == "Prune the 26 near-dead filters first: 14 of 16 in b and 12 of 16 in a."
    )


@pytest.mark.parametrize(
    "numbers",
    [
        {"rank": 1}, {"none": 1}, {"none": 2, "unjudged": 1}, {"apart": 1}, {"apart": 2, "rank": 1},
        {"other": 2}, {"unjudged": 2}, {"choose": 3, "none": 1, "apart": 1, "other": 1},
    ],
)  # fmt: skip
@pytest.mark.parametrize("dead", [0, 1, 9])
def test_every_answer_begins_with_one_to_three_sentences(numbers, dead):
    rows = [replace(row, near_dead=dead) for row in layers(**numbers)]
    found = sentences("net", 0.5, 0.75, [cluster(1, "l2", "gm")], (), rows, (), 0)
    topics = [each.topic for each in found]
    n = topics.count(SHORT)
    assert 1 <= n <= 3
    assert topics[:n] == [SHORT] * n
    assert all(each.text.endswith(".") and each.text[0].isupper() for each in found[:n])
    assert not any("1 layers" in each.text or "1 filters" in each.text for each in found)


def test_the_scale_is_said_with_the_criterion():
    rows = layers(rank=2)
    [text] = short(rows, scales=[scale("none"), scale("mean")])
    assert text.endswith(
        "by l2, layer by layer or, with scores normalised by mean, over all layers."
    )
    raw = [replace(scale("none"), advised=True)]
    assert short(rows, scales=raw)[0].endswith("or, with raw scores, over all layers.")
    assert short(rows[:1], scales=raw) == ["To prune 50 % of the filters, rank them by l2."]


def test_other_clusters_are_said_with_the_criterion():
    clusters = [cluster(1, "l2"), cluster(2, "l1"), cluster(3, "gm")]
    pairs = [pair("l2", "l1", "no"), pair("l2", "gm", "no"), pair("l1", "gm", "no")]
    [text] = short(layers(rank=1), clusters, pairs)
    assert text.endswith(
        "l2; l1 and gm prune others, and only an experiment tells which is better."
    )
    [text] = short(layers(rank=1), clusters[:2], [pair("l2", "l1", "open")])
    assert "; l1 may prune others, and only" in text
    measured = [replace(each, validity=0.5) for each in clusters]
    [text] = short(layers(rank=1), measured, pairs)
    assert "experiment" not in text


def test_the_criterion_advised_says_where_it_is_blind():
    rows = [*layers(rank=1), *(layer(f"o{at}", OTHER, discriminate="gm") for at in range(2))]
    assert short(rows) == [
        "To prune 50 % of the filters, rank them by l2; in 2 layers only gm can tell filters apart."
    ]


def test_layers_without_a_ranking_and_those_with_some_apart_are_one_sentence():
    _, text = short(layers(rank=9, none=2, apart=1))
    assert text == (
        "In 2 of 12 layers no criterion can tell filters apart, and in 1 more only those far below "
        "the others: beyond these, a random choice should serve as well."
    )
    text = "In {} only filters far below the others can be told apart: prune these first, and "
    assert text.format("3 of 12 layers") in short(layers(rank=9, apart=3))[1]
    assert any(text.format("the one layer") in each for each in short(layers(apart=1)))


@pytest.mark.parametrize(
    ("numbers", "where"),
    [
        ({"none": 1}, "the one layer"),
        ({"none": 2}, "both layers"),
        ({"none": 3, "unjudged": 1}, "all 3 layers that could be judged"),
    ],
)
def test_no_ranking_anywhere(numbers, where):
    assert short(layers(**numbers)) == [
        f"No ranking helps: in {where} no criterion can tell filters apart, so that a random "
        "choice should serve as well."
    ]


def test_criteria_that_can_are_told_with_the_number_of_layers():
    def told(*discriminate):
        rows = [layer(f"l{at}", OTHER, discriminate=each) for at, each in enumerate(discriminate)]
        [text] = said([*layers(rank=9), *rows], topic="layers")
        return text.partition(": ")[0]

    start = "In {} the criterion advised cannot tell filters apart, though {} can"
    assert told("l1") == start.format("one layer", "l1")
    assert told("gm, l1", "gm, l1") == start.format("2 layers", "gm and l1")
    assert told("apoz", "apoz", "apoz, taylor") == start.format(
        "3 layers", "apoz (in all) and taylor (in one)"
    )
    assert told("gm", "l1", "l1") == start.format("3 layers", "l1 (in 2) and gm (in one)")


def test_one_filter_far_below_the_others_is_it():
    [text] = said([*layers(none=1), layer("a", APART, apart=1)], topic="layers")
    assert text.startswith(
        "In one layer only one filter, far below the others, can be told apart: "
    )
    assert "prune it first" in text
    rows = [layer("a", APART, apart=3), layer("b", APART, apart=2)]
    [text] = said(rows, topic="layers")
    assert text.startswith("In 2 layers only 5 filters far below the others can be told apart: ")


def test_a_criterion_stands_for_others_probably_where_a_pair_is_open():
    clusters = [cluster(1, "l2", "gm"), cluster(2, "apoz", "taylor")]
    pairs = [pair("l2", "gm", "yes"), pair("apoz", "taylor", "yes")]
    text = " ".join(said(layers(rank=1), clusters, pairs))
    assert "l2 stands for gm: " in text
    assert "apoz, which also stands for taylor" in text
    pairs = [pair("l2", "gm", "open"), pair("apoz", "taylor", "open")]
    text = " ".join(said(layers(rank=1), clusters, pairs))
    assert "l2 probably stands for gm: " in text
    assert "apoz, which probably also stands for taylor" in text
    text = " ".join(said(layers(none=1), clusters, pairs))
    assert "take l2, which probably stands for gm: " in text


def advice_on(*weights, **options):
    made = tuple(ConvLayer(f"c{at}", weight) for at, weight in enumerate(weights))
    return cwda.advise(Network("made", made, Provenance("", "array")), progress=False, **options)


def test_a_network_of_zeros_is_one_sentence():
    found = advice_on(*torch.zeros(2, 16, 4, 3, 3))
    assert [each.text for each in found.sentences] == [
        "All weights of both layers are 0: there is nothing to rank; give the weights of a trained "
        "network."
    ]
    assert found.table["reason"].unique().tolist() == ["all weights are 0"]
    assert least_ratio(found.rows) is None


def test_a_ratio_that_takes_no_filter_is_one_sentence():
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(n, 4, 3, 3, generator=generator) for n in (16, 64)]
    found = advice_on(*weights, ratio=0.01)
    assert [each.text for each in found.sentences] == [
        "No criterion can be advised: a ratio of 0.01 takes no filter of any layer, with 16 to 64 "
        "filters; give 0.063 or more."
    ]
    assert advice_on(*weights, ratio=least_ratio(found.rows)).criterion


def test_where_filters_are_equal_the_reason_is_said():
    found = advice_on(torch.ones(16, 4, 3, 3), torch.zeros(16, 4, 3, 3), torch.ones(16, 4, 3, 3))
    [text] = found.short
    assert "none orders the filters of any layer, as in 2 of 3 layers: all 16 scores" in text
    assert len(found.sentences) == 1
