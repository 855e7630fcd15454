"""Answers: rows, tables, and files that give the same answer back."""

import importlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, make_dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import pytest
import torch

from cwda.answers import Answer, aside, column, columns_of, rows_field, spread, table_of
from cwda.errors import CwdaError
from cwda.layers import ConvLayer, Network, Provenance
from tests import tables


@dataclass(frozen=True)
class Size:
    layer: str = column("name of the layer")
    value: float = column("its size")
    note: str | None = column("a remark")
    ranks: tuple[int, ...] = column("the ranks")
    overlaps: Mapping[str, float] = spread("`overlap_10`, ...")
    unit: str = aside("unit of the size", default="bytes")


@dataclass(frozen=True)
class Pair:
    a: str = column("one")
    agree: bool | None = column("whether both agree", default=None)


@dataclass(frozen=True)
class Lost:
    odd: complex


@dataclass(frozen=True, eq=False, repr=False)
class Sizes(Answer[Size]):
    row: ClassVar[type] = Size
    pairs: tuple[Pair, ...] = rows_field(Pair, "pairs of layers")
    ratio: float = 0.5

    def title(self):
        return f"sizes of <{self.networks[0].name}>"

    def summary(self):
        return self.table[["layer", "value"]]


@pytest.fixture
def answer():
    layer = ConvLayer("conv1", torch.zeros(8, 3, 3, 3), groups=2)
    network = Network("net", (layer,), Provenance("net.pth", "torch zip", "ab12"))
    rows = (
        Size("conv1", 0.1 + 0.2, None, (1, 2), {"overlap_10": 0.25}, "bits"),
        Size("conv2", math.nan, "none", (), {"overlap_10": math.inf, "overlap_30": -math.inf}),
    )
    return Sizes(rows, (network,), level=0.95, pairs=(Pair("conv1"),))


def test_the_table_has_the_columns_of_the_rows(answer):
    assert list(answer.table) == ["layer", "value", "note", "ranks", "overlap_10", "overlap_30"]
    assert answer.table["overlap_10"].tolist() == [0.25, math.inf]
    assert np.isnan(answer.table.loc[0, "overlap_30"])
    assert list(table_of((), Size)) == ["layer", "value", "note", "ranks"]
    assert next(iter(columns_of(Size).values())) == "name of the layer"
    assert "unit" not in columns_of(Size)


def test_what_is_neither_true_nor_false_is_na():
    agree = table_of((Pair("a", True), Pair("b")), Pair)["agree"]
    assert agree.dtype == table_of((), Pair)["agree"].dtype == "boolean"
    assert agree[0]
    assert agree.isna().tolist() == [False, True]


def test_an_answer_is_shown_in_short(answer):
    assert repr(answer).startswith("Sizes: sizes of <net>; .table has 2 rows\n")
    assert "&lt;net&gt;" in answer._repr_html_()
    assert len(answer) == len(list(answer)) == 2


def test_a_saved_answer_comes_back_equal(answer, tmp_path):
    path = tmp_path / "sizes.json"
    answer.save(path)
    back = Sizes.load(path)
    pd.testing.assert_frame_equal(back.table, answer.table)
    assert back.rows[0] == answer.rows[0]
    assert (back.level, back.pairs, back.ratio) == (0.95, answer.pairs, 0.5)
    [layer] = back.networks[0]
    assert (layer.name, layer.weight.shape, layer.groups) == ("conv1", (8, 3, 3, 3), 2)
    assert layer.weight.device.type == "meta"
    assert back.networks[0].provenance == answer.networks[0].provenance
    content = json.loads(path.read_text())
    assert content["cwda"]
    assert content["torch"]


