"""What differs between two networks: pairing, intervals, verdicts, words."""

import math

import numpy as np
import pytest
import torch

import cwda
from cwda.conditions.averaging import LOGARITHMS, SHARES, SIGNED_SQUARES, SQUARES
from cwda.conditions.whole.change import Side, change, of_independent, variance_of_change
from cwda.conditions.whole.pairing import kept, pairs
from cwda.conditions.whole.pooled import LayerEffects, Pooled

from . import simulated


def network(seed, smooth=0.0, names="abcdef", start=None, n=48):
    """Layers of normal weights, `smooth` over positions, near to those of `start` if given."""
    draw = torch.Generator().manual_seed(seed)
    weights = {}
    for name in names:
        weight = torch.randn(n, 8, 3, 3, generator=draw, dtype=torch.float64)
        weight = weight + smooth * weight.mean((2, 3), keepdim=True)
        if start is not None:
            weight = start[name].weight + 0.2 * weight
        weights[f"{name}.weight"] = weight
    return cwda.load(weights, name=f"net{seed}")


def contrast(a, b, conditions=("variance", "epsilon"), **options):
    return cwda.contrast(a, b, conditions, progress=False, **options)


def pooled(effect, low, high):
    return Pooled(effect**2, 0.0, effect, low, high, "inconclusive")


def test_the_interval_of_a_difference_of_independent_effects_by_hand():
    a, b = pooled(0.3, 0.2, 0.45), pooled(0.5, 0.44, 0.58)
    low, high = of_independent(a, b)
    assert low == pytest.approx(0.2 - math.hypot(0.06, 0.15))
    assert high == pytest.approx(0.2 + math.hypot(0.08, 0.1))
    assert of_independent(b, a) == pytest.approx((-high, -low))


def layer_effects(theta, error, weights, averaging=SQUARES):
    return LayerEffects(tuple(theta), tuple(error), tuple(weights), averaging)


