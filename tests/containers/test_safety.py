"""Nothing in a file is executed, imported or allocated on its word."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
import torch

from cwda.containers import hdf5_trial
from cwda.containers.pickles import Record, unpickle
from cwda.errors import CwdaError, UnreadableError
from cwda.loading import load
from cwda.torch_files.objects import builders

WEIGHT = torch.arange(8 * 3 * 9, dtype=torch.float32).reshape(8, 3, 3, 3)


class Attack:
    """Unpickling this by the standard library calls a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def attacks(marker):
    return [
        Attack(os.system, f"touch {marker}"),
        Attack(open, str(marker), "w"),
        Attack(eval, f"open({str(marker)!r}, 'w')"),
        Attack(exec, f"open({str(marker)!r}, 'w')"),
        Attack(subprocess.Popen, ["touch", str(marker)]),
        Attack(os.makedirs, str(marker)),
        Attack(getattr, "text", "upper"),
        Attack(torch.load, str(marker)),
    ]


def test_the_attacks_are_real(tmp_path):
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(attacks(marker)[1])).close()  # noqa: S301
    assert marker.exists()


@pytest.mark.parametrize("index", range(8))
@pytest.mark.parametrize("zipped", [True, False])
def test_calls_in_a_torch_file_do_nothing(tmp_path, index, zipped):
    marker, path = tmp_path / "marker", tmp_path / "attack.pth"
    content = {"x": attacks(marker)[index], "conv.weight": WEIGHT}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    network = load(path)
    assert torch.equal(network["conv"].weight, WEIGHT)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_calls_in_a_plain_pickle_do_nothing(tmp_path, protocol):
    marker, path = tmp_path / "marker", tmp_path / "attack.pkl"
    content = {"x": attacks(marker), "conv.weight": WEIGHT.numpy()}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    network = load(path)
    assert torch.equal(network["conv"].weight, WEIGHT)
    assert not marker.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_calls_in_nested_torch_files_do_nothing(tmp_path, zipped):
    marker, path = tmp_path / "marker", tmp_path / "nested.pkl"
    inner = io.BytesIO()
    torch.save([attacks(marker)], inner, _use_new_zipfile_serialization=zipped)
    nested = Attack(torch.storage._load_from_bytes, inner.getvalue())
    path.write_bytes(pickle.dumps({"x": nested, "conv.weight": WEIGHT}))
    network = load(path)
    assert torch.equal(network["conv"].weight, WEIGHT)
    assert not marker.exists()


def test_importing_a_class_does_nothing(tmp_path, monkeypatch):
    (tmp_path / "trap_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    stream = (
        b"\x80\x02}(X\x01\x00\x00\x00xctrap_module\nTrap\n)\x81}bX\x01\x00\x00\x00ycos\nsystem\nu."
    )
    value = unpickle(io.BytesIO(stream), builders(len(stream), bytes))
    assert isinstance(value["x"], Record)
    assert value["x"].type == "trap_module.Trap"
    assert "trap_module" not in sys.modules


def test_attributes_set_on_names_do_not_reach_anything():
    # BUILD on a class would set attributes of the real one.
    stream = b"\x80\x02ctorch\nTensor\n}X\x03\x00\x00\x00addK\x01sb."
    unpickle(io.BytesIO(stream), builders(len(stream), bytes))
    assert callable(torch.Tensor.add)


def storage_stream(numel):
    """Pickle of a tensor whose storage announces `numel` elements."""
    return (
        b"\x80\x02}X\x0b\x00\x00\x00conv.weightctorch._utils\n_rebuild_tensor_v2\n("
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
        + b"\x8a\x08" + struct.pack("<q", numel) + b"tQK\x00"
        b"(\x8a\x08" + struct.pack("<q", numel) + b"K\x01K\x01t(K\x01K\x01K\x01t\x89"
        b"ccollections\nOrderedDict\n)RtRs."
    )  # fmt: skip


