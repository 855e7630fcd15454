"""What is drawn are the numbers of the table, and what cannot be drawn is said in one line."""

from __future__ import annotations

import io
import itertools
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from scipy import stats

from cwda import figures
from cwda.callbacks import Trajectory
from cwda.comparison import compare
from cwda.errors import CwdaError, WeightsError
from cwda.figures.drawing.layers_axis import elide
from cwda.figures.drawing.style import VERDICTS
from cwda.figures.weights.covariance import cell_size
from cwda.figures.weights.qq import drawn_ranks
from cwda.formatting import MARKS
from cwda.layers import ConvLayer, Network, Provenance
from cwda.numerics.normality.normal_band import normal_band
from cwda.scoring import scores, similarity
from cwda.theory import predict
from tests.figures.gallery import (
    GALLERY,
    accuracies,
    along,
    applicability,
    before_and_after,
    checked,
    compared,
    layer,
    network,
    pruned,
    trained,
    tuned,
)


@pytest.mark.parametrize("name", GALLERY)
def test_plain_figure_without_pyplot_or_changed_settings(name):
    before = dict(matplotlib.rcParams)
    ax = GALLERY[name]()
    assert isinstance(ax.figure, Figure)
    assert dict(matplotlib.rcParams) == before
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )
    ax.figure.savefig(buffer := io.BytesIO(), format="svg")
    assert buffer.tell() > 1000


@pytest.mark.parametrize("name", GALLERY)
def test_draws_on_axes_given(name):
    panels = np.shape(GALLERY[name]())
    figure = Figure((20, 10))
    axes = figure.subplots(*panels, squeeze=False) if panels else figure.add_subplot(1, 2, 1)
    other = figure.add_axes((0.9, 0.9, 0.1, 0.1))
    before = [*figure.axes]
    drawn = GALLERY[name](ax=axes)
    assert drawn is axes if not panels else (np.ravel(drawn) == np.ravel(axes)).all()
    assert figure.axes == before
    assert np.all([ax.has_data() for ax in np.ravel(axes)])
    assert not other.has_data()
    assert not figure.legends
    figure.draw_without_rendering()


@pytest.mark.parametrize("ax", [3, [], [Figure().subplots()], Figure().subplots(3, 2), [1] * 4])
def test_other_axes_than_the_panels_need_are_refused(ax):
    with pytest.raises(CwdaError, match="4 panels, not"):
        figures.score_histograms(network(), [0, 8], ["l1", "gm"], ax=ax)


def test_histograms_of_batchnorm_need_no_images_and_no_legend():
    axes = figures.score_histograms("resnet20-cifar10", ["conv1"], ["bn_gamma", "bn_beta"])
    assert [ax.get_xlabel() for ax in axes[0]] == ["bn_gamma score", "bn_beta score"]
    assert all(ax.get_legend() is None for ax in axes[0])
    both = figures.score_histograms("resnet20-cifar10", ["conv1"], ["bn_gamma", "l2"])
    assert both[0, 1].get_legend() is not None


def test_small_multiples_keep_long_names_within_their_row():
    long = Network("n", (layer("backbone.stage4.block2." * 9),), Provenance("n", "array"))
    axes = figures.score_histograms(long, criteria=["l1", "l2"])
    axes.figure.canvas.draw()
    [name] = axes[0, 0].texts
    assert name.get_window_extent().x1 <= axes.figure.bbox.x1
    assert name.get_text().endswith("48 filters")


@pytest.mark.parametrize("name", ["conv1", "backbone.stage4.block2.conv3", "x" * 40])
@pytest.mark.parametrize("layers", [3, 12])
def test_heads_of_the_overview_do_not_touch(name, layers):
    table = checked(layers)
    table["layer"] = [f"{name}.{layer}" for layer in table["layer"]]
    ax = figures.overview(table)
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert max(box.y1 for box in boxes) <= ax.figure.bbox.y1


def test_a_notebook_shows_the_figure():
    png = figures.qq(layer()).figure._repr_png_()
    assert png.startswith(b"\x89PNG")


