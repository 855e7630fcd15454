"""Distances and geometric medians against scipy, plain loops and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from cwda.numerics.distances.geometry import Geometry


def _normal(*shape, seed=0, scale=1.0, mean=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(mean, scale, shape))


def _weiszfeld(points, steps=20_000):
    """The textbook iteration in d dimensions, from the mean."""
    centre = points.mean(0)
    for _ in range(steps):
        weights = 1 / np.linalg.norm(points - centre, axis=1)
        new = weights @ points / weights.sum()
        if np.linalg.norm(new - centre) <= 1e-15 * np.linalg.norm(new):
            break
        centre = new
    return np.linalg.norm(points - centre, axis=1)


@pytest.mark.parametrize("mean", [0.0, 1.0, 1e4])
def test_distances_equal_scipy_whatever_the_common_mean(mean):
    points = _normal(40, 100, mean=mean)
    expected = cdist(points, points)
    np.testing.assert_allclose(Geometry(points).distances, expected, rtol=1e-10, atol=0)


def test_distances_of_near_duplicates_keep_their_digits():
    points = _normal(12, 50)
    points[6:] = points[:6] + 1e-9 * _normal(6, 50, seed=1)
    expected = cdist(points, points)
    np.testing.assert_allclose(Geometry(points).distances, expected, rtol=1e-8, atol=0)


def test_duplicates_are_at_distance_zero_and_tie_to_the_last_bit():
    points = _normal(33, 200)
    points[20] = points[3]
    points[31] = points[3]
    distances = Geometry(points).distances
    assert distances[3, 20] == distances[31, 20] == 0
    assert torch.equal(distances[3], distances[20])
    assert torch.equal(distances[:, 3], distances[:, 31])


def test_recomputed_distances_do_not_depend_on_the_chunk(monkeypatch):
    points = torch.cat([_normal(20, 7, scale=1e-6), 1 + _normal(20, 7, seed=1, scale=1e-6)])
    whole = Geometry(points).distances
    monkeypatch.setattr("cwda.numerics.distances.crowds._CHUNK", 50)
    assert torch.equal(Geometry(points).distances, whole)


@pytest.mark.parametrize("shape", [(3, 2), (16, 27), (64, 144), (50, 5)])
@pytest.mark.parametrize("mean", [0.0, 3.0])
def test_median_equals_the_textbook_iteration(shape, mean):
    points = _normal(*shape, seed=shape[0], mean=mean)
    found = Geometry(points).median
    np.testing.assert_allclose(found.distances, _weiszfeld(points.numpy()), rtol=1e-8, atol=1e-13)
    assert found.subgradient < 1e-11


def test_median_is_no_higher_than_a_general_optimiser_gets():
    points = _normal(20, 6, seed=4).numpy()
    best = minimize(lambda c: np.linalg.norm(points - c, axis=1).sum(), points.mean(0), tol=1e-12)
    median = Geometry(torch.from_numpy(points)).median
    assert median.distances.sum() <= best.fun + 1e-12
    np.testing.assert_allclose(median.weights.numpy() @ points, best.x, atol=1e-5)


def test_median_of_a_triangle_sees_its_sides_at_120_degrees():
    # right triangle with legs of 1: the sum of distances is sqrt(2 + sqrt(3))
    points = torch.tensor([[0.0, 0], [1, 0], [0, 1]], dtype=torch.float64)
    total = Geometry(points).median.distances.sum().item()
    assert total == pytest.approx(np.sqrt(2 + np.sqrt(3)), rel=1e-14)


def test_a_vertex_with_an_angle_over_120_degrees_is_the_median():
    points = torch.tensor([[0.0, 0], [1, 0.2], [-1, 0.2]], dtype=torch.float64)
    median = Geometry(points).median
    assert median.distances[0] == 0
    assert median.weights.tolist() == [1, 0, 0]
    assert median.subgradient == 0


def test_a_mean_on_a_point_that_is_not_the_median_is_left():
    # the mean is the third point, where the plain iteration divides by zero
    points = torch.tensor([[0.0, 0], [20, 0], [6, 6], [-6, 12], [10, 12]], dtype=torch.float64)
    assert torch.equal(points.mean(0), points[2])
    median = Geometry(points).median
    assert median.subgradient < 1e-12
    assert median.distances.sum() < Geometry(points).distances[2].sum() + 1e-12


def test_the_step_away_from_the_medoid_is_taken_where_the_mean_lies_higher():
    # an outlier draws the mean away, and the medoid is close to the median but not it
    points = torch.cat([_normal(9, 3, seed=2), torch.full((1, 3), 1e3, dtype=torch.float64)])
    geometry = Geometry(points)
    assert geometry.gram.diagonal().sqrt().sum() > geometry.distances.sum(1).min()
    np.testing.assert_allclose(geometry.median.distances, _weiszfeld(points.numpy()), rtol=1e-8)


def test_a_repeated_point_holds_the_median():
    points = torch.cat([_normal(6, 10), _normal(1, 10, seed=1).expand(7, 10)])
    assert Geometry(points).median.distances[6:].tolist() == [0.0] * 7


@pytest.mark.parametrize("points", [torch.ones(1, 4), torch.zeros(5, 4), torch.ones(2, 1)])
def test_points_that_coincide(points):
    geometry = Geometry(points.double())
    assert not geometry.distances.any()
    assert not geometry.median.distances.any()
    assert geometry.median.subgradient == 0


def test_two_points_and_points_on_a_line_give_a_point_that_is_a_median():
    assert Geometry(_normal(2, 5)).median.distances.min() == 0
    line = torch.tensor([[4.0], [1], [2], [9]], dtype=torch.float64)
    assert Geometry(line).median.distances.sum().item() == pytest.approx(10)


def test_a_batch_equals_its_members():
    batch = _normal(6, 16, 20)
    batch[2, 5] = batch[2, 9]
    batch[4, :9] = 0
    together = Geometry(batch)
    for points, distances, radii in zip(
        batch, together.distances, together.median.distances, strict=True
    ):
        np.testing.assert_allclose(distances, Geometry(points).distances, rtol=1e-12)
        np.testing.assert_allclose(radii, Geometry(points).median.distances, atol=1e-11)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 24),
    d=st.integers(1, 12),
    scale=st.sampled_from([1e-20, 1e-3, 1.0, 1e20]),
    repeats=st.integers(0, 12),
)
def test_median_is_proven_minimal_and_moves_with_the_points(seed, n, d, scale, repeats):
    rng = np.random.default_rng(seed)
    points = scale * rng.normal(size=(n, d)) * np.exp(rng.normal(size=(n, 1)))
    points[: min(repeats, n)] = points[0]
    median = Geometry(torch.from_numpy(points)).median
    assert median.subgradient < 1e-8
    turned, _ = np.linalg.qr(rng.normal(size=(d, d)))
    order = rng.permutation(n)
    moved = Geometry(torch.from_numpy(points[order] @ turned + scale)).median
    if d > 1 and n > 2 and np.linalg.matrix_rank(points - points.mean(0)) > 1:
        np.testing.assert_allclose(moved.distances, median.distances[order], atol=1e-7 * scale)


@pytest.mark.gpu
def test_the_gpu_agrees():
    points = _normal(64, 300)
    here, there = Geometry(points), Geometry(points.cuda())
    np.testing.assert_allclose(there.distances.cpu(), here.distances, rtol=1e-12)
    np.testing.assert_allclose(there.median.distances.cpu(), here.median.distances, rtol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(40, 9), (24, 60)])
@pytest.mark.parametrize("scale", [1e-3, 1e-6])
def test_median_of_points_that_mostly_crowd_together(n, d, scale):
    """Dead filters: more than half of the points lie in a far corner, nearly equal."""
    rng = np.random.default_rng(n)
    points = rng.normal(size=(n, d))
    points[: n // 2 + 3] *= scale
    points += rng.normal(size=d)
    geometry = Geometry(torch.from_numpy(points))
    assert geometry.median.subgradient < 1e-9
    found = geometry.median.weights.numpy() @ points
    total = np.linalg.norm(points - found, axis=1).sum()
    # No point of a finer and finer cloud around it has a smaller sum of distances.
    for size in (1.0, 1e-2, 1e-4, 1e-7):
        for step in rng.normal(size=(50, d)) * size * scale:
            assert np.linalg.norm(points - found - step, axis=1).sum() >= total * (1 - 1e-14)
    distances = np.linalg.norm(points - found, axis=1)
    np.testing.assert_allclose(geometry.median.distances, distances, rtol=1e-8, atol=1e-8 * scale)


def _crowds(m, n=24, d=30):
    """Sets with a crowd of most points, a closer one in it, duplicates, and a second crowd."""
    points = _normal(m, n, d, seed=7)
    points[:, :14] *= 1e-4
    points[:, :8] *= 1e-5
    points[:, 6] = points[:, 7]
    points[:, 2] = points[:, 9]
    points[:, 18:] = 5 + 1e-3 * points[:, 18:]
    return points + _normal(1, 1, d, seed=8)


def test_distances_within_crowds_are_those_of_the_differences():
    points = _crowds(3)
    for found, one in zip(Geometry(points).distances, points, strict=True):
        np.testing.assert_allclose(found, cdist(one, one), rtol=1e-10, atol=0)
        assert found[6, 7] == found[2, 9] == 0
        assert torch.equal(found[6], found[7])


def test_a_batch_with_crowds_equals_its_members():
    batch = torch.cat([_normal(3, 24, 30), _crowds(3)])[[0, 3, 1, 4, 5, 2]]
    together = Geometry(batch)
    assert together.median.subgradient.max() < 1e-12
    for points, distances, radii in zip(
        batch, together.distances, together.median.distances, strict=True
    ):
        alone = Geometry(points)
        np.testing.assert_allclose(distances, alone.distances, rtol=1e-11)
        np.testing.assert_allclose(radii, alone.median.distances, rtol=1e-9)


def test_equal_points_are_equally_far_from_the_median_to_the_last_bit():
    radii = Geometry(_crowds(5)).median.distances
    assert torch.equal(radii[:, 6], radii[:, 7])
    assert torch.equal(radii[:, 2], radii[:, 9])


def test_the_median_of_crowds_moves_with_them():
    points = _crowds(1)[0].numpy()
    turned, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(30, 30)))
    here = Geometry(torch.from_numpy(points)).median
    there = Geometry(torch.from_numpy(points @ turned + 3.0)).median
    # the rotated points themselves are rounded to 1e-16 of their size, far above the closest crowd
    np.testing.assert_allclose(there.distances, here.distances, atol=1e-13)


@pytest.mark.parametrize("n", [4, 7, 30])
def test_the_median_of_points_on_a_line_lies_between_the_middle_ones(n):
    place = np.sort(np.random.default_rng(n).normal(size=n))
    points = torch.from_numpy(place[:, None] * np.array([[3.0, 4.0, 0.0]]))
    median = Geometry(points).median
    least = 5 * np.abs(place - np.median(place)).sum()
    assert median.distances.sum().item() == pytest.approx(least, rel=1e-12)


def test_a_median_next_to_a_point_is_told_from_it():
    """One filter holds the median but for a hair: the slowest case of the plain iteration."""
    spokes = torch.eye(3, dtype=torch.float64)
    points = torch.cat([torch.zeros(1, 3).double(), spokes[:1], -spokes[:1], spokes[1:2]])
    points = torch.cat([points, torch.tensor([[0.0, 1e-3, 1.0]]).double() * -1e-3])
    median = Geometry(points).median
    assert median.subgradient < 1e-12
    assert median.steps < 100
    np.testing.assert_allclose(
        median.distances.sum(), _weiszfeld(points.numpy(), 5_000).sum(), rtol=1e-6
    )


def test_products_of_large_sets_take_half_and_are_symmetric():
    points = _normal(300, 40)
    gram = Geometry(points).gram
    centred = points - points.mean(0)
    np.testing.assert_allclose(gram, centred @ centred.T, atol=1e-12)
    np.testing.assert_allclose(gram, gram.T, atol=1e-13)
    assert torch.equal(Geometry(points[None]).gram[0], gram)


def test_large_crowds_cost_no_pairs(monkeypatch):
    """Crowds get Gram matrices of their own; computed pair by pair they would take minutes."""
    points = _normal(200, 50)
    points[:150] *= 1e-4 * torch.linspace(-6, 6, 150, dtype=torch.float64).exp()[:, None]
    expected = cdist(points, points)
    pairs = []
    monkeypatch.setattr(
        "cwda.numerics.distances.crowds._recompute_pairs",
        lambda points, distances, left: pairs.append(len(left)),
    )
    found = Geometry(points).distances
    assert pairs[0] < 200
    far = np.abs(found.numpy() - expected) > 1e-10 * expected
    assert far.sum() <= 2 * pairs[0]
