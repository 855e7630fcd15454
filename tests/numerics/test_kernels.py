import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cwda.numerics.compiled.compiler import compiled
from cwda.numerics.pairs import blocks as sums_of_blocks
from cwda.numerics.pairs import chunks
from cwda.numerics.pairs.kernels import pair_kernels
from cwda.numerics.pairs.moments import GramMoments
from cwda.numerics.pairs.products import Rows

from .loops import kernels as loop_kernels

SHAPES = [(10, 4, 9), (9, 5, 1), (12, 1, 9), (8, 3, 30), (11, 2, 4), (140, 2, 3), (131, 3, 2)]
WAYS = ("compiled", "products", "direct")
NAMES = ("mean", "variance", "positions", "within", "between", "halves")


def draw(shape, seed=0, mean=0.4):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal(shape) * rng.uniform(0.5, 2, shape[1:]) + mean)


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Each of the ways to sum over blocks, whatever the size of the layer."""
    if request.param == "compiled" and compiled("block_squares", "add_block_squares") is None:
        pytest.skip("numba cannot compile here")
    worth = 0 if request.param == "compiled" else 1 << 60
    largest = 0 if request.param == "direct" else 1 << 10
    monkeypatch.setattr(chunks, "WORTH_COMPILED", worth)
    monkeypatch.setattr(sums_of_blocks, "LARGEST_EXPANDED_KERNEL", largest)
    return request.param


@pytest.mark.parametrize("shape", SHAPES)
def test_kernels_equal_plain_loops(shape, way):
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
        assert torch.equal(kernel, kernel.T)
    whole = GramMoments(*found.moments["whole"].numpy())
    np.testing.assert_allclose(whole.centred_squares(), expected["total"].sum(axis=1), rtol=1e-9)


def test_the_ways_agree_where_the_mean_dominates(monkeypatch):
    """Filters of one shape: centred ones are a millionth of them."""
    blocks = 1 + 1e-6 * draw((70, 5, 9), mean=0.0)
    found = {}
    for way, (worth, largest) in {"compiled": (0, 0), "products": (1 << 60, 25)}.items():
        monkeypatch.setattr(chunks, "WORTH_COMPILED", worth)
        monkeypatch.setattr(sums_of_blocks, "LARGEST_EXPANDED_KERNEL", largest)
        found[way] = pair_kernels(blocks)
    for name in NAMES:
        one, other = (getattr(kernels, name) for kernels in found.values())
        assert float((one - other).abs().max()) <= 1e-10 * float(one.abs().max())


def test_chunks_of_channels_and_of_rows_do_not_change_the_result(monkeypatch, way):
    blocks = draw((300, 7, 9))
    whole = pair_kernels(blocks)
    monkeypatch.setattr("cwda.numerics.pairs.chunks.NUMBERS", 300 * 9 * 3)
    monkeypatch.setattr("cwda.numerics.pairs.blocks.PRODUCT_NUMBERS", 300 * 36 * 2)
    monkeypatch.setattr("cwda.numerics.pairs.kernels.ROW_NUMBERS", 300)
    chunked = pair_kernels(blocks)
    for name in (*NAMES, "energy"):
        expected = getattr(whole, name)
        tolerance = 1e-12 * float(expected.abs().max())
        assert float((getattr(chunked, name) - expected).abs().max()) <= tolerance
    for name, expected in whole.moments.items():
        torch.testing.assert_close(
            chunked.moments[name], expected, rtol=1e-9, atol=1e-9, equal_nan=True
        )


def test_threads_do_not_change_the_result(monkeypatch):
    monkeypatch.setattr(chunks, "WORTH_COMPILED", 0)
    blocks = draw((200, 3, 9))
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            found.append(pair_kernels(blocks, ["within"]).within)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(*found, rtol=1e-13, atol=1e-12)


def test_without_numba_the_products_give_the_numbers(monkeypatch):
    blocks = draw((20, 3, 9))
    expected = pair_kernels(blocks).within
    monkeypatch.setattr(chunks, "WORTH_COMPILED", 0)
    for room in (sums_of_blocks, chunks):
        monkeypatch.setattr(room, "compiled", lambda *names: None)
    assert torch.equal(pair_kernels(blocks).within, expected)


def test_energy_and_gram_are_those_of_the_filters():
    blocks = draw((10, 3, 4), mean=5.0)
    filters = blocks.reshape(10, -1)
    found = pair_kernels(blocks)
    expected = (filters @ filters.T).fill_diagonal_(0)
    torch.testing.assert_close(found.mean, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.energy, filters.square().sum(1), rtol=1e-12, atol=0)


def test_only_what_is_asked_for_is_computed():
    found = pair_kernels(draw((9, 3, 4)), ["variance"])
    assert found.variance is not None
    assert [found.positions, found.within, found.between, found.halves] == [None] * 4
    assert pair_kernels(draw((9, 3, 4)), ["mean"]).moments == {}


def test_the_mean_alone_is_what_it_is_beside_others():
    blocks = draw((40, 3, 9))
    alone, beside = pair_kernels(blocks, ["mean"]), pair_kernels(blocks)
    for name in ("mean", "energy", "channel_energy"):
        expected = getattr(beside, name)
        torch.testing.assert_close(getattr(alone, name), expected, rtol=1e-11, atol=1e-11)


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
    for name in ("variance", "positions", "within", "between", "halves"):
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
    for name in set(NAMES) - {"halves"}:
        expected = getattr(plain, name)[filters][:, filters]
        torch.testing.assert_close(getattr(other, name), expected, rtol=1e-9, atol=1e-8)


def test_rows_of_products_add_up(monkeypatch):
    rng = np.random.default_rng(3)
    first, second = (torch.from_numpy(rng.standard_normal((300, m))) for m in (5, 9))
    whole = torch.empty(300, 300, dtype=torch.float64)
    parts = [Rows(0, 140), Rows(140, 300)]
    for rows in parts:
        out = rows.zeros(first)
        for x in (first, second):
            rows.add_product(out, x, x)
        whole[rows.first : rows.last, : rows.last] = out
    for rows in parts:
        rows.mirror(whole)
    both = torch.cat([first, second], dim=1)
    torch.testing.assert_close(whole, both @ both.T, rtol=1e-12, atol=1e-12)


@pytest.mark.gpu
def test_cuda_gives_the_numbers_of_the_cpu():
    blocks = draw((64, 8, 9))
    cpu, gpu = pair_kernels(blocks), pair_kernels(blocks, device="cuda")
    for name in NAMES:
        torch.testing.assert_close(getattr(gpu, name).cpu(), getattr(cpu, name))