# --- the numbers drawn ---


def test_overview_has_the_verdicts():
    table = checked(12)
    ax = figures.overview(table)
    drawn = ax.collections[0].get_array().reshape(12, 8)
    order = ["holds", "inconclusive", "fails"]
    for (_, row), value in zip(table.iterrows(), drawn.ravel(), strict=True):
        if row["verdict"] == "not applicable":
            assert np.ma.is_masked(value)
        else:
            assert order[int(value)] == row["verdict"]


def test_verdicts_differ_in_grey_and_in_mark():
    grey = [np.dot(to_rgb(style.fill), [0.299, 0.587, 0.114]) for style in VERDICTS.values()]
    holds, inconclusive, fails, _ = grey
    assert holds > inconclusive + 0.1 > fails + 0.2
    assert len({style.mark for style in VERDICTS.values()}) == 4
    assert len({style.marker for style in VERDICTS.values()}) == 4


@pytest.mark.parametrize("layers", [3, 50, 200, 400])
def test_names_of_layers_do_not_touch(layers):
    ax = figures.overview(checked(layers))
    figure = ax.figure
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert all(upper.y0 > lower.y1 - 1 for upper, lower in itertools.pairwise(boxes))
    assert min(box.x0 for box in boxes) > 0
    assert figure.get_size_inches()[1] * 25.4 < 245


def test_long_names_keep_their_ends_and_stay_different():
    long = "features.denseblock{}.denselayer{}.conv2"
    apart = elide([long.format(4, 16), long.format(4, 17)])
    assert all(len(name) <= 34 and name.endswith("conv2") for name in apart)
    for ends in ("a", "x" * 9, "x" * 200):
        names = elide([f"backbone.stage_{i}.{ends * 30}{'x' * 30}" for i in (1, 2)])
        assert len({*names}) == 2
        assert max(map(len, names)) < 40


@pytest.mark.parametrize("name", ["conv1", "backbone.stage4.block2.conv3.weight" * 4, "x" * 300])
def test_titles_are_no_wider_than_their_panels_allow(name):
    ax = figures.qq(layer(name))
    ax.figure.set_dpi(300)  # hinting widens text at few dots per inch
    ax.figure.canvas.draw()
    [title] = [text for text in ax.get_children() if "weights" in getattr(text, "get_text", str)()]
    room = 7 / 25.4 * ax.figure.dpi
    assert title.get_window_extent().x1 < ax.get_window_extent().x1 + room
    assert title.get_text().startswith(name[:4])
    assert title.get_text().endswith(name[-4:] + ": 5,184 weights")


def test_effects_have_the_intervals():
    table = checked(24)
    rows = table[(table["condition"] == "epsilon") & (table["verdict"] == "fails")]
    ax = figures.effects(table, "epsilon")
    line = next(each for each in ax.lines if each.get_label().startswith("✗"))
    np.testing.assert_array_equal(line.get_xdata(), rows["effect"])
    drawn = np.concatenate([c.get_segments() for c in ax.collections])
    for low, high in zip(rows["effect_low"], rows["effect_high"], strict=True):
        assert (np.isclose(drawn[:, 0, 0], low) & np.isclose(drawn[:, 1, 0], high)).any()


def test_similarity_map_has_the_coefficients():
    sim = similarity(network())
    drawn = figures.similarity_map(sim).collections[0].get_array().reshape(9, 6)
    wide = sim.wide().to_numpy(dtype=float)
    np.testing.assert_array_equal(drawn.filled(np.nan), wide)
    assert drawn.mask[8].all()  # the dead layer


def test_criteria_matrix_has_the_coefficients():
    sim = similarity(network())
    drawn = figures.criteria_matrix(sim, "stage0.1.conv").collections[0].get_array()
    np.testing.assert_array_equal(drawn.reshape(4, 4), sim.matrix("stage0.1.conv"))


