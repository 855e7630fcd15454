"""Closed forms of norms, distances and cosines against draws from the fitted model."""

import dataclasses

import numpy as np
import pytest
import torch

from cwda.numerics.ranking.concentration import concentration
from cwda.theory.draws import sample_filters
from cwda.theory.geometry import concentration_limits, predict_concentration
from cwda.theory.model import fit_layer
from cwda.theory.rungs import BLOCK, LADDER
from tests.theory.test_closed_form import draw, layer


def fitted_layer(n, dim, mean=0.0):
    x = draw(np.random.default_rng(1), n=n, dim=dim, correlation=0.3, scale=0.2)
    fitted = fit_layer(layer(x + mean), device="cpu")
    # The draws have the shrunk mean; its energy is not the unbiased one.
    energy = float(fitted.mean.square().sum())
    return dataclasses.replace(fitted, mean_energy=energy)


@pytest.mark.parametrize("rung", LADDER, ids=lambda rung: rung.name)
@pytest.mark.parametrize(("n", "dim", "mean"), [(12, 144, 0.0), (48, 288, 0.3)])
def test_prediction_is_the_mean_of_draws(rung, n, dim, mean):
    fitted = rung(fitted_layer(n, dim, mean))
    draws = torch.cat(list(sample_filters(fitted, 300, seed=0)))
    found = [dataclasses.astuple(concentration(each)) for each in draws]
    predicted = dataclasses.astuple(predict_concentration(fitted))
    expected = np.sqrt(np.mean(np.square(found), axis=0))
    # SDs by their mean squares, which the formulas give; the mean cosine keeps its sign.
    expected[3] = np.mean(found, axis=0)[3]
    assert predicted == pytest.approx(expected, rel=0.03, abs=0.003)


@pytest.mark.parametrize(("n", "dim", "correlation"), [(16, 144, 0.3), (64, 288, 0.5)])
def test_limits_hold_at_their_level(n, dim, correlation):
    x = draw(np.random.default_rng(2), n=256, dim=dim, correlation=correlation)
    fitted = BLOCK(dataclasses.replace(fit_layer(layer(x), device="cpu"), n_filters=n))
    limits = concentration_limits(fitted, 0.9)
    draws = torch.cat(list(sample_filters(fitted, 600, seed=1)))
    found = [concentration(each) for each in draws]
    below = np.mean(
        [
            (
                each.norm_cv <= limits.norm_cv,
                each.distance_cv <= limits.distance_cv,
                np.hypot(each.cosine_mean, each.cosine_sd) <= limits.cosine_rms,
            )
            for each in found
        ],
        axis=0,
    )
    # standard error .012; skewed squared norms make the true levels .88 to .91
    assert below == pytest.approx(0.9, abs=0.05)
