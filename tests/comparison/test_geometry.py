"""`geometry`: its columns, its statements, and layers that cannot be measured."""

import numpy as np
import pytest
import torch

from cwda.comparison import geometry
from cwda.comparison.geometry import QUANTITIES
from cwda.errors import CwdaError
from cwda.layers import ConvLayer
from cwda.numerics.ranking.concentration import concentration
from cwda.theory.model import fit_layer
from cwda.theory.rungs import GEOMETRY_LADDER
from tests.comparison.test_similarity import network
from tests.theory.test_closed_form import draw, layer

WORDS = ["equal_norms", "equidistant", "orthogonal"]


def test_a_row_per_layer_quantity_and_rung():
    x = draw(np.random.default_rng(0), scale=0.2, correlation=0.3) + 0.1
    found = geometry(network(layer(x), layer(1e-30 * x, "tiny")), device="cpu")
    assert len(found.table) == 2 * len(QUANTITIES) * len(GEOMETRY_LADDER)
    rows = found.table.set_index(["layer", "quantity", "rung"])
    expected = concentration(torch.from_numpy(x))
    for quantity in list(QUANTITIES)[:-1]:
        value = getattr(expected, quantity)
        assert rows.loc[("conv", quantity, "block"), "measured"] == pytest.approx(value, rel=1e-9)
        assert rows.loc[("tiny", quantity, "block"), "measured"] == pytest.approx(value, rel=1e-9)
    fitted = fit_layer(layer(x), device="cpu")
    assert rows.loc[("conv", "effective_dim", "isotropic"), "predicted"] == pytest.approx(144)
    assert rows.loc[("conv", "effective_dim", "block"), "predicted"] == pytest.approx(
        fitted.moments.effective_dim
    )
    difference = found.table["predicted"] - found.table["measured"]
    assert (found.table["difference"] == difference).all()


def test_scale_and_mean_explain_what_they_make():
    x = draw(np.random.default_rng(1), n=64, dim=288, scale=0.3) + 0.3
    rows = geometry(layer(x), device="cpu").table.set_index(["quantity", "rung"])
    assert rows.loc[("norm_cv", "block"), "difference"] < -0.15
    assert abs(rows.loc[("norm_cv", "mean"), "difference"]) < 0.03
    assert abs(rows.loc[("distance_cv", "scale"), "difference"]) < 0.03
    assert rows.loc[("cosine_mean", "scale"), "difference"] < -0.05
    assert abs(rows.loc[("cosine_mean", "mean"), "difference"]) < 0.01


@pytest.mark.parametrize(
    ("options", "mean", "expected"),
    [
        ({}, 0.0, [True, True, True]),
        ({"scale": 0.3}, 0.0, [False, False, True]),
        ({}, 0.4, [True, True, False]),
    ],
)
def test_statements(options, mean, expected):
    x = draw(np.random.default_rng(3), n=64, dim=288, **options) + mean
    found = geometry(layer(x), device="cpu")
    assert found.statement_table.loc[0, WORDS].tolist() == expected


def test_statements_err_at_their_level():
    rng = np.random.default_rng(4)
    layers = [
        layer(draw(rng, n=24, dim=144, correlation=0.2 * (i % 3)), f"c{i}") for i in range(150)
    ]
    said = geometry(network(*layers), rungs="block", device="cpu").statement_table
    # each Sigma is fitted from 24 filters, so that the rate is a little off its nominal .05
    assert (said[WORDS].astype(float).mean() > 0.88).all()
    assert (said[WORDS].astype(float).mean() < 0.995).all()


def test_layers_that_cannot_be_measured_keep_their_rows():
    dead = ConvLayer("dead", torch.zeros(16, 4, 3, 3))
    x = draw(np.random.default_rng(5))
    x[:2] = 0
    found = geometry(network(dead, layer(x, "holes")), device="cpu")
    rows = found.table[found.table["layer"] == "dead"]
    assert len(rows) == len(QUANTITIES) * len(GEOMETRY_LADDER)
    assert set(rows["reason"]) == {"all weights are 0"}
    assert rows[["measured", "predicted"]].isna().all(axis=None)
    said = found.statement_table.set_index("layer")
    assert said.loc["dead", WORDS].isna().all()
    assert said.loc["dead", "reason"] == "all weights are 0"
    assert said.loc["holes", "reason"] == "2 filters of zeros left out of the cosines"
    assert said.loc["holes", WORDS].notna().all()


def test_shown_as_text_and_html():
    found = geometry(
        layer(draw(np.random.default_rng(6))), rungs=["isotropic", "scale"], device="cpu"
    )
    assert list(found.summary()) == ["quantity", "measured", "isotropic", "scale"]
    assert found.summary()["quantity"].tolist() == list(QUANTITIES)
    assert "conv: of 1 layer, 1 with filters of equal norm, 1 with equidistant" in repr(found)
    assert "<table" in found._repr_html_()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rungs": ["blok"]}, r"unknown rung 'blok'; did you mean 'block'\?"),
        ({"level": 1.0}, "level lies between 0 and 1"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(CwdaError, match=message):
        geometry(layer(draw(np.random.default_rng(7))), **options)


def test_bad_source():
    with pytest.raises(CwdaError, match="cannot load an object of type int"):
        geometry(18)