def test_covariance_equals_the_naive_matrix():
    small = layer(channels=12)
    picture = figures.covariance(small).get_images()[0].get_array()
    moments = small.matrix @ small.filters / small.n_filters
    expected = np.abs(moments) / np.diag(moments).mean()
    np.testing.assert_allclose(picture, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("channels", "kernel", "cell"),
    [(64, 3, 1), (65, 3, 3), (192, 3, 3), (193, 3, 9), (577, 3, 18), (512, 1, 1), (2048, 1, 4)],
)
def test_pixels_fit_the_blocks(channels, kernel, cell):
    found = ConvLayer("conv", torch.zeros(1, channels, kernel, kernel))
    assert cell_size(found) == cell
    assert -(-found.dim // cell) <= 576


def test_blocks_have_their_sign():
    small = layer()
    picture = figures.covariance_blocks(small, [2, 7]).get_images()[0].get_array()
    moments = small.matrix @ small.filters / small.n_filters
    at = [*range(18, 27), *range(63, 72)]
    np.testing.assert_allclose(picture, moments[np.ix_(at, at)] / np.diag(moments).mean())


@pytest.mark.parametrize("shape", [(4, 6, 3, 3), (4, 5, 7), (4, 3, 2, 3, 3), (4, 1, 5, 5)])
def test_filter_has_its_weights_in_order(shape):
    weight = torch.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    picture = figures.filter_image(ConvLayer("conv", weight), 2).get_images()[0].get_array()
    drawn = np.sort(picture.compressed())
    np.testing.assert_array_equal(drawn, weight[2].flatten())
    first = weight[2, 0].reshape(-1, shape[-1])
    np.testing.assert_array_equal(picture[: len(first), : shape[-1]], first)


def test_predicted_measured_has_the_points():
    table = compared()
    ax = figures.predicted_measured(table)
    line = next(each for each in ax.lines if each.get_label() == "departs from it (2)")
    rows = table[table["departs"]]
    np.testing.assert_array_equal(line.get_xdata(), rows["measured"])
    np.testing.assert_array_equal(line.get_ydata(), rows["predicted"])
    assert {text.get_text() for text in ax.texts} == set(rows["layer"])


def test_a_real_comparison_is_drawn():
    net = network()
    result = compare(similarity(net), predict(net))
    ax = figures.predicted_measured(result, ("l2", "gm"), rung="block")
    drawn = sum(len(each.get_xdata()) for each in ax.lines[1:])
    assert drawn == len(net) - 1  # the dead layer has no prediction


def test_what_is_not_known_is_no_departure_and_no_danger():
    table = compared().astype({"departs": "boolean"})
    table.loc[0, "departs"] = pd.NA
    ax = figures.predicted_measured(table)
    assert any(each.get_label() == "departs from it (1)" for each in ax.lines)
    shares = pruned().astype({"danger": "boolean"})
    shares["danger"] = pd.NA
    labels = [text.get_text() for text in figures.global_shares(shares).get_legend().get_texts()]
    assert not any("danger" in label for label in labels)


def test_the_order_of_a_pair_does_not_matter():
    assert figures.predicted_measured(compared(), ("l2", "l1")).lines


def test_dispersion_has_the_points():
    table = applicability()
    ax = figures.dispersion(table)
    line = next(each for each in ax.lines if each.get_label() == "CWDA")
    np.testing.assert_array_equal(line.get_xdata(), table["cv"])
    np.testing.assert_array_equal(line.get_ydata(), table["cv_predicted"])


def test_global_shares_choose_the_ratio_near_one_half_and_the_last_rung():
    ladder = [pruned().assign(rung=each) for each in ("block", "scale")]
    ax = figures.global_shares(pd.concat([*ladder, *(each.assign(ratio=0.9) for each in ladder)]))
    assert "ratio of 40 %" in ax.get_xlabel()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert any("rung scale" in label for label in labels)
    assert not any("block" in label for label in labels)


def test_global_shares_have_the_measurements_in_lanes():
    table = pruned()
    ax = figures.global_shares(table, 0.4)
    expected = table.loc[table["criterion"] == "l2", "share_measured"]
    bars = ax.containers[1]
    lane = bars[0].get_x()
    hundred = ax.get_xticks()[-1]
    widths = [bar.get_width() / (hundred - lane) for bar in bars]
    np.testing.assert_allclose(widths, expected)


def test_accuracy_curves_have_means_and_ranges():
    table = accuracies()
    ax = figures.accuracy_curves(table)
    dashed = next(line for line in ax.lines if line.get_linestyle() == "--")
    rows = table[(table.criterion == "l1") & (table.stage == "pruned")].groupby("ratio").accuracy
    assert dashed.get_xdata() == pytest.approx([10, 30, 50, 70])
    assert dashed.get_ydata() == pytest.approx(rows.mean().to_numpy())
    assert len(ax.collections) == 4  # two criteria, two stages
    heights = [path.vertices[:, 1] for band in ax.collections for path in band.get_paths()]
    assert any(h.min() == rows.min().min() and h.max() == rows.max().max() for h in heights)
    assert ax.lines[0].get_ydata()[0] == 93


def test_layer_effects_have_every_layer_in_margins():
    table = before_and_after()
    ax = figures.layer_effects(table)
    ticks = [line for line in ax.lines if line.get_marker() == "|"]
    for network_name, line in zip(("before", "after"), ticks, strict=True):
        rows = table[table["network"] == network_name].dropna(subset=["effect"])
        np.testing.assert_allclose(line.get_xdata(), rows["effect"] / rows["margin"])
        conditions = list(dict.fromkeys(table["condition"]))
        places = [conditions[round(y)] for y in line.get_ydata()]
        assert places == rows["condition"].tolist()


def test_a_contrast_has_the_changes_in_their_margins():
    found = tuned()
    ax = figures.contrast(found)
    rows = found.table.dropna(subset=["difference"])
    changes = (rows["difference"] / rows["margin"]).tolist()
    marks = [line.get_xdata()[0] for line in ax.lines if line.get_marker() in ("o", "X", "D")
             and len(line.get_xdata())]  # fmt: skip
    np.testing.assert_allclose(marks, changes)
    (ticks,) = (line for line in ax.lines if line.get_label() == "a layer")
    assert len(ticks.get_xdata()) == 12 * len(rows)
    words = [text.get_text() for text in ax.texts]
    verdicts = [word for word in words if word in ("same", "differs", "unsettled")]
    assert verdicts == rows["verdict"].tolist()


def test_trajectory_has_effects_intervals_and_verdicts():
    simulated = along()
    ax = figures.trajectory(simulated, "independence")
    rows = simulated.table[simulated.table["condition"] == "independence"]
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), rows["epoch"])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), rows["effect"])
    marked = {line.get_label(): list(line.get_xdata()) for line in ax.lines[1:]}
    assert marked.pop("margin .700") == rows["epoch"].tolist()
    expected = {f"{MARKS[v]} {v}": part["epoch"].tolist() for v, part in rows.groupby("verdict")}
    assert marked == expected
    assert len(expected) > 1
    ends = np.array([each.vertices[:, 1] for each in ax.collections[1].get_paths()])
    np.testing.assert_allclose(ends, rows[["effect_low", "effect_high"]])


