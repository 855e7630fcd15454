"""Printed tables: no cell is cut, no layer confused with another, at any width and encoding."""

import io
import itertools
import math
import re
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

import cwda
from cwda.calibration import Size
from cwda.calibration import calibrate as run_calibration
from cwda.cli.analysis import Analysis
from cwda.cli.screen.conditions.show_check import show as show_check
from cwda.cli.screen.pruning.show_experiment import show_experiment
from cwda.cli.screen.screen import Screen
from cwda.cli.screen.shorten import shortened
from cwda.cli.screen.show_similarity import show_similarity
from cwda.cli.screen.show_validity import show_validity
from cwda.cli.screen.table import Column, Table
from cwda.cli.sources import Sources
from cwda.cli.verbs import VERBS
from cwda.cli.verbs.laboratory.calibrate import _show as show_calibration
from cwda.experiment import Accuracy, ExperimentResult
from cwda.formatting import number
from cwda.layers import ConvLayer, Network, Provenance
from tests.helpers.small_nets import alive, plain
from tests.helpers.small_nets import images as labelled

WIDTHS = (40, 60, 80, 200, None)

SCREENS = [(width, "utf-8") for width in WIDTHS] + [(60, "ascii"), (80, "ascii"), (None, "ascii")]

#: Names that differ at the end, at the beginning, in the middle, by a number or hardly at all.
NAMES = {
    "short": [f"conv{i}" for i in range(6)],
    "end": [f"backbone.body.encoder.stages.block.conv{i}" for i in range(6)],
    "beginning": [f"stage{i}.residual.block.module.convolution.conv" for i in range(6)],
    "middle": [f"model.backbone.layer{i}.bottleneck.pointwise.weight_v" for i in range(6)],
    "numbers": [f"features.{i}.mlp.fc.proj.conv.{i % 3}" for i in (1, 11, 21, 111, 112, 2)],
    "prefix": ["a" * 60 + "b" * i for i in range(6)],
    "wide": [f"网络.主干.卷积层.瓶颈结构.第{i}块.逐点卷积" for i in range(6)],
}


def network(names):
    rng = np.random.default_rng(0)
    shapes = [(8, 3, 3, 3), (16, 8, 3, 3), (16, 16, 1, 1), (1, 16, 3, 3), (12, 1, 3, 3), (9, 12, 3)]
    layers = [
        ConvLayer(name, torch.from_numpy(rng.standard_t(3, size=shape)))
        for name, shape in zip(names, shapes, strict=True)
    ]
    layers[2] = ConvLayer(names[2], layers[2].weight + 40)  # numbers of two digits before the point
    return Network("net", tuple(layers), Provenance("test", "state dict"))


def experiment():
    cells = itertools.product(
        ("layerwise", "global"), ("l1", "taylor_image_l1"), (0.1, 0.3, 0.5, 0.7, 0.9), (0, 1)
    )
    unset = {field.name: 0 for field in fields(Accuracy)} | {"network": "net", "reason": ""}
    rows = [
        Accuracy(
            **unset
            | {
                "strategy": strategy,
                "criterion": criterion,
                "ratio": ratio,
                "seed": seed,
                "accuracy": 100.0 - 61.37 * ratio * (seed + 1),
                "accuracy_se": 0.43,
                "stage": "pruned",
                "images": 1000,
            }
        )
        for strategy, criterion, ratio, seed in cells
    ]
    first = replace(rows[0], strategy="none", criterion="none", ratio=0.0, stage="unpruned")
    network = Network("net", (), Provenance("test", "state dict"))
    return ExperimentResult((first, *rows), (network,), level=math.nan, pair_rows=())


class Recorder(Screen):
    """A screen that keeps its tables."""

    def __init__(self, silent=False):
        super().__init__(silent=silent)
        self.tables = []

    def table(self, table, legend=""):
        self.tables.append(table)
        super().table(table, legend)


def steps(verb):
    """What an analysis does with its options as they are by default."""
    values = verb.make_context(verb.name, []).params
    own = getattr(verb.prepare, "__click_params__", [])
    options = {parameter.name: values[parameter.name] for parameter in own}
    return verb.prepare(sources=Sources([]), device="cpu", **options)


def showing(verb, net):
    """A function that shows on a screen what an analysis says of a network."""
    measure, show = steps(verb)
    result = measure(net)
    return lambda screen: show(result, screen)


def validity(net):
    """What is said of one layer of a small network that runs, of all layers of another."""
    one = cwda.validity(
        alive(plain), ["l2", "bn_gamma"], data=labelled(8), layers=["3"], draws=100, batch_size=2
    )
    rows = [replace(row, layer=layer.name) for layer in net.layers for row in one.rows]
    return replace(one, rows=tuple(rows), networks=(net,))


@pytest.fixture(scope="module")
def shown():
    """What each verb shows of one network: functions that take a screen."""
    net = network(NAMES["middle"])
    checked, one = cwda.check(net, device="cpu"), cwda.check(net, ["epsilon"], device="cpu")
    analyses = [verb for verb in VERBS if isinstance(verb, Analysis)]
    without_images = [verb for verb in analyses if verb.name != "validity"]
    valid = validity(net)
    many = cwda.similarity(net, ["l1", "l2", "gm", "fermat", "random"], device="cpu")
    return {
        "test": lambda screen: show_check(checked, screen),
        "test --conditions": lambda screen: show_check(one, screen),
        "similarity --criteria": lambda screen: show_similarity(many, screen),
        "validity": lambda screen: show_validity(valid, screen),
        **{verb.name: showing(verb, net) for verb in without_images},
    }


