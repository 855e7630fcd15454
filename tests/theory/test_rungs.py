"""The ladder: what each rung switches off, and rungs of one's own."""

from dataclasses import replace

import numpy as np
import pytest

from cwda.comparison import compare, geometry, global_pruning
from cwda.errors import CwdaError
from cwda.scoring import similarity
from cwda.theory import BLOCK, CROSS_FITTED, LADDER, MEAN, SCALE, Rung, fit_layer, predict, simulate
from cwda.theory.rungs import choose_rungs
from tests.theory.test_closed_form import draw, layer


@pytest.fixture(scope="module")
def fitted():
    x = draw(np.random.default_rng(0), n=32, correlation=0.4, scale=0.3) + 0.3
    x *= np.linspace(0.5, 1.5, 144)
    return fit_layer(layer(x), device="cpu")


def widened(fitted):
    return replace(fitted, log_scale_variance=4 * fitted.log_scale_variance)


WIDE = Rung("wide", "scales twice as far apart", (*SCALE.switches, widened))


def test_each_rung_adds_one_departure(fitted):
    layers = {rung.name: rung(fitted) for rung in LADDER}
    isotropic, diagonal, block = (layers[name] for name in ("isotropic", "diagonal", "block"))
    scale, measured = layers["scale"], layers["cross-fitted"]
    assert isotropic.moments.effective_dim == pytest.approx(144)
    assert 144 > diagonal.moments.effective_dim > block.moments.effective_dim
    assert (block.scales == 1).all()
    assert scale.scales.std() > 0.1
    assert scale.mean.abs().sum() == scale.mean_signal == scale.mean_energy == 0
    assert measured is fitted
    assert all(layers[rung.name].scores is None for rung in LADDER[:-1])
    # the energy is that of the layer, whatever the filters know of each other
    for layer_of_rung in layers.values():
        assert layer_of_rung.moments.trace == pytest.approx(fitted.moments.trace, rel=1e-12)


def test_what_rungs_share_is_made_once(fitted):
    moments = [rung(fitted).moments for rung in (BLOCK, SCALE)]
    assert moments[0] is moments[1] is fitted.moments
    assert BLOCK(fitted).sigma.root is SCALE(fitted).sigma.root


def test_a_rung_of_ones_own_is_in_every_table():
    x = draw(np.random.default_rng(1), n=24, scale=0.2)
    source = layer(x)
    ladder = [*LADDER, WIDE]
    names = [rung.name for rung in ladder]
    table = predict(source, ["l1", "l2"], rungs=ladder).table.set_index("rung")
    assert list(table.index) == names
    assert table["spearman"]["wide"] > table["spearman"]["scale"]
    drawn = simulate(source, ["l1", "l2"], rungs=WIDE, draws=40, device="cpu")
    compared = compare(similarity(source, ["l1", "l2"]), drawn)
    assert compared.table["rung"].tolist() == ["wide"]
    assert list(geometry(source, rungs=[WIDE, "block"]).summary()) == [
        *("quantity", "measured", "block", "wide"),
    ]
    shares = global_pruning(source, ["l2"], ratios=0.5, rungs=WIDE).table
    assert shares["rung"].tolist() == ["wide"]


def test_rungs_are_chosen_once_in_the_order_of_the_ladder():
    assert choose_rungs(None) == LADDER
    assert choose_rungs("scale") == choose_rungs(SCALE) == (SCALE,)
    assert choose_rungs([WIDE, "scale", BLOCK, "block"]) == (BLOCK, SCALE, WIDE)


@pytest.mark.parametrize(
    ("rungs", "message"),
    [
        (["skale"], r"unknown rung 'skale'; did you mean 'scale'\?"),
        ([replace(WIDE, name="block")], "two rungs are called 'block'"),
        ([WIDE, replace(WIDE, words="other")], "two rungs are called 'wide'"),
        ([], "no rung given"),
        (3, "a rung is named by a text.*, not 3$"),
        (["scale", 3], "a rung is named by a text.*, not 3$"),
        ([[BLOCK]], "a rung is named by a text.*, not an object of type list$"),
    ],
)
def test_rungs_that_cannot_be_chosen(rungs, message):
    with pytest.raises(CwdaError, match=message):
        choose_rungs(rungs)


@pytest.mark.parametrize(
    ("call", "rung", "message"),
    [
        (geometry, CROSS_FITTED, "'cross-fitted' predicts rank correlations and nothing else"),
        (geometry, "cross-fitted", "choose from isotropic, diagonal, block, scale, mean$"),
        (global_pruning, [BLOCK, CROSS_FITTED], "choose from isotropic, diagonal, block, scale$"),
        (global_pruning, "mean", "'mean' predicts norms, distances and angles and nothing else"),
        (predict, MEAN, "choose from isotropic, diagonal, block, scale, cross-fitted$"),
        (simulate, ["block", "mean"], "'mean' predicts norms, distances and angles"),
    ],
)
def test_rungs_that_predict_something_else(call, rung, message):
    with pytest.raises(CwdaError, match=message):
        call(layer(draw(np.random.default_rng(0), n=16)), rungs=rung)


def test_global_pruning_knows_nothing_of_measured_scores():
    source = layer(draw(np.random.default_rng(2), n=24, scale=0.2) + 0.1)
    plain = global_pruning(source, ["l1", "l2"], ratios=0.5, rungs=SCALE)
    bare = Rung("bare", "all that is fitted")
    own = global_pruning(source, ["l1", "l2"], ratios=0.5, rungs=bare)
    assert own.table.drop(columns="rung").equals(plain.table.drop(columns="rung"))
    predicted = [each.overlap_table["overlap_predicted"][0] for each in (plain, own)]
    assert predicted[0] == predicted[1]
    assert [row.rung for row in global_pruning(source, ["l2"], ratios=0.5, rungs=None)] == [
        *("isotropic", "diagonal", "block", "scale"),
    ]


@pytest.mark.parametrize(
    ("switch", "line"),
    [
        (lambda fitted: None, "gives an object of type NoneType, not a FittedLayer"),
        (lambda fitted: 1 / 0, r"fails \(ZeroDivisionError: division by zero\)"),
        (5, r"fails \(TypeError: 'int' object is not callable\)"),
    ],
)
def test_a_rung_that_fails_is_told_in_one_line(switch, line):
    drawn = layer(draw(np.random.default_rng(0), n=32))
    with pytest.raises(CwdaError, match=f"a switch of rung 'mine' {line}"):
        predict(drawn, rungs=[Rung("mine", "mine", (switch,))])