@pytest.mark.parametrize("numel", [2**40, 2**61])
def test_huge_announced_storage_of_a_zip(tmp_path, numel):
    path = tmp_path / "huge.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", storage_stream(numel))
        archive.writestr("archive/data/0", b"\0" * 16)
    with pytest.raises(UnreadableError, match="archive holds 16"):
        load(path)


@pytest.mark.parametrize("numel", [2**40, 2**61])
def test_huge_announced_storage_of_a_legacy_file(tmp_path, numel):
    path = tmp_path / "huge.pth"
    magic, protocol, system = (pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {}))
    keys = pickle.dumps(["0"], 2)
    path.write_bytes(
        magic + protocol + system + storage_stream(numel) + keys + struct.pack("<q", numel)
    )
    with pytest.raises(UnreadableError, match="cut off"):
        load(path)


def test_compressed_entries_are_read_and_bombs_refused(tmp_path):
    torch.save({"conv.weight": WEIGHT}, tmp_path / "plain.pth")
    packed, bomb = tmp_path / "packed.pth", tmp_path / "bomb.pth"
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert torch.equal(load(packed)["conv"].weight, WEIGHT)
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("archive/data.pkl", storage_stream(25_000_000))
        target.writestr("archive/data/0", b"\0" * 100_000_000)
    with pytest.raises(UnreadableError, match="unfolds"):
        load(bomb)


def tensor_file(path, size, stride, offset=0):
    """A zip file with one tensor of ten stored elements, viewed as stated."""

    class View:
        def __reduce__(self):
            storage = torch.zeros(10).untyped_storage()
            typed = torch.storage.TypedStorage(
                wrap_storage=storage, dtype=torch.float32, _internal=True
            )
            empty = collections.OrderedDict()
            return torch._utils._rebuild_tensor_v2, (typed, offset, size, stride, False, empty)

    torch.save({"conv.weight": View()}, path)


@pytest.mark.parametrize(
    ("size", "stride", "offset", "message"),
    [
        ((2, 1, 3), (8, 3, 1), 0, "reaches past the end"),
        ((1, 1, 5), (5, 5, 1), 6, "reaches past the end"),
        ((1, 1, 2), (1, 1, 2**50), 0, "reaches past the end"),
        ((1 << 20, 1 << 20, 3), (0, 0, 1), 0, "expanded"),
        ((2, 2, 2), (0, 0, 1), -1, "damaged"),
        ((2, 2), (0, 0, 1), 0, "damaged"),
    ],
)
def test_views_are_checked_against_their_storage(tmp_path, size, stride, offset, message):
    path = tmp_path / "view.pth"
    tensor_file(path, size, stride, offset)
    with pytest.raises(UnreadableError, match=message):
        load(path)


BOMBS = {
    "nesting": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "marks": b"\x80\x02" + b"(" * 3_000_000 + b".",
    "dictionaries": b"\x80\x02" + b"}" * 3_000_000 + b".",
    "tuples": b"\x80\x02)" + b"\x85" * 500_000 + b".",
    "hash of a doubling tuple": b"\x80\x02})" + b"q\x00h\x00\x86" * 200 + b"K\x01s.",
    "doubling lists": b"\x80\x02]" + b"q\x00]q\x01h\x00ah\x00a" * 90 + b".",
    "list in itself": b"\x80\x02]q\x00h\x00a.",
    "memo index": b"\x80\x02Nr\xff\xff\xff\xff.",
    "long of two gigabytes": b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
    "bytes of an exabyte": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.",
    "bytearray of an exabyte": b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b"x.",
    "decimal of a megabyte": b"\x80\x02L" + b"9" * 1_000_000 + b"L\n.",
    "frame of an exabyte": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
    "encoded again and again": b"\x80\x02c_codecs\nencode\nq\x00X" + struct.pack("<I", 1_000_000)
    + b"x" * 1_000_000 + b"q\x01(" + b"h\x00h\x01\x85R" * 100_000 + b"l.",
    "extension": b"\x80\x02\x82\x01.",
    "persistent": b"\x80\x02Pabc\n.",
    "append to a number": b"\x80\x02K\x01K\x02a.",
    "empty stack": b"\x80\x02a.",
    "no end": b"\x80\x02N",
}  # fmt: skip


