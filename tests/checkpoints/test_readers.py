"""The one list of readers: what it knows, everybody else asks it for."""

from __future__ import annotations

import numpy as np
import torch
from safetensors.torch import save_file

from cwda.checkpoints.formats import read_file


def random(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def test_format_is_told_by_content_alone(tmp_path):
    """Every format under a wrong name."""
    torch.save({"a.weight": random(4, 3, 3, 3)}, tmp_path / "m.onnx")
    save_file({"a.weight": random(4, 3, 3, 3)}, tmp_path / "m.h5")
    np.save(tmp_path / "x.npy", random(4, 3, 3, 3).numpy())
    (tmp_path / "x.npy").rename(tmp_path / "m.pth")
    kinds = {name: read_file(tmp_path / name).format for name in ("m.onnx", "m.h5", "m.pth")}
    assert kinds == {"m.onnx": "torch zip", "m.h5": "safetensors", "m.pth": "npy"}
