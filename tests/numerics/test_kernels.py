import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cwda.numerics.gram import PanelGram
from cwda.numerics.kernels import pair_kernels

from .loops import kernels as loop_kernels

SHAPES = [(10, 4, 9), (9, 5, 1), (12, 1, 9), (8, 3, 30), (11, 2, 4), (140, 2, 3)]
NAMES = ("mean", "variance", "total", "within", "between")


def draw(shape, seed=0, mean=0.4):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal(shape) * rng.uniform(0.5, 2, shape[1:]) + mean)


@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_equal_plain_loops(shape):
    blocks = draw(shape)
    found = pair_kernels(blocks)
    expected = loop_kernels(blocks.numpy())
    for name in NAMES:
        kernel = getattr(found, name)
        if kernel is None:
            # Without a second position or channel, the quantity is zero by definition.
            assert np.abs(expected[name]).max() < 1e-8
            continue
        scale = np.abs(expected[name]).max()
        assert np.abs(kernel.numpy() - expected[name]).max() <= 1e-10 * scale
        assert torch.equal(kernel.diagonal(), torch.zeros(shape[0], dtype=torch.float64))


def test_chunks_of_channels_do_not_change_the_result(monkeypatch):
    blocks = draw((16, 7, 9))
    whole = pair_kernels(blocks)
    monkeypatch.setattr("cwda.numerics.kernels.CHUNK_NUMBERS", 16 * 9 * 3)
    monkeypatch.setattr("cwda.numerics.kernels.PRODUCT_NUMBERS", 16 * 36 * 2)
    chunked = pair_kernels(blocks)
    for name in NAMES:
        torch.testing.assert_close(
            getattr(chunked, name), getattr(whole, name), rtol=1e-11, atol=1e-9
        )


def test_energy_and_gram_are_those_of_the_filters():
    blocks = draw((10, 3, 4), mean=5.0)
    filters = blocks.reshape(10, -1)
    found = pair_kernels(blocks)
    torch.testing.assert_close(found.gram, filters @ filters.T, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.energy, filters.square().sum(1), rtol=1e-12, atol=0)


def test_only_what_is_asked_for_is_computed():
    found = pair_kernels(draw((9, 3, 4)), variance=False, covariance=False)
    assert found.variance is None
    assert found.within is None
    assert found.between is None
    assert found.total is None


def test_float32_weights_are_computed_in_float64():
    blocks = draw((12, 3, 9)).float()
    found, same = pair_kernels(blocks), pair_kernels(blocks.double())
    assert torch.equal(found.within, same.within)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(-3, 3), factor=st.floats(0.01, 100))
def test_covariance_kernels_ignore_the_mean_and_follow_the_scale(seed, shift, factor):
    blocks = draw((9, 3, 4), seed=seed, mean=0.0)
    plain = pair_kernels(blocks)
    moved = pair_kernels(blocks * factor + shift * factor)
    for name in ("within", "between", "total"):
        expected = getattr(plain, name) * factor**4
        tolerance = 1e-9 * float(expected.abs().max())
        assert float((getattr(moved, name) - expected).abs().max()) <= tolerance


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_of_filters_channels_and_positions_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    blocks = draw((9, 4, 4), seed=seed)
    filters, channels, positions = (rng.permutation(m) for m in blocks.shape)
    shuffled = blocks[filters][:, channels][:, :, positions]
    plain, other = pair_kernels(blocks), pair_kernels(shuffled)
    for name in NAMES:
        expected = getattr(plain, name)[filters][:, filters]
        torch.testing.assert_close(getattr(other, name), expected, rtol=1e-9, atol=1e-8)


def test_panel_gram_adds_up_over_panels():
    rng = np.random.default_rng(3)
    first, second = (torch.from_numpy(rng.standard_normal((300, m))) for m in (5, 9))
    gram = PanelGram(300, torch.device("cpu"))
    gram.add(first)
    gram.add(second)
    both = torch.cat([first, second], dim=1)
    torch.testing.assert_close(gram.symmetric(), both @ both.T, rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
def test_cuda_gives_the_numbers_of_the_cpu():
    blocks = draw((64, 8, 9))
    cpu, gpu = pair_kernels(blocks), pair_kernels(blocks, device="cuda")
    for name in NAMES:
        torch.testing.assert_close(getattr(gpu, name).cpu(), getattr(cpu, name))
