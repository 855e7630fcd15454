"""Criteria of redundancy against plain loops, and what they must not depend on."""

import numpy as np
import pytest
import torch

from cwda.layers import ConvLayer
from cwda.models import cifar_resnet, initialise
from cwda.scoring import Filters, collect, scores
from cwda.scoring.redundancy import cosine
from cwda.scoring.statistics import channel_independence
from tests.helpers.modules import ACTIVATED, images, mixed
from tests.helpers.networks import random_layer


def _naive_cosine(rows):
    found = []
    for j, own in enumerate(rows):
        others = [row for k, row in enumerate(rows) if k != j]
        values = [abs(own @ row) / np.linalg.norm(own) / np.linalg.norm(row) for row in others]
        found.append(-np.mean(values))
    return found


@pytest.mark.parametrize("options", [{}, {"filters": 40, "scale": 1e-4}, {"kernel": (5,)}])
def test_cosine_equals_a_loop_over_pairs(options, monkeypatch):
    filters = Filters.of(random_layer(**options))
    expected = _naive_cosine(filters.values.numpy())
    np.testing.assert_allclose(cosine(filters), expected, rtol=1e-11)
    monkeypatch.setattr("cwda.scoring.redundancy._CHUNK", 50)  # many parts give the same
    np.testing.assert_allclose(cosine(filters), expected, rtol=1e-11)


def test_cosine_depends_on_no_length_and_no_sign():
    values = Filters.of(random_layer(filters=12)).values
    factors = 10.0 ** torch.linspace(-180, 180, 12, dtype=torch.float64)
    factors[::2] *= -1
    scaled = Filters(values * factors[:, None])
    np.testing.assert_allclose(cosine(scaled), cosine(Filters(values)), rtol=1e-10)


def test_cosine_of_copies_of_zeros_and_of_one_filter():
    rows = torch.tensor([[3.0, 4.0], [-6.0, -8.0], [4.0, -3.0], [0.0, 0.0]], dtype=torch.float64)
    np.testing.assert_allclose(cosine(Filters(rows)), [-1 / 3, -1 / 3, 0, -1], atol=1e-15)
    assert cosine(Filters(rows[:1])).tolist() == [0]


def _naive_chip(maps):
    """The loss of the nuclear norm where a channel is set to zero, mean over the images."""
    losses = np.zeros(maps.shape[:2])
    for i, image in enumerate(maps):
        matrix = image.reshape(len(image), -1)
        whole = np.linalg.norm(matrix, "nuc")
        for j in range(len(matrix)):
            without = matrix.copy()
            without[j] = 0
            losses[i, j] = whole - np.linalg.norm(without, "nuc")
    return losses.mean(0)


def test_chip_equals_a_loop_over_images_and_channels(monkeypatch):
    model, (x, y) = mixed(), images()
    with torch.no_grad():
        maps = {name: found.numpy() for name, found in model.eval().activations(x).items()}
    monkeypatch.setattr(channel_independence, "_CHUNK", 300)  # several stacks of matrices
    table = scores(model, ["chip"], device="cpu", data=(x, y), batch_size=4).table
    for layer in ACTIVATED:
        found = table[table["layer"] == layer]["score"]
        np.testing.assert_allclose(found, _naive_chip(maps[layer]), rtol=1e-9, err_msg=layer)


def test_more_channels_than_positions_dead_channels_and_copies():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 9, 2, 2, generator=generator)
    maps[:, 1], maps[:, 2] = maps[:, 0], 0
    statistic = channel_independence.CHANNEL_INDEPENDENCE
    found = statistic.finish(statistic.observe(maps), 2)
    np.testing.assert_allclose(found, _naive_chip(maps.double().numpy()), rtol=1e-10, atol=1e-12)
    assert found[2] == 0
    assert statistic.observe(torch.zeros(1, 3, 4)).tolist() == [0, 0, 0]


def test_the_norms_and_the_directions_are_unrelated_in_gaussian_filters():
    # In an isotropic Gaussian layer a filter's length and its direction are independent, so the
    # coefficients of many layers scatter around 0 with variance 1 / (N' - 1).
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(60, 32, 8, 3, 3, generator=generator)
    coefficients = []
    for weight in weights:
        wide = scores(ConvLayer("conv", weight), ["l2", "cosine"], device="cpu").wide()
        coefficients.append(wide.corr("spearman").loc["l2", "cosine"])
    assert abs(np.mean(coefficients)) < 3 / (31 * 60) ** 0.5


def test_chip_needs_images_and_no_labels():
    model = cifar_resnet(20)
    initialise(model, seed=0)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = collect(model, "channel_independence", data=x, device="cpu")
    assert found.images == 2
    assert all("channel_independence" in layer.present for layer in found.layers.values())
    rows = scores(model, ["chip"], device="cpu").table
    assert rows["reason"].str.contains("no data: give data").all()
