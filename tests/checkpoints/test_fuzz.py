"""Damage without end, by hypothesis, and the inputs that once broke a reader."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import cwda
from benchmarks.hostile.formats import healthy_file
from cwda.containers.json_text import parse_json
from cwda.containers.protobuf import varints
from cwda.errors import CwdaError, UnreadableError
from cwda.layers import ConvLayer
from cwda.loading import load

WEIGHT = torch.arange(8 * 3 * 9, dtype=torch.float32).reshape(8, 3, 3, 3)
RELAXED = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def line_of(path):
    """The one line of a refusal, empty for a network; the net under the readers stays empty."""
    refusal = None
    try:
        load(path)
    except CwdaError as error:
        refusal = error
    if refusal is None:
        return ""
    assert refusal.__cause__ is None, repr(refusal.__cause__)
    assert "\n" not in str(refusal)
    return str(refusal)


def healthy(kind, tmp_path):
    path = tmp_path / f"healthy-{kind}"
    if kind in ("zip", "legacy"):
        torch.save({"conv.weight": WEIGHT}, path, _use_new_zipfile_serialization=kind == "zip")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"conv.weight": WEIGHT.numpy()}, protocol=0))
    elif kind == "safetensors":
        save_file({"conv.weight": WEIGHT}, path)
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, WEIGHT.numpy())
    else:
        path = healthy_file(kind, tmp_path)
    return path.read_bytes()


EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=9), st.integers(0, 40)),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "safetensors", "npy"])
@RELAXED
@given(edits=EDITS)
def test_edited_files_end_in_a_table_or_one_line(tmp_path, kind, edits):
    edit_and_load(tmp_path, kind, edits)


RARER = ["torch tar", "torch early", "torch.export", "torch distributed", "frozen TorchScript",
         "list", "compressed pickle", "npy of objects"]  # fmt: skip


@pytest.mark.parametrize("kind", RARER)
@settings(RELAXED, max_examples=25)
@given(edits=EDITS)
def test_edited_files_of_rarer_formats(tmp_path, kind, edits):
    edit_and_load(tmp_path, kind, edits)


def edit_and_load(tmp_path, kind, edits):
    data = healthy(kind, tmp_path)
    for place, inserted, dropped in edits:
        start = int(place * len(data))
        data = data[:start] + inserted + data[start + dropped :]
    (tmp_path / "m").write_bytes(data)
    line_of(tmp_path / "m")


HEADS = [
    b"", b"\x80\x02", b"PK\x03\x04", b"\x08", b"\x0a\x05\x0a\x03abc", b"\x08\x01\x12\x03\x0a",
    b"\x81\xa3abc", b"\x1f\x8b\x08", b"BZh9", b"\x78\x9c", b"\xfd7zXZ\0", b"\0" * 16,
    b"\4\0\0\0\1\0\0\0\3\0\0\0V 1", b"\0" * 257 + b"ustar\0" + b"\0" * 249,
]  # fmt: skip


@RELAXED
@given(
    data=st.binary(max_size=64),
    head=st.sampled_from(HEADS),
)
def test_any_bytes_at_all(tmp_path, head, data):
    (tmp_path / "m").write_bytes(head + data)
    assert line_of(tmp_path / "m")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@RELAXED
@given(header=st.dictionaries(st.text(max_size=9), json_values, max_size=3))
def test_any_safetensors_header(tmp_path, header):
    text = json.dumps(header).encode()
    (tmp_path / "m").write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 64)
    assert line_of(tmp_path / "m")


@RELAXED
@given(places=json_values)
def test_any_index_of_shards(tmp_path, places):
    (tmp_path / "m.index.json").write_text(json.dumps({"weight_map": places}))
    assert line_of(tmp_path / "m.index.json")


@given(numbers=st.lists(st.integers(0, 2**64 - 1)))
def test_packed_numbers(numbers):
    data = bytearray()
    for number in numbers:
        rest = number
        while rest >= 0x80:
            data.append(rest & 0x7F | 0x80)
            rest >>= 7
        data.append(rest)
    assert varints(memoryview(bytes(data))).tolist() == numbers


ONCE_BROKEN = {
    "one byte": b"\x08",
    "open bracket in a numpy header": b"\x93NUMPY\x01\x00\x10\x00{'shape': (3,   \n",
    "more digits than Python prints": b"\x93NUMPY\x01\x00"
    + struct.pack("<H", 4100)
    + b"{'descr':'<f4','fortran_order':False,'shape':("
    + b"9" * 4000
    + b",3,3)}".ljust(54),
    "unknown escape in the name of a class": b"\x80\x02ca\\\xc2\xab\nb\n.",
    "unknown escape in a string": b"\x80\x02S'\\q'\n.",
}


@pytest.mark.parametrize("name", ONCE_BROKEN)
def test_inputs_that_once_broke_a_reader(tmp_path, name):
    (tmp_path / "m").write_bytes(ONCE_BROKEN[name])
    assert line_of(tmp_path / "m")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m.pth")
    assert "not a regular file" in line_of(tmp_path / "m.pth")


def test_a_link_to_itself(tmp_path):
    (tmp_path / "m.pth").symlink_to(tmp_path / "m.pth")
    assert line_of(tmp_path / "m.pth")


def test_checksums_of_archives_are_checked(tmp_path):
    path = tmp_path / "m.pth"
    torch.save({"conv.weight": WEIGHT}, path)
    data = path.read_bytes()
    place = data.index(WEIGHT.numpy().tobytes()[400:440])
    path.write_bytes(data[:place] + b"\x7f" + data[place + 1 :])
    with pytest.raises(UnreadableError, match="checksum"):
        load(path)


def test_archives_without_checksums_are_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"conv.weight": WEIGHT}, tmp_path / "m.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(load(tmp_path / "m.pth")["conv"].weight, WEIGHT)


def test_entries_over_the_same_bytes_are_counted_together(tmp_path):
    path = tmp_path / "m.npz"
    stream = io.BytesIO()
    np.save(stream, np.zeros((64, 1 << 20), np.float32))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", stream.getvalue())
        first = archive.infolist()[0]
        for number in range(40):
            twin = zipfile.ZipInfo(f"b{number}.npy")
            for name in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                setattr(twin, name, getattr(first, name))
            archive.filelist.append(twin)
    assert "unfolds" in line_of(path)


def test_one_tensor_under_many_names(tmp_path):
    path = tmp_path / "m.pth"
    tensor = torch.zeros(64, 64, 8, 8)
    torch.save({f"{i}.weight": tensor for i in range(20_000)}, path)
    assert line_of(path) == ""
    assert len(load(path)) == 1


def test_the_same_data_used_again_and_again(tmp_path):
    path = tmp_path / "m.pth"
    data = torch.zeros(64 * 64 * 8 * 8 + 600)
    views = {f"{i}.weight": data[i : i - 600].view(64, 64, 8, 8) for i in range(600)}
    torch.save(views, path)
    assert "again and again" in line_of(path)


def test_json_beyond_any_checkpoint():
    with pytest.raises(ValueError, match="values"):
        parse_json(b"[" + b"{}," * 3_000_001 + b"{}]")


def test_names_that_cannot_be_shown(tmp_path):
    assert "\ud800" not in line_of(tmp_path / "\ud800")
    with zipfile.ZipFile(tmp_path / "m", "w") as archive:
        archive.writestr("a\x1b[31m", "x")
    assert line_of(tmp_path / "m").isprintable()


def test_a_singular_and_a_plural(tmp_path):
    torch.save({"fc.weight": torch.ones(3, 3)}, tmp_path / "m.pth")
    assert "among 1 tensor (" in line_of(tmp_path / "m.pth")


BASE = torch.randn(24, 6, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def verdicts(weight):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = cwda.load(ConvLayer("conv", weight))
        return [(row.verdict, row.effect, row.reason) for row in cwda.check(network)]


@pytest.mark.parametrize(
    ("dtype", "power"),
    [(torch.float64, p) for p in (100, -100, 340, -520, 1000, -1000)]
    + [(torch.float32, p) for p in (100, -100, 120)]
    + [(torch.bfloat16, p) for p in (100, -100)]
    + [(torch.float16, p) for p in (8, -4)],
)
def test_verdicts_do_not_depend_on_the_scale(dtype, power):
    """Powers of two change nothing but the exponent; 2^100 is 1.3e30."""
    weight = BASE.to(dtype)
    scaled = verdicts(torch.ldexp(weight.double(), torch.tensor(power)).to(dtype))
    for (verdict, effect, _), (expected, reference, _) in zip(
        scaled, verdicts(weight), strict=True
    ):
        assert verdict == expected
        assert effect == pytest.approx(reference, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("large", "count"), [(1e21, 1), (3e37, 1), (1e30, 2)])
def test_filters_beside_which_the_others_vanish(large, count):
    weight = BASE.float()
    weight[:count] *= large
    found = verdicts(weight)
    assert found[0][0] != "holds"  # the pooled weights are nearly all 0
    assert found[1][0] == "holds"  # the shape of a filter does not depend on its size
    reasons = ("the others vanish beside", "nothing else varies")
    for row in found[2:]:
        assert row[0] == "not applicable"
        assert any(reason in row[2] for reason in reasons), row


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_weight_that_is_not_finite(value):
    weight = BASE.clone()
    weight[3, 2, 1, 0] = value
    assert {row[0] for row in verdicts(weight)} == {"not applicable"}
    assert all("1 of 1,296 weights are NaN or infinite" in row[2] for row in verdicts(weight))


def test_very_many_filters_do_not_fill_the_memory():
    generator = torch.Generator().manual_seed(1)
    found = verdicts(torch.randn(50_000, 4, 1, 1, generator=generator))
    assert found[0][0] != "not applicable"
    assert {row[0] for row in found[:2]} == {"holds"}  # gaussianity and shape need no pairs
    assert "50,000 filters" in found[2][2]
    assert {row[0] for row in verdicts(torch.rand(300_000, 1, 1, 1, generator=generator))} == {
        "not applicable"
    }
