from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cwda.numerics.normality.energy_image import energy_image


def naive(filters: np.ndarray, cell: int) -> np.ndarray:
    """Root mean squares of the cells of the full matrix."""
    moments = filters.T @ filters / len(filters)
    starts = range(0, len(moments), cell)
    return np.array(
        [
            [np.sqrt(np.mean(moments[a : a + cell, b : b + cell] ** 2)) for b in starts]
            for a in starts
        ]
    )


@pytest.mark.parametrize("cell", [1, 2, 9, 10, 100])
@pytest.mark.parametrize("tile", [1, 20, 1024])
def test_equals_the_full_matrix(cell, tile):
    filters = np.random.default_rng(0).standard_normal((13, 72))
    found = energy_image(torch.from_numpy(filters), cell, tile=tile).numpy()
    np.testing.assert_allclose(found, naive(filters, cell), rtol=1e-10, atol=0)


def test_single_precision_is_multiplied_in_double():
    filters = torch.randn(8, 36, generator=torch.Generator().manual_seed(0))
    assert torch.equal(energy_image(filters, 9), energy_image(filters.double(), 9))


class Largest(TorchDispatchMode):
    """The size of the largest tensor made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numbers = max(self.numbers, out.untyped_storage().nbytes() // 8)
        return out


def test_the_matrix_of_a_large_layer_is_never_held():
    filters = torch.randn(512, 512 * 9, generator=torch.Generator().manual_seed(0)).double()
    with Largest() as largest:
        picture = energy_image(filters, 9)
    assert picture.shape == (512, 512)
    # The weights themselves, 512 x 4608, are the largest; the full matrix has nine times as many.
    assert largest.numbers <= max(1024**2, filters.numel())
