"""Files of numpy: one array, and archives of arrays."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch

from cwda.errors import UnreadableError
from cwda.loading import load


def random(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def test_npz_and_npy(tmp_path):
    conv, paper = random(4, 3, 3, 3).numpy(), random(3, 9, 4).numpy()
    np.savez(tmp_path / "m.npz", **{"a/weight": conv, "c": conv[0, 0]})
    np.savez_compressed(tmp_path / "packed.npz", **{"a/weight": conv})
    for name in ("m.npz", "packed.npz"):
        network = load(tmp_path / name)
        assert [layer.name for layer in network] == ["a"]
        assert (network["a"].weight.numpy() == conv).all()
    np.savez(tmp_path / "paper.npz", mine=paper, x_test=conv)
    network = load(tmp_path / "paper.npz")
    assert [layer.name for layer in network] == ["mine"]
    assert (network["mine"].array == paper).all()
    assert any("N x k^2 x N'" in note for note in network.assumptions)


def test_names_of_weights_in_an_npz_decide_about_all_arrays(tmp_path):
    others = {
        "block/query/bias": (12, 4, 16),
        "rel_table": (12, 49, 49),
        "x": (5, 28, 28, 1),
        "c/kernel/Adam:0": (3, 3, 3, 8),
        "c/kernel/Momentum": (3, 3, 3, 8),
        "c/kernel/ExponentialMovingAverage:0": (3, 3, 3, 8),
    }
    arrays = {name: np.ones(shape, np.float32) for name, shape in others.items()}
    kernel = random(3, 3, 3, 8).numpy()
    np.savez(tmp_path / "m.npz", **{"c/kernel:0": kernel}, **arrays)
    network = load(tmp_path / "m.npz")
    assert [layer.name for layer in network] == ["c"]
    assert (network["c"].weight.numpy() == kernel.transpose(3, 2, 0, 1)).all()
    reasons = [entry.reason for entry in network.skipped]
    assert sum(reason == "optimizer state" for reason in reasons) == 2
    assert sum("moving average" in reason for reason in reasons) == 1
    assert sum("not named" in reason for reason in reasons) == 3


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("code", ["<f4", ">f8", "<f2"])
def test_npy_orders(tmp_path, order, code):
    array = np.asarray(random(5, 9, 4).numpy().astype(code), order=order)
    np.save(tmp_path / "m.npy", array)
    assert (load(tmp_path / "m.npy").layers[0].array == array).all()


def test_npz_with_a_huge_announced_shape(tmp_path):
    head = io.BytesIO()
    shape = (1_000_000, 9, 1_000_000)
    np.lib.format.write_array_header_1_0(
        head, {"shape": shape, "fortran_order": False, "descr": "<f4"}
    )
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("a.npy", head.getvalue() + b"\0" * 100)
    with pytest.raises(UnreadableError, match="cut off"):
        load(tmp_path / "m.npz")
