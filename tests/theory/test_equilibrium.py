"""Norms at the equilibrium of decay and gradient noise, and what predicts a criterion from them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.equilibrium import (
    EXPECTED,
    Layer,
    fit,
    leave_one_out,
    norm_slope,
    rule,
    toy,
)
from cwda.scoring import NORM_BASED


def _layers(networks: int, *, seed: int = 0, residual: float = 0.1) -> list[Layer]:
    """log criterion = 2 log l2 + 1 log(l1 / l2) + residual, and noise of each half of SD .2."""
    rng = np.random.default_rng(seed)
    layers = []
    for i in range(8 * networks):
        x = rng.uniform(0.05, 0.3) * rng.standard_normal(32)
        r = 0.04 * rng.standard_normal(32)
        y = 2 * x + r + residual * rng.standard_normal(32)
        one, other = np.exp(y + 0.2 * rng.standard_normal((2, 32)))
        norms = {"l1": np.exp(x + r), "l2": np.exp(x), "gm": np.exp(x), "fermat": np.exp(x)}
        layers.append(Layer(f"net{i // 8}", f"conv{i}", norms, (one, other), (one + other) / 2))
    return layers


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_toy_reaches_the_norms_and_slopes_of_the_formula(momentum: float) -> None:
    decay = 2e-3 / (1 - momentum) ** 0.5  # both settle within the steps
    result = toy(momentum=momentum, decay=decay, steps=4000)
    assert np.abs(result.norms / result.expected - 1).max() < 0.05
    for criterion in result.products:
        assert result.slope(criterion) == pytest.approx(EXPECTED[criterion][0], rel=0.02)


def test_residual_variance_leaves_out_the_noise_of_the_images() -> None:
    fits = [fit(layer) for layer in _layers(12)]
    assert np.mean([one.residual for one in fits]) == pytest.approx(0.1**2, rel=0.25)
    assert np.mean([one.total for one in fits]) == pytest.approx(0.1**2 + 0.2**2 / 2, rel=0.15)


def test_the_rule_finds_the_slopes_that_made_the_scores() -> None:
    found = rule(_layers(12))
    assert found.slopes == pytest.approx([2, 1], abs=0.25)
    assert found.between[0] < 0.15
    assert abs(found.power) < 0.3  # the residual does not grow with the spread of the norms here


def test_the_rule_beats_the_median_where_the_spread_of_the_norms_decides() -> None:
    for norm, errors in leave_one_out(_layers(6)).items():
        assert norm in NORM_BASED
        assert errors["layers"] == 48
        assert errors["rule mae"] < 0.8 * errors["median mae"]
        assert 0.85 <= errors["rule coverage"] <= 1


def test_scale_of_criterion_and_norms_changes_nothing() -> None:
    (layer,) = _layers(1)[:1]
    other = Layer(
        layer.network,
        layer.name,
        {name: 7 * values for name, values in layer.norms.items()},
        (3 * layer.halves[0], 3 * layer.halves[1]),
        3 * layer.whole,
    )
    assert fit(other).slopes == pytest.approx(fit(layer).slopes)
    assert fit(other).residual == pytest.approx(fit(layer).residual)
    assert other.coefficient("l1") == pytest.approx(layer.coefficient("l1"))


def test_norms_are_the_root_of_gamma_where_nothing_else_varies() -> None:
    gamma = np.linspace(0.5, 2, 16)
    norms = dict.fromkeys(NORM_BASED, 3 * gamma**0.5)
    assert norm_slope(Layer("net", "conv", norms, (gamma, gamma), gamma)) == pytest.approx(0.5)