@pytest.fixture(scope="module")
def layer_tables(shown):
    """The tables of these screens that have one row per layer."""
    screen = Recorder(silent=True)
    for show in shown.values():
        show(screen)
    return [table for table in screen.tables if table.layers]


@pytest.fixture
def printed(monkeypatch):
    """What a screen prints, in an encoding and a width; None is a pipe."""

    def run(show, width, encoding):
        raw = io.BytesIO()
        with monkeypatch.context() as patch:
            stream = io.TextIOWrapper(raw, encoding=encoding)
            patch.setattr(sys, "stdout", stream)
            patch.delenv("COLUMNS", raising=False)
            if width:
                patch.setenv("COLUMNS", str(width))
            screen = Recorder()
            show(screen)
            stream.flush()
            text = raw.getvalue().decode(encoding)
        return text, screen

    return run


def require_whole(table, width, encoding):
    """Every cell of the columns that are shown stands whole in its row, under distinct names."""
    found = table.printed(width, encoding)
    lines = [str(line) for line in found.lines]
    kept = [at for at, column in enumerate(table.columns) if column.name not in found.left_out][1:]
    assert kept
    below = len(lines) > len(table.rows) + max(c.head.count("\n") for c in table.columns) + 1
    names, place = [], len(lines)
    for row in reversed(table.rows):
        place -= 1
        cells = [row[at] if isinstance(row[at], str) else row[at][0] for at in kept]
        expected = [ascii_of(word) if encoding == "ascii" else word
                    for cell in cells for word in cell.split()]  # fmt: skip
        words = lines[place].split()
        assert words[len(words) - len(expected) :] == expected
        name = " ".join(words[: len(words) - len(expected)])
        while below and (not name or (cell_len(name) < cell_len(row[0]) and place > 0)):
            place -= 1
            name = lines[place] + name
        names.append(name)
    if width is None:
        assert not found.left_out
    if table.columns[0].name == "layer":
        assert len(set(names)) == len(table.rows)
    return names


def ascii_of(word):
    return word.translate({ord(a): b for a, b in zip("✓✗–±", ["+", "x", "-", "+/-"], strict=True)})


@pytest.mark.parametrize(("width", "encoding"), SCREENS)
def test_no_screen_cuts_a_cell_or_a_name(shown, printed, width, encoding):
    for show in shown.values():
        text, screen = printed(show, width, encoding)
        assert "…" not in text or encoding == "utf-8"
        if width:
            assert max(map(cell_len, text.splitlines())) <= width
        for table in screen.tables:
            require_whole(table, width, encoding)
            if left_out := table.printed(width, encoding).left_out:
                note = f"no room for {', '.join(left_out)}: use a wider terminal"
                note += ", a pipe or --output -" if table.layers else " or a pipe"
                assert note in " ".join(text.split())


@pytest.mark.parametrize("style", sorted(NAMES))
def test_layers_are_told_apart_however_they_are_called(layer_tables, style):
    for table in layer_tables:
        rows = [(name, *row[1:]) for name, row in zip(NAMES[style], table.rows, strict=True)]
        named = Table(table.columns, table.gap, table.layers, rows)
        for width in WIDTHS:
            found = named.printed(width, "utf-8")
            assert not width or max(cell_len(str(line)) for line in found.lines) <= width
            require_whole(named, width, "utf-8")


@pytest.mark.parametrize(("width", "encoding"), SCREENS)
def test_accuracies_and_calibration_are_whole(printed, width, encoding):
    calibration = run_calibration(["mean"], designs="iid,t5", sizes=[Size(16, 3, 9)], replicates=2)
    result = experiment()
    for show in (
        lambda screen: show_experiment(result, screen),
        lambda screen: show_calibration(calibration, screen),
    ):
        text, screen = printed(show, width, encoding)
        assert not width or max(map(cell_len, text.splitlines())) <= width
        for table in screen.tables:
            require_whole(table, width, encoding)


def test_the_pipe_has_the_numbers_of_the_table(printed):
    net = network(NAMES["middle"])
    result = cwda.check(net, device="cpu")
    text, _ = printed(lambda screen: show_check(result, screen), None, "utf-8")
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    for row in result:
        words = lines[row.layer]
        if row.verdict != "not applicable":
            assert number(row.effect) in words


def test_names_are_read_on_lines_of_their_own_where_they_cannot_be_shortened():
    table = Table([Column("layer"), Column("a"), Column("b")], layers=True)
    names = [f"{'x' * 30}{i}{'y' * 30}" for i in (1, 2)]
    for name in names:
        table.add(name, "12345", "67890")
    lines = [str(line) for line in table.printed(40, "utf-8").lines]
    assert [line for line in lines if "12345" in line] == ["   12345 67890"] * 2
    assert "".join(lines).replace(" ", "").count(names[0]) == 1


@given(
    st.lists(st.text("ab1289._/é网", min_size=1, max_size=40), min_size=1, max_size=8, unique=True),
    st.integers(0, 40),
    st.sampled_from(["…", "~~~"]),
)
@settings(max_examples=200, deadline=None)
def test_shortened_names_fit_are_distinct_and_cut_no_number(names, room, cut):
    found = shortened(names, room, cut)
    if found is None:
        assert max(map(cell_len, names)) > room
        return
    assert len(set(found)) == len(names)
    for name, short in zip(names, found, strict=True):
        assert cell_len(short) <= room
        if short != name:
            head, _, tail = short.partition(cut)
            assert name.startswith(head)
            assert name.endswith(tail)
            numbers = re.findall(r"\d+", name)
            assert all(
                each in numbers for each in re.findall(r"\d+", head) + re.findall(r"\d+", tail)
            )