def test_trajectory_of_all_conditions_is_in_units_of_the_margin():
    simulated = along()
    ax = figures.trajectory(simulated)
    for name, rows in simulated.table.dropna(subset=["effect"]).groupby("condition"):
        (line,) = [line for line in ax.lines if line.get_label() == name]
        np.testing.assert_allclose(line.get_ydata(), rows["effect"] / rows["margin"])


def test_layer_trajectory_has_one_layer():
    results = trained()
    ax = figures.layer_trajectory(results, "mean", "stage0.2.conv")
    expected = [
        t[(t["layer"] == "stage0.2.conv") & (t["condition"] == "mean")]["effect"].item()
        for t in results.values()
    ]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), expected)
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), list(results))


def test_qq_has_the_weights_and_the_band():
    small = layer()
    ax = figures.qq(small, [3])
    values = np.sort(small.filters[3])
    z = (values - values.mean()) / values.std(ddof=1)
    drawn = next(each for each in ax.lines if each.get_label().startswith("filter 3"))
    np.testing.assert_allclose(drawn.get_ydata(), z, rtol=1e-10)
    n = small.dim
    expected = stats.norm.ppf((np.arange(1, n + 1) - 0.5) / n)
    np.testing.assert_allclose(drawn.get_xdata(), expected, rtol=1e-9, atol=1e-12)
    low, high = normal_band(n, np.arange(1, n + 1))
    assert ("outside" in drawn.get_label()) == bool(((z < low) | (z > high)).any())


