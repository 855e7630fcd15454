"""Correlations without noise: exact on made-up variances, over 1 where they are."""

import math

import numpy as np
import pytest
import torch

from cwda.scoring.error_bars.disattenuation import disattenuated


def test_the_noise_that_was_added_is_taken_off():
    """cov = .5 of unit variances; noise of variance .25 and 1 leaves reliabilities .8 and .5."""
    shown = 0.5 / math.sqrt(1.25 * 2)
    assert disattenuated(shown, 0.8, 0.5) == pytest.approx(0.5, rel=1e-12)
    assert disattenuated(0.5, 0.4, 0.4) == pytest.approx(1.25)  # never clipped


@pytest.mark.parametrize("of", [np.array, lambda x: torch.tensor(x, dtype=torch.float64)])
def test_arrays_and_tensors_are_taken_and_a_reliability_not_above_zero_is_undefined(of):
    first, second = [0.9, -0.1, -0.1, 0.4, 0.0], [0.4, 0.5, -0.5, -0.2, 0.3]
    found = disattenuated(of([0.3] * 5), of(first), of(second))
    assert np.asarray(found) == pytest.approx([0.5, *[math.nan] * 4], nan_ok=True)
    assert isinstance(found, type(of([0.0])))
    assert math.isnan(disattenuated(0.3, -0.1, -0.5))
