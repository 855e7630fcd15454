"""What differs between two networks: pairing, intervals, verdicts, words."""

import math

import numpy as np
import pytest
import torch

import cwda
from cwda.conditions.averaging import SQUARES
from cwda.conditions.whole.contrast import correlation_of, difference_interval
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


def test_the_interval_of_a_difference_by_hand():
    a, b = pooled(0.3, 0.2, 0.45), pooled(0.5, 0.44, 0.58)
    low, high = difference_interval(a, b, 0.0)
    assert low == pytest.approx(0.2 - math.hypot(0.06, 0.15))
    assert high == pytest.approx(0.2 + math.hypot(0.08, 0.1))
    low, high = difference_interval(a, b, 0.5)
    assert low == pytest.approx(0.2 - math.sqrt(0.06**2 + 0.15**2 - 0.06 * 0.15))
    back = difference_interval(b, a, 0.5)
    assert back == pytest.approx((-high, -low))
    even = pooled(0.3, 0.2, 0.4)
    assert difference_interval(even, even, 1.0) == pytest.approx((0.0, 0.0))


def layer_effects(theta, error, weights):
    return LayerEffects(tuple(theta), tuple(error), tuple(weights), SQUARES)


def test_the_correlation_makes_the_variance_that_of_the_jackknife():
    """A plain loop over the layers left out, with the t quantile of scipy.stats."""
    from scipy import stats

    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(12, 5.0))
    one, other = rng.normal(size=(2, 12)) * 0.1 + rng.normal(size=12)
    errors = np.full(12, 1.0)
    found = correlation_of(
        layer_effects(one, errors, weights), layer_effects(other, errors, weights), 0.95
    )
    left = []
    for at in range(12):
        rest = np.delete(np.arange(12), at)
        left.append(np.average((other - one)[rest], weights=weights[rest]))
    scatter = 11 / 12 * sum((value - np.mean(left)) ** 2 for value in left)
    student = stats.t.ppf(0.975, 1 / (weights**2).sum() - 1) / stats.norm.ppf(0.975)
    both = 2 * (weights**2).sum()
    assert found == pytest.approx((both - scatter * student**2) / both)
    few = slice(0, 4)
    assert correlation_of(*[layer_effects(one[few], errors[few], [0.25] * 4)] * 2, 0.95) == 0.0


def test_layers_are_paired_by_name_and_shape_or_by_order():
    net = network(0)
    assert [(a.name, b.name) for a, b in pairs(net, network(1))] == [(x, x) for x in "abcdef"]
    renamed = network(1, names="uvwxyz")
    assert [b.name for _, b in pairs(net, renamed)] == [*"uvwxyz"]
    part = network(1, names="fedx")
    assert [b.name for _, b in pairs(net, part)] == ["d", "e", "f"]
    assert pairs(net, network(1, names="ab")) == []
    assert pairs(net, network(1, n=32)) == []
    assert kept(net["a"], net["a"]) == pytest.approx(1.0)
    flat = cwda.load({"a.weight": torch.zeros(8, 4, 3, 3)})["a"]
    assert math.isnan(kept(flat, flat))


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