def test_thinning_keeps_the_extremes():
    ranks = drawn_ranks(2_000_000)
    assert len(ranks) < 450
    assert set(range(1, 51)) <= set(ranks)
    assert ranks[-1] == 2_000_000
    assert (np.diff(ranks) > 0).all()


def test_histogram_counts_all_filters():
    ax = figures.score_histogram(layer(n=200), "l1")
    outline, ticks = (collection.get_paths() for collection in ax.collections[:2])
    expected = np.sort(scores(layer(n=200), ["l1"]).wide()["l1"])
    x, y = outline[0].vertices.T
    np.testing.assert_allclose([x.min(), x.max()], [expected[0], expected[-1]])
    steps = np.unique(np.column_stack([x, y])[y > 0], axis=0)
    edges = np.unique(x)
    counts = np.histogram(expected, edges)[0]
    assert {*counts} - {0} == {*steps[:, 1]}
    np.testing.assert_allclose(np.sort([path.vertices[0, 0] for path in ticks]), expected)


# --- what cannot be drawn ---

DEAD = ConvLayer("dead", torch.zeros(16, 4, 3, 3))
BROKEN = ConvLayer("broken", torch.full((16, 4, 3, 3), float("nan")))


@pytest.mark.parametrize(
    ("draw", "error", "words"),
    [
        (lambda: figures.overview(checked(3)[:0]), CwdaError, "empty"),
        (lambda: figures.overview(3), CwdaError, "needs a table"),
        (lambda: figures.overview(checked(3).drop(columns="effect")), CwdaError, "'effect'"),
        (lambda: figures.effects(checked(3), "eps"), CwdaError, "it has gaussianity"),
        (
            lambda: figures.overview(
                pd.concat([checked(3), checked(3).assign(network="other")], ignore_index=True)
            ),
            CwdaError,
            "2 networks",
        ),
        (lambda: figures.predicted_measured(compared(), rung="shape"), CwdaError, "it has scale"),
        (lambda: figures.predicted_measured(compared(), ("l1", "gm")), CwdaError, "no pair"),
        (
            lambda: figures.predicted_measured(
                pd.concat([compared().assign(method=each) for each in ("closed form", "drawn")])
            ),
            CwdaError,
            "2 methods",
        ),
        (lambda: figures.dispersion(applicability(), "gm"), CwdaError, "it has l2"),
        (
            lambda: figures.accuracy_curves(
                pd.concat([accuracies(), accuracies().assign(strategy="layerwise")])
            ),
            CwdaError,
            "several strategies",
        ),
        (lambda: figures.accuracy_curves(accuracies(), "local"), CwdaError, "it has global"),
        (lambda: figures.global_shares(pruned(), 0.7), CwdaError, "it has 0.4"),
        (
            lambda: figures.global_shares(pruned().assign(rung="scale"), rung="no"),
            CwdaError,
            "scale",
        ),
        (lambda: figures.layer_trajectory({}, "mean"), CwdaError, "by epoch"),
        (lambda: figures.layer_trajectory(trained(), "mean", "no"), CwdaError, "no layer 'no'"),
        (lambda: figures.trajectory(trained()), CwdaError, "cwda.trajectory"),
        (lambda: figures.contrast(checked(3)), CwdaError, "cwda.contrast"),
        (
            lambda: figures.layer_effects(
                pd.concat([checked(3).assign(network=name) for name in "abcde"])
            ),
            CwdaError,
            "5 networks",
        ),
        (lambda: figures.trajectory(along(), "no"), CwdaError, "no condition 'no'"),
        (
            lambda: figures.trajectory(Trajectory((), (), level=0.9)),
            CwdaError,
            "no epoch was recorded",
        ),
        (lambda: figures.similarity_map(checked(3)), CwdaError, "cwda.similarity"),
        (
            lambda: figures.similarity_map(similarity(network()), "pearson"),
            CwdaError,
            "'pearson'",
        ),
        (lambda: figures.criteria_matrix(similarity(network()), "no"), CwdaError, "no layer"),
        (lambda: figures.score_histograms(network(), ["no"]), CwdaError, "no layer"),
        (lambda: figures.score_histograms(network(), []), CwdaError, "no layer to draw"),
        (lambda: figures.covariance(BROKEN), WeightsError, "NaN"),
        (lambda: figures.qq(BROKEN), WeightsError, "NaN"),
        (lambda: figures.qq(layer(), [48]), CwdaError, "has no filter 48"),
        (
            lambda: figures.qq(ConvLayer("c", torch.arange(18.0).reshape(9, 1, 1, 2)), [0]),
            CwdaError,
            "8 are",
        ),
        (lambda: figures.covariance_blocks(layer(), [12]), CwdaError, "has no input channel 12"),
        (lambda: figures.covariance_blocks(layer(), []), CwdaError, "no input channel"),
        (lambda: figures.filter_image(layer(), 48), CwdaError, "has no filter 48"),
        (lambda: figures.covariance("conv1"), CwdaError, "neither a known model"),
    ],
)
def test_bad_input_is_one_line(draw, error, words):
    with pytest.raises(error, match=words) as raised:
        draw()
    assert "\n" not in str(raised.value)