@pytest.fixture
def twelve():
    """Shares of the weights, and theta of twelve layers in two networks."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(12, 5.0))
    one, other = rng.normal(size=(2, 12)) * 0.1 + rng.normal(size=12)
    return weights, one, other


def test_the_variance_of_a_change_is_that_of_the_jackknife_over_the_layers_that_changed(twelve):
    """A plain loop over the layers left out, with the t quantile of scipy.stats."""
    from scipy import stats

    weights, one, other = twelve
    same = np.arange(12) < 3
    sides = [layer_effects(x, np.ones(12), weights) for x in (one, other)]
    left, changed = [], np.flatnonzero(~same)
    for at in changed:
        rest = changed[changed != at]
        left.append(np.average((other - one)[rest], weights=weights[rest]))
    scatter = 8 / 9 * sum((value - np.mean(left)) ** 2 for value in left)
    own = weights[changed] / weights[changed].sum()
    student = stats.t.ppf(0.975, 1 / (own**2).sum() - 1) / stats.norm.ppf(0.975)
    found = variance_of_change(*sides, other - one, same, related=True, level=0.95)
    assert found == pytest.approx(scatter * (student * weights[changed].sum()) ** 2)
    apart = 2 * (weights[changed] ** 2).sum()
    for options in ({"related": False}, {"same": np.arange(12) < 8}):
        asked = {"same": same, "related": True, **options}
        found = variance_of_change(*sides, other - one, level=0.95, **asked)
        assert found == pytest.approx(2 * (weights[~asked["same"]] ** 2).sum())
    counts = [layer_effects(x, np.ones(12), weights, SHARES) for x in (one, one)]
    found = variance_of_change(*counts, np.zeros(12), same, related=True, level=0.95)
    assert found == pytest.approx(apart)


@pytest.mark.parametrize("averaging", [SQUARES, SIGNED_SQUARES, LOGARITHMS])
@pytest.mark.parametrize("middle", [-0.02, 0.0, 0.03, 1.0])
def test_the_change_of_an_effect_is_the_widest_that_the_intervals_allow(twelve, averaging, middle):
    """On a grid of both thetas: within their intervals, and their difference within its own."""
    weights, one, other = twelve
    thetas = [0.02 * (x - x.mean()) + middle for x in (one, other)]
    sides = []
    for theta in thetas:
        layers = layer_effects(theta, np.full(12, 0.05), weights, averaging)
        mean, error = weights @ theta, 0.05 * math.sqrt((weights**2).sum())
        limits = Pooled(mean, error, averaging.effect(mean), 0.0, 0.0, "holds")
        sides.append(Side(layers, limits, tuple(theta)))
    found = change(*sides, [False] * 12, related=True, level=0.95)
    variance = variance_of_change(
        sides[0].layers, sides[1].layers, thetas[1] - thetas[0], [False] * 12,
        related=True, level=0.95,
    )  # fmt: skip
    assert 0.5 < found.correlation <= 1
    grids = []
    for side in sides:
        reach = 1.959964 * side.pooled.error
        low, high = side.pooled.theta - reach, max(side.pooled.theta, averaging.least) + reach
        grids.append(np.linspace(max(low, averaging.least), high, 1201))
    x, y = np.meshgrid(*grids)
    inside = abs(y - x - (weights @ (thetas[1] - thetas[0]))) <= 1.959964 * math.sqrt(variance)
    effect = np.vectorize(averaging.effect)
    changes = (effect(y) - effect(x))[inside]
    point = sides[1].pooled.effect - sides[0].pooled.effect
    expected = min(changes.min(), point), max(changes.max(), point)
    assert (found.low, found.high) == pytest.approx(expected, abs=0.01)
    assert found.low <= expected[0] + 1e-9
    assert found.high >= expected[1] - 1e-9
    back = change(*sides[::-1], [False] * 12, related=True, level=0.95)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def names_of(found):
    return [(pair.one.name, pair.other.name) for pair in found]


def test_layers_are_paired_by_name_and_shape_and_the_rest_by_order():
    net = network(0)
    assert names_of(pairs(net, network(1))) == [(x, x) for x in "abcdef"]
    permuted = network(1, names="fbdeca")
    assert names_of(pairs(net, permuted)) == [(x, x) for x in "abcdef"]
    renamed = pairs(net, network(1, names="uvwxyz"))
    assert names_of(renamed) == [*zip("abcdef", "uvwxyz", strict=True)]
    assert not any(pair.by_name for pair in renamed)
    behind = network(1, names=[f"module.{name}" for name in "fbdeca"])
    for found in (pairs(net, behind), pairs(behind, net)):
        assert all(pair.by_name for pair in found)
        assert {pair.one.name[-1] + pair.other.name[-1] for pair in found} == {
            2 * name for name in "abcdef"
        }
    head = pairs(net, network(1, names="fedcbx"))
    assert dict(names_of(head)) == {**{x: x for x in "bcdef"}, "a": "x"}
    assert [pair.by_name for pair in head] == [True] * 5 + [False]
    part = network(1, names="fedx")
    assert names_of(pairs(net, part)) == [("d", "d"), ("e", "e"), ("f", "f")]
    assert pairs(net, network(1, names="ab")) == []
    assert pairs(net, network(1, n=32)) == []
    assert kept(net["a"], net["a"]) == pytest.approx(1.0)
    flat = cwda.load({"a.weight": torch.zeros(8, 4, 3, 3)})["a"]
    assert math.isnan(kept(flat, flat))


def test_numbers_that_a_layer_without_weights_shifts_do_not_mislead():
    net = network(0, names="024")
    near = network(1, names="024", start=net)
    shifted = cwda.load({f"{at}.weight": near[str(2 * at)].weight for at in range(3)})
    assert names_of(pairs(net, shifted)) == [("0", "0"), ("2", "1"), ("4", "2")]


@pytest.mark.parametrize("layers", [2, 12])
def test_a_network_is_the_same_as_itself_in_any_order_of_its_keys(layers):
    """As from a file that sorts its keys, where "10" comes before "2"."""
    net = network(0, names=[f"blocks.{at}.conv" for at in range(layers)], n=16)
    keys = sorted(layer.name for layer in net)
    again = cwda.load({f"{key}.weight": net[key].weight.float().double() for key in keys})
    start = cwda.load({f"{layer.name}.weight": layer.weight.float() for layer in net})
    found = contrast(start, again, None)
    table = found.table[["difference", "difference_low", "difference_high"]]
    assert (table == 0).all(axis=None)
    assert set(found.table["verdict"]) == {"same"}
    assert (found.layer_table["layer"] == found.layer_table["layer_b"]).all()
    assert "all with the same weights" in found.sentences[-1]


def test_the_answer_says_what_was_left_out():
    """Six layers of the same weights; a seventh of another shape has much of them."""
    a, b = (dict.fromkeys(range(7)) for _ in range(2))
    for at in range(6):
        a[at] = b[at] = network(0, n=32)["abcdef"[at]].weight
    a[6], b[6] = (torch.ones(16, 8, 3, side) for side in (3 * 9, 3 * 10))
    a, b = (cwda.load({f"{at}.weight": w for at, w in x.items()}, name=n)
            for n, x in (("one", a), ("two", b)))  # fmt: skip
    found = contrast(a, b)
    first, second = (6 * 32 * 72 / net.n_weights for net in (a, b))
    for row in found:
        assert (row.weights_a, row.weights_b) == pytest.approx((first, second))
        assert (row.layers_a, row.layers_b) == (6, 6)
    shares = f"{100 * first:.0f} % of the weights of one, {100 * second:.0f} % of those of two"
    assert found.sentences[0].startswith(f"In the layers that both have ({shares}), two is as one")
    assert f"the 6 layers that both have, of 7 and 7, with {shares}" in found.sentences[-1]


def test_a_smoother_network_differs_and_another_draw_does_not():
    plain, smooth = network(0), network(2, smooth=3.0)
    found = contrast(plain, smooth)
    assert found.table["verdict"].tolist() == ["same", "differs"]
    [_, epsilon] = found
    assert epsilon.paired
    assert epsilon.difference_low > 0
    assert "net2 differs from net0 in epsilon" in found.sentences[0]
    back = contrast(smooth, plain)
    assert back.rows[1].difference == pytest.approx(-epsilon.difference)
    assert back.rows[1].difference_low == pytest.approx(-epsilon.difference_high)
    again = contrast(plain, network(1))
    assert set(again.table["verdict"]) == {"same"}
    assert again.sentences[0].startswith("net1 is as net0, within the margins")
    tight = contrast(plain, network(1), margins={"epsilon": 1e-4})
    assert tight.table["verdict"].tolist() == ["same", "unsettled"]


def test_weights_with_a_common_start_are_told_apart_better():
    start = network(0, smooth=2.0)
    near, far = network(1, start=start), network(1, smooth=2.0)
    related, apart = contrast(start, near), contrast(start, far)
    assert related.rows[1].correlation > 0.5
    assert apart.rows[1].correlation == 0.0
    assert "all paired by" not in related.sentences[-1]
    width = [row.difference_high - row.difference_low for row in (related.rows[1], apart.rows[1])]
    assert width[0] < 0.7 * width[1]
    assert related.layer_table["kept"].between(0.9, 1.0).all()


def test_networks_without_common_layers_are_compared_as_they_are(tmp_path):
    a, b = network(0), network(1, names="ab", n=64)
    found = contrast(a, b)
    assert not found.rows[0].paired
    assert (found.rows[0].layers_a, found.rows[0].layers_b) == (6, 2)
    assert found.layer_table.empty
    assert "do not match" in found.sentences[-1]
    level = 1 - 0.05 / 2
    effects = [cwda.check(net, ["epsilon"], level=level).network.rows[0].effect for net in (a, b)]
    assert (found.rows[1].effect_a, found.rows[1].effect_b) == pytest.approx(tuple(effects))
    found.save(tmp_path / "contrast.json")
    loaded = cwda.conditions.Contrast.load(tmp_path / "contrast.json")
    assert loaded.sentences == found.sentences
    assert loaded.rows == found.rows


def test_what_cannot_be_compared_says_so():
    flat = cwda.load({"a.weight": torch.zeros(16, 4, 3, 3)}, name="flat")
    found = contrast(simulated.network(simulated.layer(n=32, channels=8)), flat)
    assert set(found.table["verdict"]) == {"not applicable"}
    assert "Not compared: variance and epsilon." in found.sentences
    with pytest.raises(cwda.CwdaError, match="mean"):
        contrast(flat, flat, margins={"mean": 0.1})
