"""A layer set beside the layers of other networks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import cwda
from cwda.conditions import Reference, ReferenceGroup
from cwda.conditions.reference import PROBABILITIES, placings, quantile_name

WEIGHTS = {
    "a.weight": torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(0)),
    "b.weight": torch.randn(32, 16, 1, 1, generator=torch.Generator().manual_seed(1)),
}


def group(values, **about):
    """A group of layers with these effects, equally many of each."""
    quantiles = np.quantile(values, PROBABILITIES, method="inverted_cdf")
    known = dict(zip(map(quantile_name, PROBABILITIES), quantiles.tolist(), strict=True))
    lows = {quantile_name(each, "low"): max(each - 0.03, 0.0) for each in PROBABILITIES}
    about = {"family": "any", "width": "any", "kernel": "any"} | about
    return ReferenceGroup(
        condition="mean", families=3, networks=12, layers=len(values), quantiles=known, lows=lows,
        **about,
    )  # fmt: skip


def reference(*groups):
    return Reference(groups, (), level=math.nan, surveyed=12, families=3)


HIGH, LOW = np.linspace(10, 20, 101), np.linspace(-20, -10, 101)


def test_the_share_below_is_that_of_the_effects():
    values = np.concatenate([np.zeros(30), np.linspace(0.01, 0.7, 70)])
    some = group(values)
    for effect in (-0.1, 0.0, 0.2, 0.345, 0.7, 0.9):
        share, low = some.below(effect)
        assert share == pytest.approx((values < effect).mean(), abs=0.011)
        assert low == pytest.approx(max(share - 0.03, 0.0), abs=0.005)


def test_the_most_specific_group_is_taken():
    many = reference(
        group(HIGH), group(LOW, kernel="3x3"), group(HIGH, kernel="3x3", width="1 to 16"),
        group(LOW, kernel="3x3", width="1 to 16", family="faces"),
    )  # fmt: skip
    found = cwda.check(WEIGHTS, ["mean"], reference=many).table
    assert found["percentile"].tolist() == [0.0, 0.0]
    assert found["comparable"].tolist() == [
        "3x3, 1 to 16 filters, 12 networks of 3 families",
        "12 networks of 3 families",
    ]
    told = many.placed(cwda.check(WEIGHTS, ["mean"]), family="faces").table
    assert told["percentile"].tolist() == [1.0, 0.0]
    assert told["comparable"][0] == "3x3, 1 to 16 filters, faces, 12 networks"


def test_an_effect_is_unusual_at_its_lower_limit():
    """Larger than in 96 % is not surely larger than in 95 %."""
    values = np.linspace(0, 1, 1001)
    (row, *_) = cwda.check(WEIGHTS, ["mean"]).rows
    many = reference(group(values))
    kernel = (3, 3)
    near, far = (many.place(replace(row, effect=each), kernel) for each in (0.96, 0.99))
    assert (near.percentile, far.percentile) == pytest.approx((0.96, 0.99))
    (found,) = placings([near, far])
    assert found.unusual == (far,)
    assert found.expected == pytest.approx(0.1)


def test_a_condition_without_a_group_has_no_place():
    rows = cwda.check(WEIGHTS, ["epsilon"], reference=reference(group(HIGH))).table
    assert rows["percentile"].isna().all()
    assert set(rows["comparable"]) == {""}


def test_a_reference_is_a_file(tmp_path):
    path = tmp_path / "reference.json"
    many = reference(group(HIGH), group(LOW, kernel="3x3"))
    many.save(path)
    assert Reference.load(path).table.equals(many.table)
    found = cwda.check(WEIGHTS, ["mean"], reference=path)
    assert found.table.equals(cwda.check(WEIGHTS, ["mean"], reference=many).table)
    found.save(tmp_path / "answer.json")
    again = cwda.conditions.CheckResult.load(tmp_path / "answer.json")
    assert again.table["percentile"].tolist() == [1.0, 0.0]


def test_what_is_no_reference_is_refused_in_one_line(tmp_path):
    with pytest.raises(cwda.CwdaError, match="no such file"):
        cwda.check(WEIGHTS, ["mean"], reference=tmp_path / "none.json")
    with pytest.raises(cwda.CwdaError, match=r"a reference is a file .* not an object of type int"):
        cwda.check(WEIGHTS, ["mean"], reference=3)
    with pytest.raises(cwda.CwdaError, match="scale='raw'"):
        cwda.check(WEIGHTS, ["mean"], scale="unit", reference=reference(group(HIGH)))
    checked = cwda.check(WEIGHTS, ["mean"])
    with pytest.raises(cwda.CwdaError, match="no family of this reference has enough networks"):
        reference(group(HIGH)).placed(checked, family="faces")
    with pytest.raises(cwda.CwdaError, match="did you mean 'faces'"):
        reference(group(HIGH, family="faces")).placed(checked, family="face")
