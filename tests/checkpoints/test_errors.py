"""Unreadable input ends in one clear line; damaged files never in anything else."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cwda.errors import CwdaError, SourceError, UnreadableError
from cwda.loading import load

STATE = {
    "a.weight": torch.arange(54.0).reshape(2, 3, 3, 3),
    "b.weight": torch.arange(20.0).reshape(2, 2, 5),
}


def write(path, kind):
    """A small file of each format, of two convolutions."""
    if kind in ("zip", "legacy"):
        torch.save({"state_dict": STATE}, path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "safetensors":
        save_file(STATE, path)
    elif kind == "npz":
        with path.open("wb") as file:
            np.savez_compressed(file, **{key: value.numpy() for key, value in STATE.items()})
    elif kind == "onnx":
        onnx = pytest.importorskip("onnx")
        tensors = [onnx.numpy_helper.from_array(v.numpy(), k) for k, v in STATE.items()]
        nodes = [onnx.helper.make_node("Conv", ["x", key], ["y"]) for key in STATE]
        graph = onnx.helper.make_graph(nodes, "g", [], [], initializer=tensors)
        onnx.save(onnx.helper.make_model(graph, ir_version=8), path)
    elif kind == "hdf5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file["conv/kernel"] = np.ones((3, 3, 2, 4), "float32")
    return path


KINDS = ["zip", "legacy", "safetensors", "npz", "onnx", "hdf5"]

UNREADABLE = {
    "empty": (b"", "empty"),
    "png": (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "PNG"),
    "jpeg": (b"\xff\xd8\xff\xe0" + b"\0" * 50, "JPEG"),
    "text": (b"epoch 1: loss 0.3\nepoch 2: loss 0.2\n", "text file"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
    "html": (b"\n<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "gzip": (b"\x1f\x8b\x08" + b"\0" * 40, "gzip"),
    "json": (b'{"error": "not found"}', "text file"),
    "zeros": (b"\0" * 100, "not a known checkpoint"),
    "noise": (bytes(range(200, 256)) * 4, "not a known checkpoint"),
    "empty zip": (b"PK\x05\x06" + b"\0" * 18, "archive"),
    "cut zip": (b"PK\x03\x04" + b"\0" * 30, "archive is damaged"),
    "gguf": (b"GGUF\3\0\0\0" + b"\0" * 40, "GGUF"),
}


def assert_one_line(error, path):
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    assert len(message) < 500


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_checkpoint(tmp_path, kind):
    data, expected = UNREADABLE[kind]
    path = tmp_path / "model.pth"
    path.write_bytes(data)
    with pytest.raises(UnreadableError, match=expected) as error:
        load(path)
    assert_one_line(error, path)


def test_missing_file(tmp_path):
    for source in (tmp_path / "no.pth", str(tmp_path / "no.pth")):
        with pytest.raises(SourceError, match="no such file") as error:
            load(source)
        assert_one_line(error, tmp_path / "no.pth")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_no_permission(tmp_path):
    path = write(tmp_path / "m.pth", "zip")
    path.chmod(0)
    with pytest.raises(SourceError, match="permission"):
        load(path)


def test_special_files():
    with pytest.raises(CwdaError, match="/dev/null"):
        load("/dev/null")


def test_no_convolution_inside(tmp_path):
    path = tmp_path / "m.pth"
    torch.save({"fc.weight": torch.ones(10, 20), "fc.bias": torch.ones(10)}, path)
    with pytest.raises(UnreadableError, match=r"no convolution among 2.*fc.weight") as error:
        load(path)
    assert_one_line(error, path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(UnreadableError, match="no tensors"):
        load(path)


def message_of(path):
    """The one line of a failure, empty if the file loads; anything but CwdaError escapes."""
    try:
        load(path)
    except CwdaError as error:
        lines = str(error).split("\n")
    else:
        return ""
    (line,) = lines
    return line


@pytest.mark.parametrize("kind", KINDS)
def test_truncation_at_many_points(tmp_path, kind):
    data = write(tmp_path / "whole", kind).read_bytes()
    path = tmp_path / "cut.pth"
    loaded = 0
    for end in sorted({*range(0, len(data), max(1, len(data) // 120)), len(data) - 1}):
        path.write_bytes(data[:end])
        loaded += not message_of(path)
    assert loaded <= 3  # a legacy pickle or HDF5 file may end in bytes that nothing needs


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hdf5"])
@pytest.mark.filterwarnings("error")
def test_flipped_bits(tmp_path, kind):
    data = write(tmp_path / "whole", kind).read_bytes()
    path = tmp_path / "flipped.pth"
    rng = random.Random(0)
    failed = 0
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(rng.choice((1, 1, 4))):
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        failed += bool(message_of(path))
    assert failed > 20


def test_flipped_bits_of_hdf5(tmp_path):
    """In a process of its own: damage may reach code of the HDF5 library."""
    write(tmp_path / "whole", "hdf5")
    script = textwrap.dedent("""
        import random, sys
        from pathlib import Path
        from cwda.errors import CwdaError
        from cwda.loading import load
        folder = Path(sys.argv[1])
        data, rng, failed = (folder / "whole").read_bytes(), random.Random(0), 0
        for _ in range(25):  # each is read in a further process first
            damaged = bytearray(data)
            damaged[rng.randrange(1000)] ^= 1 << rng.randrange(8)
            (folder / "flipped.h5").write_bytes(damaged)
            try:
                load(folder / "flipped.h5")
            except CwdaError:
                failed += 1
        print(failed)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 2


@pytest.mark.slow
def test_only_convolutions_are_read(tmp_path):
    """Peak memory of a process that loads 2 MB of convolutions out of files of 300 MB."""
    pytest.importorskip("resource", reason="Windows does not tell the largest memory")
    paths = [tmp_path / "zip.pth", tmp_path / "legacy.pth"]
    big = torch.zeros(9_000_000)
    state = {
        "state_dict": {f"fc{i}.weight": (big + i).reshape(3000, 3000) for i in range(4)},
        "optimizer": {
            "state": {i: {"exp_avg": (big - i).reshape(9, 1000, 1000)} for i in range(5)}
        },
    }
    state["state_dict"]["conv.weight"] = torch.ones(256, 256, 3, 3)
    for path in paths:
        torch.save(state, path, _use_new_zipfile_serialization=path.stem == "zip")
        assert path.stat().st_size > 300_000_000
    del state
    script = textwrap.dedent("""
        import resource, sys
        import torch
        from cwda.loading import load
        torch.save({"conv.weight": torch.ones(8, 3, 3, 3)}, sys.argv[1])
        load(sys.argv[1])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in sys.argv[2:]:
            network = load(path)
            assert network.n_weights == 589_824 and len(network.skipped) == 5
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "small.pth", *paths],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    unit = 1 if sys.platform == "darwin" else 1024
    grown = [int(line) * unit for line in done.stdout.split()]
    assert len(grown) == len(paths)
    assert max(grown) < 30_000 * 1024


def test_loading_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in KINDS:
            assert load(write(tmp_path / kind, kind)).layers


def test_names_of_files_with_dots(tmp_path):
    write(tmp_path / "resnet.v2.pth.tar", "zip")
    assert load(tmp_path / "resnet.v2.pth.tar").name == "resnet.v2"
    assert load(tmp_path / "resnet.v2.pth.tar", name="other").name == "other"
    assert json.dumps(load(tmp_path / "resnet.v2.pth.tar").provenance.source)
