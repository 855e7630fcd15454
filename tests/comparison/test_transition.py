"""Transition layers: which ones, and the tests of their difference."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

import cwda
from cwda.comparison import compare
from cwda.comparison.transition import compare_transitions, is_transition, stratified_test
from cwda.layers import ConvLayer
from cwda.theory import predict


@pytest.mark.parametrize(
    ("shape", "groups", "expected"),
    [
        ((32, 16, 3, 3), 1, True),
        ((16, 32, 3, 3), 1, True),
        ((32, 32, 3, 3), 1, False),
        ((32, 16, 1, 1), 1, False),
        ((32, 3, 7, 7), 1, False),
        ((32, 1, 3, 3), 32, False),
        ((64, 8, 3, 3), 4, True),
    ],
)
def test_which_layers(shape, groups, expected):
    assert is_transition(ConvLayer("conv", torch.zeros(shape), groups=groups)) is expected


def test_two_transitions_of_a_resnet_are_labelled_and_bounded():
    net = cwda.load("resnet20-cifar10")
    found = compare(
        cwda.similarity(net, ["l1", "l2"]), predict(net, ["l1", "l2"], rungs="cross-fitted")
    )
    labelled = found.table.loc[found.table["transition"], "layer"]
    assert len(labelled) == 2
    summary = found.summary()
    assert summary["rung"].tolist() == ["cross-fitted", "bound"]
    bound = summary.iloc[1]
    error = (found.table["bound"] - found.table["measured"]).abs().mean()
    assert bound["mae"] == pytest.approx(error)
    assert np.isnan(bound["coverage"])


def test_stratified_test_is_the_loop_over_all_labellings():
    x, strata = np.array([3.0, 1, 4, 9, 2, 6, 5]), np.array(list("aaaabbb"))
    label = np.array([True, True, False, False, True, False, False])

    def statistic(chosen):
        total = 0.0
        for name, size in (("a", 4), ("b", 3)):
            inside = [i for i in range(7) if strata[i] == name]
            for i in set(chosen) & set(inside):
                rank = sum(x[j] <= x[i] for j in inside)
                total += rank / (size + 1)
        return total - 2 / 2 - 1 / 2

    observed = abs(statistic(np.flatnonzero(label)))
    every = [
        abs(statistic([*pair, one]))
        for pair, one in itertools.product(itertools.combinations(range(4), 2), range(4, 7))
    ]
    expected = np.mean([value >= observed - 1e-9 for value in every])
    assert stratified_test(x, label, strata) == pytest.approx(expected, abs=0.02)


def test_only_networks_with_both_kinds_count():
    rows = [
        {"network": net, "criterion_a": "l1", "criterion_b": "l2", "transition": t, "measured": v}
        for net, t, v in [("a", True, 0.5), ("a", False, 0.9), ("a", False, 0.8), ("b", False, 0)]
    ]
    (row,) = compare_transitions(pd.DataFrame(rows)).itertuples()
    assert (row.networks, row.transitions, row.others) == (1, 1, 2)
    assert row.median_transition == 0.5
