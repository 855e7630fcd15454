"""Effects of factors: against regression by statsmodels, and in the figures."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control
from statsmodels.formula.api import ols

from cwda.conditions import CONDITIONS
from cwda.study.effects import EFFECT_COLUMNS, factor_effects
from cwda.study.figures import (
    plot_distance,
    plot_factors,
    plot_networks,
    plot_training,
    plot_verdicts,
)
from cwda.study.report import write_report
from cwda.study.run import StudyResult

ARMS = [("base", "base", 3), ("width", "8", 2), ("width", "32", 2), ("task", "random", 1)]


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    runs, rows = [], []
    for factor, level, seeds in ARMS:
        for seed in range(seeds):
            name = f"{factor}-{level}-{seed}"
            runs.append((factor, level, seed, "done", 2, 0.9 - 0.1 * seed))
            for epoch in (0, 1, 2):
                for place, condition in enumerate(CONDITIONS):
                    effect = 0.1 + 0.01 * rng.standard_normal() + 0.1 * (level == "8") * place
                    counts = rng.integers(1, 9, 3)
                    facts = (factor, level, seed, epoch, 1.0, 50.0, name, condition)
                    rows.append((*facts, *counts, 0, 0.1, effect))
    # A run that is not done must not enter
    runs.append(("width", "8", 2, "cut off", 1, 0.95))
    rows += [("width", "8", 2, 1, 1.0, 1.0, "cut", c, 1, 1, 1, 0, 0.1, 9.0) for c in CONDITIONS]
    columns = ["factor", "level", "seed", "epoch", "loss", "accuracy", "network", "condition",
               "holds", "fails", "inconclusive", "not_applicable", "margin",
               "median_effect"]  # fmt: skip
    return StudyResult(
        pd.DataFrame(runs, columns=["factor", "level", "seed", "status", "epochs", "kept"]),
        pd.DataFrame(rows, columns=columns),
        pd.DataFrame(),
    )


def test_differences_agree_with_a_regression_on_the_levels(result):
    effects = factor_effects(result)
    assert list(effects.columns) == list(EFFECT_COLUMNS)
    rows = result.summary[(result.summary["epoch"] == 2)]
    for condition in CONDITIONS:
        # statsmodels' least squares with a dummy variable a level, the base as reference
        own = rows[rows["condition"] == condition]
        fit = ols("median_effect ~ C(level, Treatment('base'))", own).fit()
        interval = fit.conf_int(0.05)
        for factor, level, _ in ARMS[1:]:
            term = f"C(level, Treatment('base'))[T.{level}]"
            found = effects[
                (effects["factor"] == factor)
                & (effects["level"] == level)
                & (effects["condition"] == condition)
            ].iloc[0]
            expected = [fit.params[term], *interval.loc[term], fit.pvalues[term]]
            np.testing.assert_allclose(
                found[["difference", "low", "high", "pvalue"]].astype(float), expected, rtol=1e-8
            )
            np.testing.assert_allclose(found["seed_sd"], fit.mse_resid**0.5, rtol=1e-8)


def test_changes_are_called_at_a_false_discovery_rate(result):
    effects = factor_effects(result)
    compared = effects[effects["factor"] != "base"]
    expected = false_discovery_control(compared["pvalue"])
    np.testing.assert_allclose(compared["pvalue_bh"], expected, rtol=1e-10)
    assert ((compared["change"] == "none shown") == (expected > 0.05)).all()
    eight = compared[compared["level"] == "8"].set_index("condition")
    assert eight.loc["homogeneity", "change"] == "larger"
    assert (effects.loc[effects["factor"] == "base", "change"] == "").all()


def test_earlier_epochs_of_the_base_are_levels_too(result):
    effects = factor_effects(result)
    early = effects[effects["factor"] == "epoch"]
    assert set(early["level"]) == {"0", "1"}
    assert (early["runs"] == 3).all()


def test_one_seed_gives_no_verdict(result):
    runs, summary = (table[table["seed"] == 0].copy() for table in (result.runs, result.summary))
    effects = factor_effects(StudyResult(runs, summary, result.layers))
    assert set(effects["change"]) == {"", "one seed"}


def test_figures_show_the_numbers_of_the_tables(result):
    axes = dict(zip(CONDITIONS, plot_training(result.summary).axes, strict=True))
    own = result.summary[
        (result.summary["factor"] == "base") & (result.summary["condition"] == "mean")
    ]
    line = axes["mean"].get_lines()[0]
    np.testing.assert_allclose(
        line.get_ydata(), own.groupby("epoch")["median_effect"].mean().to_numpy()
    )
    effects = factor_effects(result)
    bars = plot_verdicts(effects).axes[0].containers[0]
    holds = effects.loc[effects["condition"] == "gaussianity", "holds"]
    np.testing.assert_allclose(sorted(bar.get_width() for bar in bars), sorted(holds))
    base = plot_distance(result).axes[0].get_lines()[0]
    np.testing.assert_allclose(base.get_xdata(), [0.1, 0.2, 0.3])
    figure = plot_factors(effects, result)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "base", "width 8", "width 32", "task random", "epoch 0", "epoch 1",
    ]  # fmt: skip


def test_the_report_is_written(result, tmp_path):
    evidence = result.summary[result.summary["epoch"] == 2]
    assert len(plot_networks(evidence).axes) == 6
    written = write_report(result, tmp_path, evidence)
    assert {path.name for path in written} == {
        "effects.csv", "evidence.csv", "training.png", "factors.png", "verdicts.png",
        "distance.png", "networks.png",
    }  # fmt: skip
    assert all(path.stat().st_size > 500 for path in written)
