"""Predicted against measured Spearman coefficients of real networks.

Origin of the tables in docs/theory.md: run with ``-s -m "slow or not slow"`` to print them.
"""

import pandas as pd
import pytest
import torch

from cwda.layers import ConvLayer, Network, Provenance
from cwda.theory import predict_similarity, simulate_similarity
from cwda.theory.moments import CRITERIA
from tests.theory.test_similarity import PAIRS, spearman

DEVELOPMENT = ("resnet20-12fca82f.th", "resnet32-d509ac18.th", "resnet56-4bfd9763.th")
FURTHER = ("resnet20-advrob-pgd.pth", "resnet20-advrob-standard.pth")
COLUMNS = [f"{a}-{b}" for a, b in PAIRS]


def network(path):
    """The 3x3 convolutions of a checkpoint."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    for key in ("state_dict", "model"):
        state = state.get(key, state)
    layers = tuple(
        ConvLayer(name.removesuffix(".weight"), value)
        for name, value in state.items()
        if value.ndim == 4 and value.shape[2:] == (3, 3)
    )
    return Network(path.name, layers, Provenance(path.name, "torch zip"))


def evaluate(folder, names, predict):
    """Mean absolute error and coverage, a row per rung and a column per pair."""
    tables = []
    for name in names:
        source = network(folder / "checkpoints" / name)
        measured = {
            (layer.name, *pair): value
            for layer in source
            for pair, value in zip(PAIRS, spearman(layer.filters.astype(float)), strict=True)
        }
        table = predict(source, device="cpu").table
        keys = zip(table["layer"], table["criterion_a"], table["criterion_b"], strict=True)
        tables.append(table.assign(measured=[measured[key] for key in keys]))
    table = pd.concat(tables)
    assert (table["reason"] == "").all()
    table["pair"] = table["criterion_a"] + "-" + table["criterion_b"]
    table["error"] = (table["spearman"] - table["measured"]).abs()
    table["inside"] = table["measured"].between(table["low"], table["high"]).astype(float)
    wide = table.pivot_table(index="rung", columns="pair", values=["error", "inside"], sort=False)
    print(f"\n{predict.__name__}, {len(table) // (5 * len(PAIRS))} layers")
    print(wide.round(4).to_string())
    return wide


def test_scale_explains_what_cwda_leaves(shared_data):
    error = evaluate(shared_data, DEVELOPMENT, predict_similarity)["error"]
    assert len(CRITERIA) == 4
    assert (error.loc["block", COLUMNS[:5]] > 0.035).all()
    # bars: l1-l2, l1-gm, l1-fermat, l2-gm, l2-fermat, gm-fermat
    assert (error.loc["scale", COLUMNS] <= [0.0149, 0.0231, 0.0212, 0.0135, 0.0127, 0.004]).all()
    assert (error.loc["shape", COLUMNS] <= [0.0130, 0.0185, 0.0171, 0.0108, 0.0095, 0.004]).all()


def test_further_networks(shared_data):
    error = evaluate(shared_data, FURTHER, predict_similarity)["error"]
    assert (error.loc["shape", COLUMNS] < error.loc["block", COLUMNS]).all()
    assert (error.loc["shape", COLUMNS] <= 0.035).all()


@pytest.mark.slow
@pytest.mark.parametrize("names", [DEVELOPMENT, FURTHER])
def test_simulated_prediction(shared_data, names):
    found = evaluate(shared_data, names, simulate_similarity)
    assert (found["error"].loc["shape", COLUMNS] <= 0.03).all()
    if names is DEVELOPMENT:
        bars = [0.0098, 0.0162, 0.0167, 0.0100, 0.0125, 0.003]
        assert (found["error"].loc["shape", COLUMNS] <= bars).all()
        assert (found["inside"].loc["shape", COLUMNS] >= 0.7).all()
