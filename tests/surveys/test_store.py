"""The folder of a survey: whole networks only, and one line for whatever is wrong with it."""

import json

import pytest

import cwda
from cwda.surveys.settings import settings, versions
from cwda.surveys.store import Store, as_part
from cwda.surveys.tables import MEASURED, NETWORKS, TABLES, NetworkRecord


def record(source, status="done", digest=""):
    return NetworkRecord(
        source=source, name=source, hash=digest, status=status, stamp="", finished="", **versions()
    )


def parts(source, digest):
    """All tables of a network, without rows but for its own."""
    row = as_part(NETWORKS, NETWORKS.cells([record(source, digest=digest)], digest))
    return {table.name: as_part(table, []) for table in MEASURED} | {"networks": row}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "survey")
    store.begin(settings(0.9))
    return store


def test_what_is_put_is_read(store):
    store.put("ab", parts("one.pth", "ab"))
    survey = cwda.read_survey(store.folder)
    assert survey.networks["source"].tolist() == ["one.pth"]
    assert repr(survey).startswith("Survey: 1 source: 1 done")
    assert survey.settings["level"] == 0.9
    for name, table in TABLES.items():
        assert getattr(survey, name).columns.tolist() == list(table.columns)


def test_a_packed_copy_reads_alike_and_is_only_read(store, tmp_path):
    store.put("ab", parts("one.pth", "ab"))
    store.put("cd", parts("two.pth", "cd"))
    lost = NETWORKS.cells([record("three.pth", "failed")], "")
    store.put("source-3", {"networks": as_part(NETWORKS, lost)})
    survey = cwda.read_survey(store.folder)
    packed = survey.pack(tmp_path / "packed")
    assert len([*packed.folder.rglob("*.parquet")]) == len(TABLES)
    assert packed.statuses == {"done": 2, "failed": 1}
    for name in TABLES:
        assert getattr(packed, name).equals(getattr(survey, name))
    with pytest.raises(cwda.CwdaError, match=r"a packed copy is only read; go on in the folder"):
        Store(packed.folder).begin(settings(0.9))
    with pytest.raises(cwda.CwdaError, match=r"a packed copy is only read"):
        survey.pack(packed.folder)


def test_without_its_mark_a_network_is_not_there(store):
    store.put("ab", parts("one.pth", "ab"))
    store.put("cd", parts("two.pth", "cd"))
    (store.folder / "networks" / "cd.parquet").unlink()
    survey = cwda.read_survey(store.folder)
    assert len(survey.networks) == 1
    assert len(survey.conditions) == 0


def test_a_full_disk_marks_nothing(store, monkeypatch):
    def replace(source, target):
        if "similarity" in str(target):
            raise OSError(28, "No space left on device")
        original(source, target)

    import os

    original = os.replace
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(cwda.CwdaError, match=r"cannot be written \(no space left on device\)"):
        store.put("ab", parts("one.pth", "ab"))
    assert store.marked() == []
    assert not list(store.folder.rglob("*.partial"))


def test_a_survey_of_other_settings_is_refused(store):
    with pytest.raises(cwda.CwdaError, match=r"level = 0.9, not 0.95; give another folder"):
        store.begin(settings(0.95))
    store.begin(settings(0.9) | {"torch": "another"})


def test_two_surveys_do_not_write_to_one_folder(store):
    other = Store(store.folder)
    with (
        store.held(),
        pytest.raises(cwda.CwdaError, match=r"another survey is writing there; wait"),
        other.held(),
    ):
        pass
    with other.held():
        pass


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_names_that_no_folder_can_have(tmp_path, name):
    with pytest.raises(cwda.CwdaError, match=r"cannot be written \((embedded null|file name too)"):
        Store(tmp_path / name).begin(settings(0.9))


@pytest.mark.parametrize("name", ["missing", "other", "damaged", "file"])
def test_folders_that_are_no_survey(tmp_path, name):
    folder = tmp_path / name
    if name == "file":
        folder.write_text("x")
    elif name != "missing":
        folder.mkdir()
        (folder / "weights.pth").touch()
    if name == "damaged":
        (folder / "survey.json").write_text(json.dumps(settings(0.9))[:40])
    line = {
        "missing": "no such folder",
        "other": "holds no survey",
        "damaged": "is damaged",
        "file": "is a file",
    }
    with pytest.raises(cwda.CwdaError, match=line[name]):
        cwda.read_survey(folder)


def test_a_damaged_part_is_named(store):
    store.put("ab", parts("one.pth", "ab"))
    (store.folder / "layers" / "ab.parquet").write_bytes(b"PAR1")
    with pytest.raises(cwda.CwdaError, match=r"layers.ab\.parquet: is damaged; delete .*networks"):
        _ = cwda.read_survey(store.folder).layers


def test_a_folder_of_other_things_is_not_written_to(tmp_path):
    (tmp_path / "weights.pth").touch()
    with pytest.raises(cwda.CwdaError, match=r"is not empty and holds no survey"):
        Store(tmp_path).begin(settings(0.9))
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pth"]
