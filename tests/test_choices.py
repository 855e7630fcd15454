"""What is chosen by name is written once: whoever has something for each name has it for all."""

import importlib
from typing import get_args

from cwda.choices import JUDGED, Measure, Normalisation, Strategy, Verdict
from cwda.cli.screen.conditions import show_check
from cwda.figures.drawing.style import VERDICTS
from cwda.formatting import MARKS
from cwda.pruning.selection import NORMALISERS
from cwda.theory.shares import NORMALISATIONS


def test_nothing_is_left_out():
    for verdicts in (MARKS, VERDICTS, show_check._STYLES, {*JUDGED, "not applicable"}):
        assert {*verdicts} == {*get_args(Verdict)}
    assert tuple(NORMALISERS) == get_args(Normalisation)
    assert tuple(NORMALISATIONS) == (None, *get_args(Normalisation))


def test_every_measure_and_strategy_has_words():
    module = importlib.import_module("cwda.cli.verbs.prune")
    assert tuple(module._MEASURES) == get_args(Measure)
    assert tuple(module._STRATEGIES) == get_args(Strategy)
