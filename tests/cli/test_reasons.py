"""Reasons below a table: each once, whatever its numbers, with the first of the layers."""

import pytest

from cwda.cli.screen.reasons import Told, by_reason
from cwda.cli.screen.screen import Screen


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        (["d = 11.6: of 64", "d = 9.25: of 64"], "d = 9.25 to 11.6: of 64"),
        (
            ["1 of 1,152 weights is NaN", "7 of 36 weights is NaN"],
            "1 to 7 of 36 to 1,152 weights is NaN",
        ),
        (["3 filters; 8 are needed", "1 filter; 8 are needed"], "1 to 3 filters; 8 are needed"),
    ],
)
def test_reasons_that_differ_in_numbers_are_one_line(reasons, expected):
    told = [Told("mean", f"l{at}", reason) for at, reason in enumerate(reasons)]
    assert by_reason(told) == [f"mean in 2 layers (l0, l1): {expected}"]


def test_numbers_of_names_tell_reasons_apart():
    told = [Told("", "a", "weights are int8"), Told("", "b", "weights are int16")]
    assert by_reason(told, "tensor") == [
        "1 tensor (a): weights are int8",
        "1 tensor (b): weights are int16",
    ]


def test_subjects_share_a_line_for_the_same_layers_only():
    told = [Told("mean", "a", "dead"), Told("shape", "a", "dead"), Told("shape", "b", "flat")]
    told += [Told("mean", layer, "flat") for layer in "bcd"]
    assert by_reason(told, whole={"mean", "shape"}, every="all conditions") == [
        "mean in 3 layers (b, c, ...): flat",
        "all conditions in 1 layer (a): dead",
        "shape in 1 layer (b): flat",
    ]


def test_a_terminal_shows_the_first_remarks_of_each_kind(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    Screen().remarks([f"a{n}" for n in range(9)], ["b0"], [f"c{n}" for n in range(5)])
    shown = capsys.readouterr().out.split()
    assert shown[:8] == ["a0", "a1", "a2", "a3", "b0", "c0", "c1", "c2"]
    assert shown[8:] == ["7", "more", "remarks", "are", "shown", "in", "a", "pipe"]
