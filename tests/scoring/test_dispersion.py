"""Measured dispersion: of networks, of layers, of lists of scores, of bad ones."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from cwda.errors import CriterionError, SourceError
from cwda.scoring import scores
from cwda.scoring.dispersion import DispersionResult, dispersion
from tests.helpers.networks import layer_of, network, random_layer


def test_a_network_has_a_row_per_layer_and_criterion():
    net = network(random_layer("a"), random_layer("b", filters=24, seed=1))
    found = dispersion(net, ["l1", "gm"]).table
    assert found[["layer", "criterion"]].values.tolist() == [
        [name, each] for name in ("a", "b") for each in ("l1", "gm")
    ]
    assert (found["reason"] == "").all()
    assert found["n_filters"].tolist() == [16, 16, 24, 24]
    measured = scores(net["b"], ["gm"]).wide()["gm"].to_numpy()
    assert found["cv"][3] == pytest.approx(stats.variation(measured, ddof=1), rel=1e-12)


def test_lists_of_scores():
    x = [0.9, 0.8, 0.4, 0.01]
    for source in (x, np.array(x), torch.tensor(x, dtype=torch.float64), {"scores": x}):
        found = dispersion(source).table
        assert found["layer"].tolist() == ["scores"]
        assert found["cv"][0] == pytest.approx(stats.variation(x, ddof=1), rel=1e-12)


@pytest.mark.parametrize("source", [[], [1.0, math.nan], [[1.0], [2.0]], None, 3.0])
def test_what_is_no_list_of_scores(source):
    with pytest.raises(SourceError, match="not a list of finite scores"):
        dispersion(source)


def test_unknown_criterion():
    with pytest.raises(CriterionError, match="did you mean 'fermat'"):
        dispersion(network(random_layer()), ["fermt"])


def test_bad_layers_have_reasons():
    bad = random_layer("bad")
    bad.weight[0, 0, 0, 0] = math.nan
    same = layer_of([[1.0, 2.0]] * 5, "same")
    net = network(bad, same, random_layer("one", filters=1), layer_of([[0.0], [0.0]], "zero"))
    found = dispersion(net, ["l2"]).table.set_index("layer")
    assert "NaN or infinite" in found["reason"]["bad"]
    assert found["reason"]["same"] == "all 5 scores of l2 are equal"
    assert found["cv"]["same"] == 0
    assert found["reason"]["one"] == "1 filter; 2 are needed"
    assert math.isnan(found["cv"]["one"])
    assert found["reason"]["zero"] == "all 2 scores of l2 are equal"


def test_undefined_ratios_have_reasons():
    found = dispersion({"zeros": [0.0, 0.0, 0.0, 1.0, 2.0], "signed": [-2.0, -1.0, 1.0]}).table
    assert math.isnan(found["q90_q10"][0])
    assert "no quantile ratio" in found["reason"][0]
    assert "no robust CV" in found["reason"][0]
    assert found["gini"][0] > 0
    assert "no CV" in found["reason"][1]
    assert "no Gini" in found["reason"][1]


def test_the_summary_names_the_layer_of_the_least_dispersion(tmp_path):
    toy = {"apart": [0.9, 0.8, 0.4, 0.01], "alike": [0.91, 0.92, 0.93, 0.92], "one": [1.0]}
    found = dispersion(toy)
    row = found.summary().iloc[0]
    assert (row["criterion"], row["layers"], row["undefined"]) == ("given", 2, 1)
    assert row["lowest_layer"] == "alike"
    assert row["minimum"] == found.table["cv"][1]
    assert "lists of scores" in repr(found)
    found.save(tmp_path / "dispersion.json")
    assert DispersionResult.load(tmp_path / "dispersion.json").table.equals(found.table)