def test_numpy_numbers_are_saved_as_numbers(answer, tmp_path):
    row = replace(answer.rows[0], value=np.float64(0.5), ranks=(np.int64(3),))
    replace(answer, rows=(row,)).save(tmp_path / "a.json")
    assert Sizes.load(tmp_path / "a.json").rows[0] == replace(row, value=0.5, ranks=(3,))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"answer": "Sizes"}', '{"answer": "Sizes", "rows": 3}', "[" * 100_000],
)
def test_damaged_files_get_one_line(content, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(CwdaError, match="no Sizes that cwda saved, or damaged"):
        Sizes.load(path)


def test_a_table_is_not_taken_for_an_answer(answer, tmp_path):
    for suffix, table in {"json": answer.table.to_json(orient="records"), "csv": "layer\n"}.items():
        path = tmp_path / f"table.{suffix}"
        path.write_text(table)
        with pytest.raises(CwdaError, match=r"a table, as --output writes it, .* \.save\("):
            Sizes.load(path)


def test_other_answers_missing_files_and_wrong_names_get_one_line(answer, tmp_path):
    with pytest.raises(CwdaError, match="no such file"):
        Sizes.load(tmp_path / "none.json")
    with pytest.raises(CwdaError, match=r"end the name with \.json"):
        answer.save(tmp_path / "a.txt")
    answer.save(tmp_path / "a.json")

    class Other(Sizes):
        pass

    with pytest.raises(CwdaError, match="holds the answer Sizes, not Other"):
        Other.load(tmp_path / "a.json")


def made_with(annotation, *, of_the_row):
    """A class of answers with a field, or a column, of this annotation."""
    row = make_dataclass("Line", [("odd", annotation)]) if of_the_row else Pair
    own = {} if of_the_row else {"odd": annotation}
    return dataclass(frozen=True, eq=False, repr=False)(
        type("Lines", (Answer,), {"row": row, "__annotations__": own})
    )


@pytest.mark.parametrize("of_the_row", [True, False])
def test_a_class_with_fields_that_a_file_cannot_give_back_is_refused(of_the_row):
    for annotation in (set[str], tuple, list, Any, int | str, Mapping[int, str], Decimal):
        with pytest.raises(CwdaError, match=r"\.odd: a file cannot give back") as refused:
            made_with(annotation, of_the_row=of_the_row)
        assert "\n" not in str(refused.value)
    with pytest.raises(CwdaError, match=r"Lost\.odd: a file cannot give back"):
        made_with(Lost, of_the_row=of_the_row)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (tuple[float, int], (math.inf, 2)),
        (tuple[int, ...], (1, 2, 3)),
        (list[tuple[str, float]], [("a", 0.5), ("b", -math.inf)]),
        (Mapping[str, list[int]], {"a": [1]}),
        (Literal["a", "b"], "b"),
        (Pair | None, Pair("a", True)),
        (tuple[Path, Pair], (Path("a"), Pair("b"))),
    ],
)
@pytest.mark.parametrize("of_the_row", [True, False])
def test_values_come_back_of_the_same_type(annotation, value, of_the_row, tmp_path):
    kind = made_with(annotation, of_the_row=of_the_row)
    if of_the_row:
        saved = kind((kind.row(value),), (), level=0.9)
    else:
        saved = kind((), (), level=0.9, odd=value)
    saved.save(tmp_path / "a.json")
    back = kind.load(tmp_path / "a.json")
    assert repr(back.rows[0].odd if of_the_row else back.odd) == repr(value)


def test_answers_and_their_rows_are_public():
    for name, kind in tables.answers().items():
        room = importlib.import_module(f"cwda.{name.split('.')[1]}")
        rows = [part.metadata["row"] for part in fields(kind) if "row" in part.metadata]
        for public in (kind, kind.row, *rows):
            assert public.__name__ in room.__all__, name


def test_the_reason_why_an_answer_is_refused_is_kept(answer, tmp_path):
    path = tmp_path / "a.json"
    answer.save(path)
    content = json.loads(path.read_text())
    content["networks"][0]["layers"][0]["shape"] = [8, 3]
    path.write_text(json.dumps(content))
    with pytest.raises(CwdaError, match=r"a\.json: layer 'conv1': a convolution's weight has 3"):
        Sizes.load(path)
