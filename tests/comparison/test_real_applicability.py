"""Applicability and global pruning of real networks; origin of the tables in
docs/applicability.md: run with ``-s`` to print them."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from cwda.comparison import applicability, global_pruning
from cwda.layers import ConvLayer
from cwda.loading import load
from cwda.scoring import NORM_BASED

NAMES = {
    "ResNet-20": "resnet20-12fca82f.th",
    "ResNet-32": "resnet32-d509ac18.th",
    "ResNet-56": "resnet56-4bfd9763.th",
    "built-in": None,
}


OTHERS = ["squeezenet1_1-caffe-imagenet.safetensors", "cifar100-resnet44.pth"]


@pytest.fixture(scope="module")
def networks(shared_data):
    folder = shared_data / "checkpoints"
    return {
        name: load(folder / file if file else "resnet20-cifar10") for name, file in NAMES.items()
    }


@pytest.fixture
def printing(request):
    """Whether tables are printed that nothing is asked of."""
    return request.config.getoption("capture") == "no"


def show(title, frame):
    print(f"\n{title}\n{frame.round(3).to_string()}")


def swaps_at_other_ratios(networks):
    at = {
        ratio: pd.concat([applicability(net, ratio=ratio).table for net in networks.values()])
        for ratio in (0.1, 0.3, 0.7)
    }
    return pd.DataFrame(
        {ratio: table.groupby("criterion")["swap_filters"].median() for ratio, table in at.items()}
    )


def test_scale_explains_the_dispersion(networks, printing):
    found = pd.concat([applicability(net).table.assign(net=name) for name, net in networks.items()])
    assert (found["reason"] == "").all()
    columns = ["cv", "robust_cv", "cv_predicted", "cv_scale", "cv_ratio", "gini", "gini_predicted"]
    columns += ["q90_q10", "q90_q10_predicted", "signal_share", "swap_filters", "swap_normal"]
    grouped = found.groupby(["net", "criterion"], sort=False)
    medians = grouped[columns].median()
    show("medians over layers", medians)
    show("verdicts", grouped["verdict"].value_counts().unstack(fill_value=0))
    if printing:
        show("median swap at other ratios", swaps_at_other_ratios(networks))
    assert (medians["cv_ratio"] > 1.9).all()
    assert (medians["cv_scale"] > 1.5 * medians["cv_predicted"]).all()
    error = (medians["cv_scale"] / medians["robust_cv"]).apply(np.log).abs()
    assert error.max() < 0.25
    assert (found["swap_filters"] - found["swap_normal"]).abs().median() < 0.03


@pytest.mark.parametrize(
    ("network", "layer", "dead"),
    [("ResNet-56", "layer2.0.conv1", 1), ("ResNet-20", "layer3.0.conv1", 2)],
)
def test_dead_filters_among_live_ones_without_signal(networks, network, layer, dead):
    net = networks[network]
    [name] = [each.name for each in net if each.name.endswith(layer)]
    table = applicability(net, ["l1", "l2"]).table
    half = table[table["layer"] == name]
    assert (half["verdict"] == "cannot discriminate").all()
    assert half["apart"].tolist() == half["near_zero"].tolist() == [dead, dead]
    assert (half["swap_apart"] < 1e-6).all()


def halves_by_channels(weight):
    """The reliability of log l2 from its halves over even and odd channels, and without covariance.

    Log norms of the halves share the scale, R = 2 rho / (1 + rho), and what covariance between the
    channels makes of both: 2 ||Sigma_eo||^2 / (tr Sigma_e tr Sigma_o), which a fresh draw would not
    show again. With x_i and y_i the halves of filter i, E (x_i x_j)(y_i y_j) = ||Sigma_eo||^2 over
    pairs of filters.
    """
    filters = weight.detach().double().flatten(2).numpy()
    n = len(filters)
    even, odd = filters[:, ::2].reshape(n, -1), filters[:, 1::2].reshape(n, -1)
    energies = [np.square(half).sum(1) for half in (even, odd)]
    rho = 2 * np.sin(np.pi / 6 * stats.spearmanr(*energies).statistic)
    norms = np.sqrt(sum(energies))[:, None]
    x, y = even / norms, odd / norms
    products = (x @ x.T) * (y @ y.T)
    between = (products.sum() - np.trace(products)) / (n * (n - 1))
    shared = 2 * between / (np.square(x).sum(1).mean() * np.square(y).sum(1).mean())
    first, second = (stats.iqr(np.log(energy), scale="normal") for energy in energies)
    own = rho - shared / (first * second)
    return [max(2 * signal / (1 + rho), 0.0) for signal in (rho, own)]


def test_reliability_agrees_with_split_halves(networks):
    """It lies below that of halves, which counts covariance between channels as signal."""
    rows = []
    for name, net in networks.items():
        reliability = applicability(net, ["l2"]).table.set_index("layer")["signal_share"]
        for layer in net:
            if layer.channels >= 16:
                halves = halves_by_channels(layer.weight)
                rows.append((name, reliability[layer.name], *halves))
    frame = pd.DataFrame(rows, columns=["net", "model", "split_halves", "without_covariance"])
    medians = frame.groupby("net", sort=False).median()
    show("median reliability of log l2", medians)
    assert (medians["model"] < medians["split_halves"]).all()
    # .01 to .14 in these networks, whose medians are of 16 to 52 layers
    assert (medians["model"] - medians["without_covariance"]).abs().max() < 0.15
    assert frame["model"].corr(frame["without_covariance"]) > 0.8


@pytest.mark.parametrize("spread", [0.05, 0.1, 0.3])
def test_without_covariance_between_channels_halves_agree(spread):
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(20):
        scale = np.exp(spread * rng.normal(size=(64, 1, 1, 1)))
        layer = ConvLayer("conv", torch.from_numpy(scale * rng.normal(size=(64, 16, 3, 3))))
        table = applicability(layer, ["l2"], progress=False).table
        rows.append((table["signal_share"][0], *halves_by_channels(layer.weight)))
    model, halves, without = np.mean(rows, axis=0)
    assert model == pytest.approx(halves, abs=0.07)
    assert without == pytest.approx(halves, abs=0.02)
    # 1 / (2 d) of 144 weights is the noise; where signal is little, that of few filters is cut off
    assert model == pytest.approx(spread**2 / (spread**2 + 1 / 288), abs=0.1)


def errors_by_mean(networks):
    normalised = pd.concat(
        [
            global_pruning(net, normalise="mean").summary().assign(net=name)
            for name, net in networks.items()
        ]
    )
    return normalised.pivot_table(
        index=["net", "criterion"], columns="rung", values=["error", "within"], sort=False
    )


def test_global_shares(networks, printing):
    tables, overlaps, summaries = [], [], []
    for name, net in networks.items():
        found = global_pruning(net)
        tables.append(found.table.assign(net=name))
        overlaps.append(found.overlap_table.assign(net=name))
        summaries.append(found.summary().assign(net=name))
    summary = pd.concat(summaries)
    wide = summary.pivot_table(
        index=["net", "criterion"], columns="rung", values=["error", "within"], sort=False
    )
    show("error of the shares, and layers within the interval", wide)
    show(
        "layers emptied, and in danger, at ratio .5",
        summary[summary["ratio"] == 0.5].set_index(["net", "criterion", "rung"])[
            ["emptied", "danger", "between_predicted", "between_measured"]
        ],
    )
    overlap = pd.concat(overlaps)
    overlap["error"] = (overlap["overlap_predicted"] - overlap["overlap_measured"]).abs()
    show(
        "l1 with l2",
        overlap[(overlap["criterion_a"] == "l1") & (overlap["criterion_b"] == "l2")].pivot_table(
            index=["net", "rung"],
            columns="ratio",
            values=["overlap_predicted", "overlap_measured"],
            sort=False,
        ),
    )
    show("error of the overlaps", overlap.groupby(["net", "rung"], sort=False)["error"].mean())
    if printing:
        show("error with scores by mean", errors_by_mean(networks))
    scale = wide["error"]["scale"]
    assert set(wide.index.get_level_values("criterion")) == set(NORM_BASED)
    assert (scale < wide["error"]["block"]).all()
    assert scale.max() < 0.065
    assert wide["within"]["scale"].min() > 0.7
    errors = overlap.groupby("rung")["error"].mean()
    assert errors["scale"] < errors["block"]
    assert errors["scale"] < 0.04


@pytest.mark.parametrize("name", OTHERS)
def test_other_networks(shared_data, name):
    net = load(shared_data / "checkpoints" / name)
    measured = applicability(net).summary().set_index("criterion")
    show(f"{name}, medians and verdicts", measured)
    found = global_pruning(net)
    pruned = found.summary().pivot_table(
        index="criterion", columns="rung", values=["error", "within"], sort=False
    )
    show(f"{name}, global shares", pruned)
    wide = found.overlap_table.pivot_table(
        index=["criterion_a", "criterion_b"],
        columns=["rung"],
        sort=False,
        values=["overlap_predicted", "overlap_measured"],
    )
    show(f"{name}, overlaps", wide)
    assert (np.log(measured["median_cv_scale"] / measured["median_cv"]).abs() < 0.2).all()
    norms = ["l1", "l2", "fermat"]  # GM's losses hang on the numbers of filters alone
    errors = pruned["error"].loc[norms].mean()
    assert errors["scale"] < errors["block"]
    assert pruned["error"]["scale"].max() < 0.05
