"""Textbook tests against direct calls of the libraries, and what becomes of layers without."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pingouin
import pytest
import torch
from click.testing import CliRunner
from rich.cells import cell_len
from scipy import stats
from statsmodels.stats import multivariate

import cwda
from cwda.cli.main import cwda_test
from cwda.cli.screen.conditions.show_textbook import show_textbook
from cwda.cli.screen.screen import Screen
from cwda.textbook_tests import MOST_SAMPLES, TESTS, TextbookResult
from cwda.textbook_tests.result import count_passes
from cwda.textbook_tests.weights import evenly_spaced
from tests.helpers.adjusting import multipletests

GENERATOR = torch.Generator().manual_seed(5)
#: More filters than weights of one, so that every test applies; and fewer.
WEIGHTS = {
    "many.weight": torch.randn(64, 3, 3, 3, generator=GENERATOR, dtype=torch.float64),
    "few.weight": torch.randn(16, 8, 3, 3, generator=GENERATOR, dtype=torch.float64) + 0.2,
}
ODD = {
    "dead.weight": torch.zeros(16, 3, 3, 3),
    "nan.weight": torch.full((16, 3, 3, 3), math.nan),
    "three.weight": torch.randn(3, 3, 3, 3, generator=GENERATOR),
    "one.weight": torch.randn(16, 1, 1, 1, generator=GENERATOR),
    "tiny.weight": 1e-20 * WEIGHTS["many.weight"],
    "half.weight": WEIGHTS["many.weight"] * (torch.arange(64) > 30)[:, None, None, None],
    "channel.weight": WEIGHTS["many.weight"] * (torch.arange(3) > 0)[:, None, None],
}


@pytest.fixture(scope="module")
def result():
    return cwda.textbook(WEIGHTS)


def row(result, layer, test):
    (found,) = (each for each in result if each.layer == layer and each.test == test)
    return found


def smallest(pairs):
    """Statistic and p-value of a layer with several tests."""
    statistics, pvalues = np.array(pairs, dtype=float).T
    adjusted = multipletests(pvalues, method="holm")[1]
    return statistics[pvalues.argmin()], adjusted.min(), len(pvalues), 64


def one(statistic, pvalue, n=64):
    return statistic, pvalue, 1, n


def direct(test):
    """The same by the libraries themselves, from the weights as they are."""
    weight = WEIGHTS["many.weight"].numpy()
    filters = weight.reshape(64, 27)
    channels = [weight[:, c].reshape(64, 9) for c in range(3)]
    covariance = np.cov(filters, rowvar=False)
    means, rms = filters.mean(1), np.sqrt((filters**2).mean())
    pooled = filters.ravel()
    normal = stats.kstest(pooled, "norm", args=(pooled.mean(), pooled.std(ddof=1)))
    levene = pingouin.homoscedasticity(list(filters.T)).iloc[0]
    bartlett = pingouin.homoscedasticity(list(filters.T), method="bartlett").iloc[0]
    by_filter = pingouin.homoscedasticity(list(filters)).iloc[0]
    of_channels = np.stack([channel.mean(1) for channel in channels])
    pairs = [stats.pearsonr(of_channels[a], of_channels[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    spherical = multivariate.test_cov_spherical(covariance, 64)
    diagonal = multivariate.test_cov_diagonal(covariance, 64)
    block = multivariate.test_cov_blockdiagonal(covariance, 64, [9, 9, 9])
    return {
        "position normality": lambda: smallest([stats.shapiro(x) for x in filters.T]),
        "filter normality": lambda: (*smallest([stats.shapiro(x) for x in filters])[:3], 27),
        "layer normality": lambda: one(*stats.normaltest(pooled), 64 * 27),
        "layer normality, KS": lambda: one(*normal, 64 * 27),
        "channel normality": lambda: smallest(
            [pingouin.multivariate_normality(x)[:2] for x in channels]
        ),
        "position variances": lambda: one(levene["W"], levene["pval"]),
        "position variances, Bartlett": lambda: one(bartlett["T"], bartlett["pval"]),
        "filter variances": lambda: one(by_filter["W"], by_filter["pval"], 27),
        "mean of filters": lambda: one(*stats.ttest_1samp(means, 0)),
        "mean of weights": lambda: one(*stats.ttest_1samp(pooled, 0), 64 * 27),
        "mean of filters, TOST": lambda: one(
            math.nan, pingouin.tost(means, 0, bound=float(0.1 * rms))["pval"].iloc[0]
        ),
        "channel covariance": lambda: smallest(
            [
                (found.statistic, found.pvalue)
                for x in channels
                for found in [multivariate.test_cov_diagonal(np.cov(x, rowvar=False), 64)]
            ]
        ),
        "sphericity": lambda: one(spherical.statistic, spherical.pvalue),
        "diagonal covariance": lambda: one(diagonal.statistic, diagonal.pvalue),
        "block-diagonal covariance": lambda: one(block.statistic, block.pvalue),
        "channel correlations": lambda: smallest(pairs),
    }[test]()


@pytest.mark.parametrize("test", [test.name for test in TESTS])
def test_values_are_those_of_the_libraries(result, test):
    found = row(result, "many", test)
    statistic, pvalue, n_tests, n = direct(test)
    np.testing.assert_allclose([found.statistic, found.pvalue], [statistic, pvalue], rtol=1e-7)
    assert (found.n_tests, found.n, found.reason) == (n_tests, n, "")
    assert found.passes is bool(pvalue <= 0.05 if "TOST" in test else pvalue > 0.05)


def test_pvalues_over_layers_are_adjusted_by_statsmodels(result):
    for _, group in result.table.groupby("test"):
        known = group[group["pvalue"].notna()]
        for column, method in (("pvalue_holm", "holm"), ("pvalue_bh", "fdr_bh")):
            expected = multipletests(known["pvalue"], method=method)[1]
            np.testing.assert_allclose(known[column], expected)
        assert group[group["pvalue"].isna()]["pvalue_holm"].isna().all()


def test_the_summary_counts_the_layers_that_pass():
    result = cwda.textbook(WEIGHTS, level=0.9)
    summary = result.summary().set_index("test")
    assert list(summary.index) == [test.name for test in TESTS]
    for test, group in result.table.groupby("test"):
        counted = summary.loc[test]
        assert counted["passes"] == group["passes"].sum()
        assert counted["layers"] + counted["not_applicable"] == len(group) == 2
        plural = "s" if counted["layers"] > 1 else ""
        expected = f"{counted['passes']} of {counted['layers']} layer{plural} pass at .1"
        assert counted["statement"] == expected
        assert counted["misleads"].endswith((".", ")."))
    # Every position has the mean .2: the filters' means are that far from 0.
    assert not row(result, "few", "mean of filters").passes
    assert not row(result, "few", "mean of filters, TOST").passes


def test_more_weights_than_filters_have_no_covariance_to_test(result):
    for test in ("sphericity", "diagonal covariance", "block-diagonal covariance"):
        found = row(result, "few", test)
        assert found.reason.startswith("n <= d: 16 filters, not more than the 72 weights of each")
        assert (found.passes, found.n_tests) == (None, 0)
        assert math.isnan(found.pvalue)


def test_a_layer_without_a_test_has_the_reason():
    result = cwda.textbook(ODD)
    assert len(result) == len(ODD) * len(TESTS)
    for found in result:
        assert (found.passes is None) == math.isnan(found.pvalue)
        assert found.passes is not None or found.reason, found
    reasons = {
        ("dead", "layer normality"): "all weights are 0",
        ("nan", "layer normality"): "432 of 432 weights are NaN or infinite",
        ("three", "layer normality"): "3 filters; 8 are needed",
        ("one", "channel normality"): "1 x 1 kernels have a single position in each channel",
        ("one", "filter normality"): "every filter is constant",
        ("one", "channel correlations"): "a single channel has no others to be correlated with",
        ("half", "filter normality"): "31 of 64 filters are constant",
        ("channel", "position normality"): "9 of 27 positions are constant",
        ("channel", "channel normality"): "1 of 3 channels have a singular covariance matrix",
        ("channel", "sphericity"): "the covariance matrix of the positions is singular",
    }
    assert {key: row(result, *key).reason for key in reasons} == reasons
    assert row(result, "half", "filter normality").n_tests == 33


def test_results_do_not_depend_on_the_unit_of_the_weights(result):
    tiny = cwda.textbook({"many.weight": ODD["tiny.weight"]})
    for test in TESTS:
        expected, found = (row(each, "many", test.name) for each in (result, tiny))
        np.testing.assert_allclose(found.pvalue, expected.pvalue, rtol=1e-7)


def test_a_large_layer_is_sampled_evenly():
    layer = torch.randn(80, 24, 3, 3, generator=GENERATOR)
    result = cwda.textbook({"large.weight": layer})
    assert row(result, "large", "position normality").n_tests == MOST_SAMPLES
    assert row(result, "large", "channel correlations").n_tests == 8 * 7 / 2
    assert np.ptp(np.diff(evenly_spaced(1000))) <= 1


def test_warnings_of_a_library_are_remarks(monkeypatch):
    def shapiro(frame, method):
        np.float64(1) / np.float64(0)
        return pd.DataFrame({"W": [0.9], "pval": [0.04]})

    def refuse(*args, **options):
        raise AssertionError("no data")

    monkeypatch.setattr(pingouin, "normality", shapiro)
    monkeypatch.setattr(pingouin, "ttest", refuse)
    result = cwda.textbook(WEIGHTS)
    assert row(result, "few", "position normality").reason.startswith("warning: divide by zero")
    assert row(result, "few", "mean of filters").reason == "AssertionError: no data"


def test_an_answer_comes_back_from_its_file(result, tmp_path):
    result.save(tmp_path / "textbook.json")
    loaded = TextbookResult.load(tmp_path / "textbook.json")
    pd.testing.assert_frame_equal(loaded.table, result.table)


@pytest.mark.parametrize("width", ["60", "80", "200", ""])
def test_the_screen_has_counts_and_sentences(result, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", width)
    show_textbook(result, Screen())
    shown = capsys.readouterr().out
    assert max(map(cell_len, shown.splitlines())) <= int(width or 1000)
    text = " ".join(shown.split())
    for test in TESTS:
        assert f"{test.name} ({test.function}): {test.misleads}" in text
    for count in count_passes(result):
        if count.layers:
            assert re.search(rf"{re.escape(count.test)} +{count.passes} +{count.layers}", text)


def test_the_command_line_shows_and_writes_them(result, tmp_path):
    source, table = tmp_path / "net.pth", tmp_path / "net.csv"
    torch.save(WEIGHTS, source)
    arguments = [str(source), "--conditions", "mean", "--textbook", "--output", str(table)]
    done = CliRunner().invoke(cwda_test, arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout.index("margin") < done.stdout.index("Textbook tests of net")
    written = pd.read_csv(tmp_path / "net.textbook.csv")
    expected = result.table.drop(columns="network").reset_index(drop=True)
    np.testing.assert_allclose(written["pvalue"], expected["pvalue"])
    assert list(written["test"]) == list(expected["test"])


def test_the_documentation_has_the_counts_of_the_built_in_network():
    page = (Path(__file__).resolve().parents[2] / "docs" / "textbook.md").read_text()
    for count in count_passes(cwda.textbook("resnet20-cifar10")):
        cells = [str(count.passes), str(count.passes_holm), str(count.passes_bh)]
        shown = " | ".join(cells) if count.layers else "n/a | n/a | n/a"
        assert f"| {count.test} | `{count.function}` | {shown} |" in page
        assert f"**{count.test}**: {count.misleads}" in " ".join(page.split())


def test_the_report_has_a_chapter_when_asked(tmp_path):
    answer = cwda.check(WEIGHTS, ["mean"], device="cpu")
    chapters = [each for each in cwda.reporting.CHAPTERS if each.title == "Textbook tests"]
    for asked in (True, False):
        path = cwda.report(answer, tmp_path / "net.html", chapters=chapters, textbook=asked)
        text = " ".join(path.read_text().split())
        assert ("Textbook tests" in text) is asked
        assert all((test.name in text) is asked for test in TESTS)
        assert ("1 of 2 layers pass" in text) is asked
