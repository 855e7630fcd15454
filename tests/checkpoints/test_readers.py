"""The one list of readers: what it knows, everybody else asks it for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks.hostile.formats import FORMATS, NAMES, healthy, healthy_file
from cwda.checkpoints import formats
from cwda.checkpoints.foreign.foreign import Glance
from cwda.checkpoints.formats import (
    FOREIGN,
    READERS,
    is_usual_name,
    list_of_formats,
    read_file,
    without_suffix,
)
from cwda.containers.mapped import map_file
from cwda.errors import SourceError, UnreadableError
from cwda.loading import load

ROOT = Path(__file__).resolve().parents[2]
#: Samples of the study that consist of several files under one index.
SEVERAL = {"sharded"}


def readers_of(path):
    return [reader for reader in READERS if reader.recognises(map_file(path))]


@pytest.mark.parametrize("kind", list(FORMATS))
def test_a_sample_is_recognised_and_read(tmp_path, kind):
    pytest.importorskip("onnx")
    pytest.importorskip("h5py")
    network = load(healthy_file(kind, tmp_path))
    names = NAMES.get(kind, tuple(healthy()))
    assert [layer.name for layer in network] == list(names)
    for layer, value in zip(network, healthy().values(), strict=False):
        assert np.array_equal(layer.weight.numpy(), value)


def test_every_reader_is_in_the_study_of_hostile_files(tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("h5py")
    asked = set()
    for number, kind in enumerate(set(FORMATS) - SEVERAL - {"compressed pickle"}):
        folder = tmp_path / str(number)
        folder.mkdir()
        asked.add(readers_of(healthy_file(kind, folder))[0])
    assert asked == set(READERS)


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - SEVERAL))
def test_what_is_read_is_not_called_foreign(tmp_path, kind):
    """A format that is read from now on has no entry left that says what to do instead."""
    pytest.importorskip("onnx")
    pytest.importorskip("h5py")
    path = healthy_file(kind, tmp_path)
    glance = Glance(path, map_file(path).data)
    assert [foreign.what for foreign in FOREIGN if foreign.is_told_by(glance)] == []
    taken = {suffix for foreign in FOREIGN for suffix in foreign.suffixes}
    for reader in readers_of(path):
        assert not taken & {*reader.suffixes}


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_usual_endings_tell_a_path_from_a_name(reader):
    for suffix in reader.suffixes:
        assert is_usual_name(f"best.{suffix}")
        assert without_suffix(f"best.{suffix}") == "best"
        with pytest.raises(SourceError, match="no such file"):
            load(f"best.{suffix}")


def test_names_of_readers_and_their_extras():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len({reader.name for reader in READERS}) == len(READERS)
    assert {reader.extra for reader in READERS} - {""} <= set(project["optional-dependencies"])


def test_the_list_of_formats_is_in_the_documentation():
    """Otherwise print `cwda.checkpoints.formats.list_of_formats()` and put it there."""
    assert list_of_formats() in (ROOT / "docs" / "extraction.md").read_text()


def test_the_lines_of_formats_that_are_not_read():
    for each in FOREIGN:
        assert re.fullmatch(r"this is [^;]+; [^;]+", each.line)


def test_format_is_told_by_content_alone(tmp_path):
    """Every format under a wrong name."""
    kernel = torch.arange(108.0).reshape(4, 3, 3, 3)
    torch.save({"a.weight": kernel}, tmp_path / "m.onnx")
    save_file({"a.weight": kernel}, tmp_path / "m.h5")
    np.save(tmp_path / "x.npy", kernel.numpy())
    (tmp_path / "x.npy").rename(tmp_path / "m.pth")
    kinds = {name: read_file(tmp_path / name).format for name in ("m.onnx", "m.h5", "m.pth")}
    assert kinds == {"m.onnx": "torch zip", "m.h5": "safetensors", "m.pth": "npy"}


@pytest.mark.parametrize("kind", ["HDF5", "ONNX"])
def test_what_is_read_by_its_path_has_to_be_unpacked(tmp_path, kind):
    import gzip

    pytest.importorskip("onnx")
    pytest.importorskip("h5py")
    path = healthy_file(kind, tmp_path)
    (tmp_path / "m.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(UnreadableError, match=f"a file of {kind}; unpack it"):
        load(tmp_path / "m.gz")


def test_supported_libraries_are_those_of_the_readers(tmp_path, monkeypatch):
    (tmp_path / "m.bin").write_bytes(b"\1\2\3" * 20)
    last = READERS[-1].library
    with pytest.raises(UnreadableError, match=rf"a file of safetensors, .* or {last}$"):
        load(tmp_path / "m.bin")
    monkeypatch.setattr(formats, "READERS", READERS[:2])
    with pytest.raises(UnreadableError, match=r"a file of safetensors or PyTorch$"):
        load(tmp_path / "m.bin")
