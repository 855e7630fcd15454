"""Verdicts on unit directions: filters divided by their root mean square."""

import math

import pytest
import torch

import cwda
from cwda.conditions.directions import directions_of
from cwda.layers import ConvLayer


def _layer(n=32, channels=16, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(n, channels, 3, 3, generator=generator, dtype=torch.float64)
    scales = torch.exp(torch.randn(n, generator=generator, dtype=torch.float64))
    return ConvLayer("conv", (weight * scales[:, None, None, None]).to(dtype))


def _rows(layer, scale):
    return {row.condition: row for row in cwda.check({"conv.weight": layer.weight}, scale=scale)}


def test_unit_scale_is_the_check_of_weights_divided_by_hand():
    layer = _layer()
    rms = layer.weight.double().square().mean((1, 2, 3), keepdim=True).sqrt()
    by_hand = _rows(ConvLayer("conv", layer.weight.double() / rms), "raw")
    for name, row in _rows(layer, "unit").items():
        assert row.scale == "unit"
        if name != "homogeneity":
            assert row.effect == pytest.approx(by_hand[name].effect, rel=1e-9, abs=1e-12)
            assert row.verdict == by_hand[name].verdict


def test_the_scales_of_filters_and_their_signs_leave_unit_directions_alone():
    layer = _layer(dtype=torch.float64)
    other = _layer(seed=1, dtype=torch.float64).weight[:, :1, :1, :1]
    changed = _rows(ConvLayer("conv", layer.weight * other.abs()), "unit")
    for name, row in _rows(layer, "unit").items():
        if name != "homogeneity":
            assert row.effect == pytest.approx(changed[name].effect, rel=1e-9, abs=1e-9)


def test_homogeneity_is_not_applicable_by_construction():
    row = _rows(_layer(), "unit")["homogeneity"]
    assert row.verdict == "not applicable"
    assert row.reason == "all filters have the same scale by construction"


def test_p_values_of_gaussianity_are_withheld_where_the_division_spoils_them():
    small, large = (_rows(_layer(64, c), "unit")["gaussianity"] for c in (1, 64))
    assert math.isnan(small.pvalue)
    assert math.isnan(small.pvalue_holm)
    assert math.isnan(small.log10_pvalue)
    assert "no p-value: unit filters of effective dimension" in small.method
    assert small.verdict != "not applicable"
    assert large.pvalue > 0
    assert "no p-value" not in large.method


def test_filters_of_norm_zero_are_left_out_and_counted():
    layer = _layer()
    weight = layer.weight.clone()
    weight[[3, 7]] = 0
    row = _rows(ConvLayer("conv", weight), "unit")["mean"]
    assert row.n_filters == 30
    assert row.method.endswith("2 filters of norm 0 left out")
    assert _rows(layer, "unit")["mean"].n_filters == 32


def test_tiny_and_huge_filters_have_directions():
    weight = _layer(dtype=torch.float64).weight * 1e-200
    weight[0] *= 1e250
    directions, left_out = directions_of(ConvLayer("conv", weight))
    assert left_out == 0
    assert torch.allclose(
        directions.weight.square().mean((1, 2, 3)), torch.ones(32, dtype=torch.float64)
    )


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_layers_without_directions_keep_their_reason(value):
    rows = _rows(ConvLayer("conv", torch.full((16, 2, 3, 3), value)), "unit")
    raw = _rows(ConvLayer("conv", torch.full((16, 2, 3, 3), value)), "raw")
    assert {row.reason for row in rows.values()} == {row.reason for row in raw.values()}


def test_both_scales_side_by_side():
    net = cwda.load("resnet20-cifar10").select("layer3.*")
    raw, unit = (cwda.check(net, scale=scale) for scale in ("raw", "unit"))
    assert "unit directions" in unit.title()
    assert "unit" not in raw.title()
    table = raw.beside(unit)
    assert len(table) == len(raw)
    assert not table[table["condition"] == "homogeneity"]["differ"].any()
    with pytest.raises(cwda.CwdaError, match="both answers are of the scale 'raw'"):
        raw.beside(raw)


def test_a_saved_answer_keeps_its_scale(tmp_path):
    unit = cwda.check({"conv.weight": _layer().weight}, ["mean"], scale="unit")
    unit.save(tmp_path / "unit.json")
    assert cwda.conditions.CheckResult.load(tmp_path / "unit.json").scale == "unit"


def test_an_unknown_scale_is_refused():
    with pytest.raises(cwda.CwdaError, match="scale"):
        cwda.check({"conv.weight": _layer().weight}, scale="unti")
