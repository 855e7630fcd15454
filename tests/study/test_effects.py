"""Effects of factors: against regression by statsmodels, and in the figures."""

from dataclasses import fields, replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import false_discovery_control
from statsmodels.formula.api import ols

from cwda.conditions import CONDITIONS
from cwda.errors import CwdaError
from cwda.study import FactorEffects, RunState, Standing, StudyResult, factor_effects, figures
from cwda.study.report import write_report

ARMS = [("base", "base", 3), ("width", "8", 2), ("width", "32", 2), ("task", "random", 1)]


def unset(row):
    """Zero in every column that a test does not speak of."""
    return {field.name: 0.0 if field.type == "float" else 0 for field in fields(row)}


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    runs, rows = [], []

    def add(factor, level, seed, epoch, name, condition, counts, effect):
        counts = dict(zip(("holds", "fails", "inconclusive"), map(int, counts), strict=True))
        facts = {"factor": factor, "setting": level, "seed": seed, "epoch": epoch}
        facts |= {"network": name, "condition": condition, "median_effect": float(effect)}
        facts |= {"loss": 1.0, "accuracy": 50.0, "margin": 0.1}
        rows.append(Standing(**unset(Standing) | facts | counts))

    def state(factor, level, seed, status, epochs, kept):
        facts = {"factor": factor, "setting": level, "seed": seed, "status": status}
        runs.append(RunState(**unset(RunState) | facts | {"epochs": epochs, "kept": kept}))

    for factor, level, seeds in ARMS:
        for seed in range(seeds):
            name = f"{factor}-{level}-{seed}"
            state(factor, level, seed, "done", 2, 0.9 - 0.1 * seed)
            for epoch in (0, 1, 2):
                for place, condition in enumerate(CONDITIONS):
                    effect = 0.1 + 0.01 * rng.standard_normal() + 0.1 * (level == "8") * place
                    counts = rng.integers(1, 9, 3)
                    add(factor, level, seed, epoch, name, condition, counts, effect)
    # A run that is not done must not enter
    state("width", "8", 2, "cut off", 1, 0.95)
    for condition in CONDITIONS:
        add("width", "8", 2, 1, "cut", condition, (1, 1, 1), 9.0)
    return StudyResult(tuple(rows), (), level=float("nan"), run_rows=tuple(runs))


def test_differences_agree_with_a_regression_on_the_levels(result):
    effects = factor_effects(result).table
    rows = result.table[(result.table["epoch"] == 2)]
    for condition in CONDITIONS:
        # statsmodels' least squares with one dummy variable per level, the base as reference
        own = rows[rows["condition"] == condition]
        fit = ols("median_effect ~ C(setting, Treatment('base'))", own).fit()
        interval = fit.conf_int(0.05)
        for factor, level, _ in ARMS[1:]:
            term = f"C(setting, Treatment('base'))[T.{level}]"
            found = effects[
                (effects["factor"] == factor)
                & (effects["setting"] == level)
                & (effects["condition"] == condition)
            ].iloc[0]
            expected = [fit.params[term], *interval.loc[term], fit.pvalues[term]]
            np.testing.assert_allclose(
                found[["difference", "low", "high", "pvalue"]].astype(float), expected, rtol=1e-8
            )
            np.testing.assert_allclose(found["seed_sd"], fit.mse_resid**0.5, rtol=1e-8)


def test_changes_are_called_at_a_false_discovery_rate(result):
    effects = factor_effects(result).table
    compared = effects[effects["factor"] != "base"]
    expected = false_discovery_control(compared["pvalue"])
    np.testing.assert_allclose(compared["pvalue_bh"], expected, rtol=1e-10)
    assert ((compared["change"] == "none shown") == (expected > 0.05)).all()
    eight = compared[compared["setting"] == "8"].set_index("condition")
    assert eight.loc["homogeneity", "change"] == "larger"
    assert (effects.loc[effects["factor"] == "base", "change"] == "").all()


