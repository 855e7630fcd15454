"""Norms, distances and cosines against plain loops."""

import itertools
import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cwda.numerics.ranking.concentration import concentration


def by_loops(x):
    norms = [math.sqrt(sum(v * v for v in row)) for row in x]
    pairs = list(itertools.combinations(range(len(x)), 2))
    distances = [math.dist(x[i], x[j]) for i, j in pairs]
    cosines = [
        sum(a * b for a, b in zip(x[i], x[j], strict=True)) / (norms[i] * norms[j])
        for i, j in pairs
        if norms[i] and norms[j]
    ]
    return [
        statistics.stdev(norms) / statistics.fmean(norms),
        statistics.pstdev(distances) / statistics.fmean(distances),
        statistics.fmean(distances) / math.sqrt(2 * statistics.fmean(v * v for v in norms)),
        statistics.fmean(cosines),
        statistics.pstdev(cosines),
    ]


def values(found):
    return list(vars(found).values())


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_is_what_loops_give(shift):
    x = np.random.default_rng(0).standard_normal((11, 18)) + shift
    x[3] = 0  # a dead filter has a norm and distances, but no angles
    assert values(concentration(torch.from_numpy(x))) == pytest.approx(by_loops(x), rel=1e-10)


@given(st.floats(1e-3, 1e3), st.integers(0, 1000))
def test_scale_and_rotation_do_not_matter(factor, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((9, 6)) + 0.3
    turned = factor * x @ np.linalg.qr(rng.standard_normal((6, 6)))[0]
    one, other = (values(concentration(torch.from_numpy(each))) for each in (x, turned))
    assert other == pytest.approx(one, rel=1e-8, abs=1e-8)
