"""Safetensors files, written by their own library, and damaged ones."""

from __future__ import annotations

import gzip
import json
import struct

import pytest
import torch
from safetensors.torch import save_file

from cwda.errors import UnreadableError
from cwda.loading import load


def random(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_safetensors(tmp_path, dtype):
    state = {"a.weight": random(4, 3, 3, 3, dtype=dtype), "b.weight": random(4, 4, 3, dtype=dtype)}
    save_file(state | {"c.bias": random(3)}, tmp_path / "m.anything")
    network = load(tmp_path / "m.anything")
    assert network.provenance.format == "safetensors"
    for layer in network:
        assert layer.weight.dtype == dtype
        assert torch.equal(layer.weight, state[f"{layer.name}.weight"])


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b'{"a.weight": 3}',
        b'{"a.weight": {"dtype": "F32", "shape": [1, 1, 1], "data_offsets": [0, 8]}}',
        b'{"a.weight": {"dtype": "F32", "shape": [1, 1, -1], "data_offsets": [0, 4]}}',
        b'{"a.weight": {"dtype": "F32", "shape": [1, 1, 4e9], "data_offsets": [0, 4]}}',
        b'{"a.weight": {"dtype": "F32", "shape": [1, 1, 9], "data_offsets": [0, 36]}}',
        b'{"a":' + b"[" * 200_000,
        b"{\xff}",
    ],
)
def test_damaged_safetensors_headers(tmp_path, header):
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    with pytest.raises(UnreadableError):
        load(path)


@pytest.mark.parametrize("length", [200_000_000, 2**39])
def test_huge_safetensors_headers_are_refused(tmp_path, length):
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}      ")
    with pytest.raises(UnreadableError, match=r"bytes long|cut off"):
        load(path)


@pytest.mark.parametrize("length", [0x178, 0x5E78, 0x9C78, 0xDA78, 0x4178, 0x088B1F])
def test_safetensors_whose_length_is_another_format_s_magic_number(tmp_path, length):
    entry = {"conv.weight": {"dtype": "F32", "shape": [8, 3, 3, 3], "data_offsets": [0, 864]}}
    header = json.dumps(entry).encode().ljust(length)
    path = tmp_path / "m.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + header + bytes(864))
    assert load(path)["conv"].weight.shape == (8, 3, 3, 3)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_order_is_that_of_the_data_and_the_header_names_the_library(tmp_path, compressed):
    kernels = {"z.weight": random(16, 3, 3, 8), "a.weight": random(24, 3, 3, 16)}
    header, data = {"__metadata__": {"format": "mlx"}}, b""
    for name, kernel in kernels.items():
        end = len(data) + 4 * kernel.numel()
        header[name] = {
            "dtype": "F32",
            "shape": list(kernel.shape),
            "data_offsets": [len(data), end],
        }
        data += kernel.numpy().tobytes()
    text = json.dumps(header).encode()
    whole = struct.pack("<Q", len(text)) + text + data
    (tmp_path / "m").write_bytes(gzip.compress(whole) if compressed else whole)
    network = load(tmp_path / "m")
    assert [layer.name for layer in network] == ["z", "a"]
    assert torch.equal(network["z"].weight, kernels["z.weight"].permute(0, 3, 1, 2))


def test_elements_of_less_than_a_byte_are_left_out(tmp_path):
    header = {
        "a.weight": {"dtype": "F4", "shape": [4, 4, 3, 3], "data_offsets": [0, 72]},
        "b.weight": {"dtype": "U16", "shape": [2, 2, 1, 1], "data_offsets": [72, 80]},
    }
    text = json.dumps(header).encode()
    (tmp_path / "m").write_bytes(struct.pack("<Q", len(text)) + text + bytes(80))
    with pytest.raises(UnreadableError, match="elements of type F4"):
        load(tmp_path / "m")