def test_earlier_epochs_of_the_base_are_levels_too(result):
    effects = factor_effects(result).table
    early = effects[effects["factor"] == "epoch"]
    assert set(early["setting"]) == {"0", "1"}
    assert (early["runs"] == 3).all()


def test_the_level_is_that_of_the_intervals(result):
    narrow, wide = (factor_effects(result, level=level) for level in (0.5, 0.99))
    assert (narrow.level, wide.level) == (0.5, 0.99)
    compared = narrow.table["factor"] != "base"
    assert (narrow.table["low"][compared] > wide.table["low"][compared]).all()
    assert (narrow.table["change"] == "none shown").sum() < (
        wide.table["change"] == "none shown"
    ).sum()
    with pytest.raises(CwdaError, match="level lies between 0 and 1"):
        factor_effects(result, level=95)


def test_one_seed_gives_no_verdict(result):
    one = replace(
        result,
        rows=tuple(row for row in result.rows if row.seed == 0),
        run_rows=tuple(run for run in result.run_rows if run.seed == 0),
    )
    assert {row.change for row in factor_effects(one)} == {"", "one seed"}


def test_answers_are_shown_and_saved(result, tmp_path):
    assert repr(result).startswith("StudyResult: 8 of 9 runs done")
    summary = result.summary().set_index(["factor", "setting"])
    assert list(summary.columns) == ["runs", "accuracy", *CONDITIONS]
    own = result.table.query("factor == 'task' and epoch == 2").set_index("condition")
    assert summary.loc[("task", "random"), "mean"] == own.loc["mean", "median_effect"]
    result.save(tmp_path / "study.json")
    again = StudyResult.load(tmp_path / "study.json")
    pd.testing.assert_frame_equal(again.table, result.table)
    pd.testing.assert_frame_equal(again.runs, result.runs)
    effects = factor_effects(result)
    assert "5 factor levels compared with the base" in repr(effects)
    effects.save(tmp_path / "effects.json")
    pd.testing.assert_frame_equal(
        FactorEffects.load(tmp_path / "effects.json").table, effects.table
    )


def test_figures_show_the_numbers_of_the_tables(result):
    own = result.table[(result.table["factor"] == "base") & (result.table["condition"] == "mean")]
    line = figures.training(result, "mean").get_lines()[0]
    np.testing.assert_allclose(
        line.get_ydata(), own.groupby("epoch")["median_effect"].mean().to_numpy()
    )
    effects = factor_effects(result).table
    bars = figures.factor_verdicts(result, "gaussianity").containers[0]
    holds = effects.loc[effects["condition"] == "gaussianity", "holds"]
    np.testing.assert_allclose(sorted(bar.get_width() for bar in bars), sorted(holds))
    base = figures.distance(result, "mean").get_lines()[0]
    np.testing.assert_allclose(base.get_xdata(), [0.1, 0.2, 0.3])
    ax = figures.factor_levels(result, "mean")
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "base", "width 8", "width 32", "task random", "epoch 0", "epoch 1",
    ]  # fmt: skip
    with pytest.raises(CwdaError, match="no condition 'median'"):
        figures.training(result, "median")


@pytest.mark.parametrize(
    "draw", [figures.training, figures.factor_levels, figures.factor_verdicts, figures.distance]
)
def test_figures_draw_on_given_axes_and_leave_settings_alone(result, draw):
    before = dict(matplotlib.rcParams)
    ax = Figure().add_subplot()
    assert draw(result, "mean", ax=ax) is ax
    assert dict(matplotlib.rcParams) == before


def test_the_report_is_written(result, tmp_path):
    written = write_report(result, tmp_path)
    assert {path.name for path in written} == {
        "effects.csv", "training.png", "factors.png", "verdicts.png", "distance.png",
    }  # fmt: skip
    assert all(path.stat().st_size > 500 for path in written)
