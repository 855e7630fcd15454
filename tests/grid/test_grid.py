"""The grid: done once, kept line by line, whole after a kill at any byte."""

import json
import math
from dataclasses import dataclass

import pytest

import cwda.grid.loop as loop_module
from cwda.errors import CwdaError
from cwda.grid import Cell, Store, run


@dataclass(frozen=True)
class Found:
    value: float
    label: str = ""


@dataclass(frozen=True)
class Square(Cell[Found]):
    side: int
    sizes: tuple[int, ...] = ()

    record = Found


@dataclass(frozen=True)
class Circle(Cell[Found]):
    side: int

    record = Found


CLAIM = {"seed": 0, "weights": "a" * 64}


def squared(cell):
    return Found(float(cell.side**2))


def test_what_is_done_is_not_done_again(tmp_path):
    done = []

    def work(cell):
        done.append(cell.side)
        return squared(cell)

    cells = [Square(side, (1, 2)) for side in range(4)]
    run(cells[:2], work, store=Store(tmp_path / "s.jsonl", "square", CLAIM), what="squares")
    store = Store(tmp_path / "s.jsonl", "square", CLAIM)
    run(cells, work, store=store, what="squares")
    assert done == [0, 1, 2, 3]
    assert [record.value for _, record in store.all(Square)] == [0, 1, 4, 9]
    assert [cell for cell, _ in store.all(Square)] == cells
    assert store.versions.keys() >= {"cwda", "torch"}


def test_a_file_cut_off_at_any_byte_loses_only_the_last_line(tmp_path):
    path = tmp_path / "s.jsonl"
    store = Store(path, "square", CLAIM)
    for side in range(3):
        store.keep(Square(side), squared(Square(side)))
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        again = Store(path, "square", CLAIM)
        assert len(list(again.all(Square))) == max(sum(end <= size for end in ends) - 1, 0)
        run([Square(side) for side in range(3)], squared, store=again, what="squares")
        assert path.read_bytes() == whole


def test_numbers_come_back_as_they_were(tmp_path):
    store = Store(tmp_path / "s.jsonl", "square", CLAIM)
    store.keep(Square(1), Found(math.nan, "é\n"))
    store.keep(Square(2), Found(0.1 + 0.2))
    store.keep(Circle(1), Found(-math.inf))
    for line in (tmp_path / "s.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)  # strict JSON
    again = Store.of(tmp_path / "s.jsonl", "square")
    assert math.isnan(again[Square(1)].value)
    assert again[Square(1)].label == "é\n"
    assert again[Square(2)].value == 0.1 + 0.2
    assert again[Circle(1)].value == -math.inf
    assert Circle(2) not in again


def test_a_claim_grows_but_does_not_change(tmp_path):
    path = tmp_path / "s.jsonl"
    Store(path, "square", CLAIM)
    Store(path, "square", {"tuning": {"epochs": 2}})
    before = path.read_bytes()
    assert Store(path, "square", CLAIM).claim == {**CLAIM, "tuning": {"epochs": 2}}
    with pytest.raises(CwdaError, match=r"another square \(seed: 0, now 1\)"):
        Store(path, "square", {"seed": 1})
    with pytest.raises(CwdaError, match=r"\(weights: aaaaaaaaaaaa\.\.\., now bbbbbbbbbbbb\.\.\.\)"):
        Store(path, "square", {"weights": "b" * 64})
    with pytest.raises(CwdaError, match="the cells of a square, not of an experiment"):
        Store(path, "experiment", {})
    assert path.read_bytes() == before


def test_what_is_no_store_is_left_alone(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_text("[1, 2]")
    with pytest.raises(CwdaError, match="does not hold the cells of a square"):
        Store(path, "square", {})
    assert path.read_text() == "[1, 2]"
    Store(tmp_path / "t.jsonl", "square", {})
    with (tmp_path / "t.jsonl").open("a") as file:
        file.write("{\n")
    with pytest.raises(CwdaError, match="line 2 is damaged; delete it"):
        Store(tmp_path / "t.jsonl", "square", {})
    with pytest.raises(CwdaError, match="no such file"):
        Store.of(tmp_path / "none.jsonl", "square")
    with pytest.raises(CwdaError, match="cannot be read"):
        Store(tmp_path, "square", {})
    with pytest.raises(CwdaError, match="cannot be written"):
        Store(tmp_path / "s.jsonl" / "t.jsonl", "square", {})


def test_unfinished_cells_are_not_kept_and_the_bar_reaches_its_end(monkeypatch):
    told = []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self, done, total, what=None):
            told.append((done, total, what))

    monkeypatch.setattr(loop_module, "counter", lambda what, total: Bar())
    store = Store(None, "square", {})
    store.keep(Square(0), Found(0.0))
    run(
        [Square(side) for side in range(4)],
        lambda cell: squared(cell) if cell.side != 2 else None,
        store=store,
        what="squares",
        size=lambda cell: cell.side,
    )
    assert [cell.side for cell, _ in store.all(Square)] == [0, 1, 3]
    assert [done for done, _, _ in told] == [0, 1, 1, 3, 3, 6]
    assert {total for _, total, _ in told} == {6}
    assert told[0][2] == "squares: Square(side=1, sizes=())"