def largest_memory():
    """What this process has ever used, in bytes; 0 on Windows, which does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_in_one_clear_line(tmp_path, name):
    path = tmp_path / "bomb.pkl"
    path.write_bytes(BOMBS[name])
    before = largest_memory()
    with pytest.raises(UnreadableError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    # The limits of objects and operations bound it.
    assert largest_memory() - before < 800_000 * 1024


def test_deep_nesting_of_torch_files(tmp_path):
    data = pickle.dumps({"conv.weight": 1})
    for _ in range(6):
        data = pickle.dumps(Attack(torch.storage._load_from_bytes, data))
    path = tmp_path / "deep.pkl"
    path.write_bytes(data)
    with pytest.raises(UnreadableError, match="nested"):
        load(path)


def test_objects_in_numpy_files_stay_pickled(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "objects.npz"
    objects = np.empty((1, 1, 1), dtype=object)
    objects[0, 0, 0] = Attack(open, str(marker), "w")
    np.savez(path, objects=objects, weight=WEIGHT.numpy())
    network = load(path)
    assert torch.equal(network.layers[0].weight, WEIGHT)
    assert "never loaded" in network.skipped[0].reason
    assert not marker.exists()


def test_control_characters_of_names_are_replaced(tmp_path):
    path = tmp_path / "names.pth"
    torch.save({"a\x1b[31mb.weight": WEIGHT, "\ud800.weight": WEIGHT + 1}, path)
    network = load(path)
    assert [layer.name for layer in network] == ["a\ufffd[31mb", "\ufffd"]


def test_a_file_truncated_after_loading_does_no_harm(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"conv.weight": WEIGHT}, path)
    network = load(path)
    os.truncate(path, 10)
    assert torch.equal(network["conv"].weight, WEIGHT)


def test_sharded_index_stays_in_its_folder(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    for shard in ("../x.safetensors", "/etc/passwd"):
        index.write_text('{"weight_map": {"conv.weight": "%s"}}' % shard)  # noqa: UP031
        with pytest.raises(CwdaError, match="outside"):
            load(index)


def test_heaps_of_hdf5_that_never_end_are_damage(tmp_path):
    """A free object of size 0, on which the HDF5 library turns for ever."""
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "x" * 1000  # a text that lies in a heap
        file.create_dataset("conv/kernel:0", data=np.zeros((3, 3, 4, 8), "float32"))
    assert len(load(path).layers) == 1
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL")
    size = int.from_bytes(data[heap + 8 : heap + 16], "little")
    text = int.from_bytes(data[heap + 24 : heap + 32], "little")
    free = heap + 32 + -(-text // 8) * 8
    assert data[free : free + 2] == b"\0\0"
    assert free < heap + size
    data[free + 8 : free + 16] = bytes(8)
    path.write_bytes(data)
    with pytest.raises(UnreadableError, match="a heap of texts"):
        load(path)


@pytest.mark.parametrize(
    ("program", "words"),
    [("import os; os.abort()", "crashes"), ("import time; time.sleep(60)", "hangs")],
)
def test_hdf5_is_tried_in_another_process(tmp_path, monkeypatch, program, words):
    """Where the library crashes or hangs on a file, this process does not."""
    path, probe = tmp_path / "net.h5", tmp_path / "probe.py"
    with h5py.File(path, "w") as file:
        file.create_dataset("conv/kernel:0", data=np.zeros((3, 3, 4, 8), "float32"))
    assert len(load(path).layers) == 1
    probe.write_text(program)
    monkeypatch.setattr(hdf5_trial, "PROBE", probe)
    monkeypatch.setattr(hdf5_trial, "_SECONDS", 5.0 if words == "crashes" else 0.5)
    with pytest.raises(UnreadableError, match=words):
        load(path)