def untestable():
    table = checked(3).assign(verdict="not applicable", reason="3 filters; 8 are needed")
    table[["effect", "effect_low", "effect_high"]] = np.nan
    return table


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: figures.effects(untestable(), "mean"), "3 filters; 8 are needed"),
        (lambda: figures.layer_effects(untestable()), "3 filters; 8 are needed"),
        (lambda: figures.layer_trajectory({0: untestable()}, "mean"), "3 filters; 8 are needed"),
        (lambda: figures.trajectory(along(), "distinctness"), "No layer can be tested"),
        (
            lambda: figures.predicted_measured(compared().assign(measured=np.nan, reason="why")),
            "why",
        ),
        (lambda: figures.dispersion(applicability().assign(cv=np.nan, reason="why")), "why"),
        (lambda: figures.covariance(DEAD), "zero"),
        (lambda: figures.covariance_blocks(DEAD), "zero"),
        (lambda: figures.score_histogram(BROKEN), "NaN"),
        (lambda: figures.similarity_map(similarity(DEAD)), "equal"),
    ],
)
def test_nothing_to_draw_is_said_in_the_figure(draw, words):
    ax = draw()
    assert words in ax.texts[-1].get_text()
    ax.figure.canvas.draw()


def test_all_not_applicable_is_still_an_overview():
    ax = figures.overview(untestable())
    assert np.ma.getmaskarray(ax.collections[0].get_array()).all()
    ax.figure.canvas.draw()


def test_a_layer_too_small_for_a_prediction_has_its_histogram():
    few = ConvLayer("few", torch.rand(5, 3, 3, 3, generator=torch.Generator().manual_seed(0)))
    ax = figures.score_histogram(few)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[1] == "no prediction: 5 filters; 8 are needed"


def test_arrays_of_the_paper_are_taken():
    array = np.random.default_rng(0).standard_normal((4, 9, 16))
    assert figures.covariance(array).get_images()[0].get_array().shape == (36, 36)
    assert figures.qq(array).lines


def test_the_mean_matrix_is_drawn_without_a_layer():
    sim = similarity(network())
    ax = figures.criteria_matrix(sim)
    drawn = ax.collections[0].get_array().reshape(4, 4)
    np.testing.assert_allclose(np.ma.filled(drawn, np.nan), sim.matrix().to_numpy())
