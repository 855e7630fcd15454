"""One picture of each figure, from fixed numbers: for the tests to compare with, and for docs/.

    python -m tests.figures.gallery [NAME ...]

draws the stored pictures anew, all or those named; look at each before it is committed.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from cwda import figures
from cwda.callbacks import EpochCondition, Trajectory
from cwda.comparison import LayerTriangle, Triangle
from cwda.conditions.results import decide
from cwda.conditions.whole.contrast_result import Contrast, ContrastRow, LayerPair
from cwda.figures.drawing.canvas import Panels
from cwda.layers import ConvLayer, Network, Provenance
from cwda.population import mixed_models
from cwda.scoring import similarity
from tests.helpers.small_surveys import survey

#: The pictures that docs/figures.md shows.
STORED = Path(__file__).parents[2] / "docs" / "images" / "figures"
DPI = 130

#: The page that shows them all, and how it begins.
PAGE = STORED.parents[1] / "gallery.md"
HEAD = """# Gallery

Every figure, drawn from fixed numbers by `python -m tests.figures.gallery`, with which the tests
compare what is drawn. [Figures](figures.md) says how to read each.
"""

CONDITIONS = {
    "gaussianity": 0.05,
    "shape": 2.0,
    "variance": 0.5,
    "mean": 0.1,
    "epsilon": 0.3,
    "independence": 0.7,
    "homogeneity": 0.125,
    "distinctness": 0.2,
}


def layer(name: str = "conv", n: int = 48, channels: int = 12, seed: int = 0) -> ConvLayer:
    """Gaussian 3x3 filters, correlated in blocks, of unequal scale."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((n, channels, 9)) + 0.6 * rng.standard_normal((n, channels, 1))
    weight *= np.exp(0.15 * rng.standard_normal((n, 1, 1)))
    return ConvLayer(name, torch.from_numpy(weight).reshape(n, channels, 3, 3))


def copied() -> ConvLayer:
    """A few filters are near copies of others."""
    weight = layer(n=64).weight.clone()
    noise = torch.from_numpy(np.random.default_rng(9).standard_normal(weight[:6].shape))
    weight[:6] = -1.5 * weight[6:12] + 0.3 * noise
    return ConvLayer("conv", weight)


@cache
def network() -> Network:
    layers = [layer(f"stage{i // 3}.{i % 3}.conv", seed=i) for i in range(8)]
    layers.append(ConvLayer("dead", torch.zeros(16, 4, 3, 3)))
    return Network("simulated", tuple(layers), Provenance("simulated", "array"))


def checked(layers: int, seed: int = 0) -> pd.DataFrame:
    """A table as `cwda.check` gives it; every ninth row is not applicable."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(layers):
        for j, (condition, margin) in enumerate(CONDITIONS.items()):
            effect = margin * rng.uniform(0.1, 2.2)
            low, high = effect - 0.3 * margin, effect + 0.4 * margin
            verdict = "holds" if high <= margin else "fails" if low > margin else "inconclusive"
            row = {
                "network": "simulated",
                "layer": f"stage{i // 10}.{i % 10}.conv",
                "condition": condition,
                "effect": effect,
                "effect_low": max(low, 0.0),
                "effect_high": high,
                "margin": margin,
                "verdict": verdict,
                "reason": "",
            }
            if (i * len(CONDITIONS) + j) % 9 == 4:
                row |= dict.fromkeys(("effect", "effect_low", "effect_high"), np.nan)
                row |= {"verdict": "not applicable", "reason": "1x1 kernels have no blocks"}
            rows.append(row)
    return pd.DataFrame(rows)


def whole(networks: int = 1) -> pd.DataFrame:
    """A table as `CheckResult.network` has it."""
    rng = np.random.default_rng(7)
    rows = []
    for i in range(networks):
        for j, (condition, margin) in enumerate(CONDITIONS.items()):
            effect = margin * (0.3 * (j + 1) if i == 0 else rng.uniform(0.05, 2))
            low, high = effect - 0.1 * margin, effect + 0.15 * margin
            verdict = "holds" if high <= margin else "fails" if low > margin else "inconclusive"
            row = {"network": f"simulated-{i}" if networks > 1 else "simulated"}
            row |= {"condition": condition, "effect": effect, "effect_low": low}
            row |= {"effect_high": high, "margin": margin, "verdict": verdict}
            rows.append(row | {"layers": 20, "holds": 20 - 2 * j})
    return pd.DataFrame(rows)


def compared(layers: int = 24) -> pd.DataFrame:
    """A table as the comparison of predicted and measured similarity has it."""
    rng = np.random.default_rng(1)
    z = rng.normal(2.2, 0.4, layers)
    off = rng.normal(0, 0.2, layers)
    off[:2] = 0.9, -0.8
    return pd.DataFrame(
        {
            "network": "simulated",
            "layer": [f"stage{i // 10}.{i % 10}.conv" for i in range(layers)],
            "criterion_a": "l1",
            "criterion_b": "l2",
            "rung": "scale",
            "measured": np.tanh(z + off),
            "predicted": np.tanh(z),
            "low": np.tanh(z - 0.45),
            "high": np.tanh(z + 0.45),
            "z": off / 0.22,
            "departs": np.abs(off) > 0.6,
            "reason": "",
        }
    )


def applicability(layers: int = 24) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    predicted = np.exp(rng.uniform(np.log(0.01), np.log(0.1), layers))
    measured = np.hypot(predicted, rng.uniform(0.05, 0.4, layers))
    return pd.DataFrame(
        {
            "network": "simulated",
            "layer": [f"stage{i // 10}.{i % 10}.conv" for i in range(layers)],
            "criterion": "l2",
            "cv": measured,
            "cv_predicted": predicted,
            "cv_scale": measured * np.exp(rng.normal(0, 0.15, layers)),
            "cv_ratio": measured / predicted,
            "reason": "",
        }
    )


def pruned(layers: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = []
    for i in range(layers):
        for shift, criterion in ((-0.15, "l1"), (0.15, "l2")):
            share = float(np.clip(0.4 + shift + 0.3 * np.sin(i / 2), 0.02, 0.98))
            rows.append(
                {
                    "network": "simulated",
                    "layer": f"stage{i // 10}.{i % 10}.conv",
                    "criterion": criterion,
                    "ratio": 0.4,
                    "share_predicted": share,
                    "share_low": max(share - 0.08, 0),
                    "share_high": min(share + 0.08, 1),
                    "share_measured": float(np.clip(share + rng.normal(0, 0.04), 0, 1)),
                    "danger": share > 0.8,
                    "reason": "",
                }
            )
    return pd.DataFrame(rows)


def trained() -> dict[float, pd.DataFrame]:
    """Effects that grow with the epoch."""
    found = {}
    for epoch in (0, 20, 60, 120):
        table = checked(12)
        numbers = ["effect", "effect_low", "effect_high"]
        table[numbers] *= 0.2 + epoch / 100
        found[float(epoch)] = table
    return found


def before_and_after() -> pd.DataFrame:
    """Effects in the layers of a network, and larger ones after it was trained further."""
    before, after = checked(24), checked(24, seed=1)
    numbers = ["effect", "effect_low", "effect_high"]
    before[numbers] *= 0.4
    after[numbers] *= 3
    tables = [before.assign(network="before"), after.assign(network="after")]
    return pd.concat(tables, ignore_index=True)


def tuned() -> Contrast:
    """What `before_and_after` differ in: some conditions are the same, one cannot be compared."""
    rng = np.random.default_rng(6)
    rows, layers = [], []
    for place, (name, margin) in enumerate(CONDITIONS.items()):
        change = margin * (-0.1, 0.02, 0.9, 0.1, 2.5, -1.4, 0.3, 0.0)[place]
        low, high = change - 0.3 * margin, change + 0.25 * margin
        within = -margin / 2 <= low and high <= margin / 2
        verdict = "same" if within else "differs" if low > 0 or high < 0 else "unsettled"
        common = {"condition": name, "effect_a": 0.4 * margin, "effect_b": 0.4 * margin + change}
        if name == "distinctness":
            common |= {"effect_a": np.nan, "effect_b": np.nan}
            change, low, high, verdict = np.nan, np.nan, np.nan, "not applicable"
        rows.append(
            ContrastRow(
                network_a="before", network_b="after", scale="raw", paired=True, layers_a=12,
                layers_b=12, difference=change, difference_low=low, difference_high=high,
                margin=margin / 2, verdict=verdict, correlation=0.4, weights_a=1.0, weights_b=1.0,
                **common,
            )
        )  # fmt: skip
        layers += [
            LayerPair(
                layer=f"stage{i // 4}.{i % 4}.conv", layer_b=f"stage{i // 4}.{i % 4}.conv",
                by_name=True, kept=0.8, verdict_a="holds", verdict_b="holds", n_weights=100,
                condition=name, effect_a=common["effect_a"],
                effect_b=common["effect_b"] + margin * rng.normal(0, 0.5),
            )
            for i in range(12)
        ]  # fmt: skip
    networks = (replace(network(), name="before"), replace(network(), name="after"))
    return Contrast(tuple(rows), networks, level=0.95, layers=tuple(layers))


def along() -> Trajectory:
    """Eight conditions in a network: some begin to fail, one to hold, one cannot be tested."""
    rng = np.random.default_rng(5)
    rows = []
    for epoch in (0, 10, 20, 40, 60, 90):
        for place, (name, margin) in enumerate(CONDITIONS.items()):
            slope = (place - 3) / 300
            effect = margin * (0.6 + slope * epoch + rng.normal(0, 0.02))
            reach = margin * (0.12 + 0.02 * place)
            tested = place < 7
            nan = float("nan")
            rows.append(
                EpochCondition(
                    epoch=epoch, level=0.9, network="simulated", condition=name,
                    layers=20 * tested, weights=1.0, margin=margin,
                    effect=effect if tested else nan,
                    effect_low=effect - reach if tested else nan,
                    effect_high=effect + reach if tested else nan,
                    verdict=decide(effect - reach, effect + reach, margin)
                    if tested else "not applicable",
                    holds=0, fails=0, inconclusive=0, not_applicable=20 * (not tested),
                )
            )  # fmt: skip
    return Trajectory(tuple(rows), (), level=0.9)


def accuracies() -> pd.DataFrame:
    """A table as an experiment has it: two criteria, two seeds, fine-tuned at two ratios."""
    rng = np.random.default_rng(4)
    rows = [{"strategy": "none", "criterion": "none", "ratio": 0.0, "stage": "unpruned"}]
    rows[0] |= {"network": "simulated", "accuracy": 93.0}
    for criterion, lost in (("l1", 60.0), ("taylor_l1", 45.0)):
        for ratio in (0.1, 0.3, 0.5, 0.7):
            for seed in range(2):
                row = {"network": "simulated", "strategy": "global", "criterion": criterion}
                row |= {"ratio": ratio, "seed": seed}
                noise = 6 * rng.random()
                rows.append(row | {"stage": "pruned", "accuracy": 92 - 2 * lost * ratio**2 - noise})
                if ratio in (0.3, 0.5):
                    rows.append(row | {"stage": "finetuned", "accuracy": 92 - 20 * ratio - noise})
    return pd.DataFrame(rows)


def joined(layers: int = 12) -> Triangle:
    """Four norms that agree, and BN gamma; the coefficient of one is undefined."""
    rng = np.random.default_rng(5)
    net = Network("simulated", tuple(layer(f"stage{i // 4}.{i % 4}.conv") for i in range(layers)),
                  Provenance("simulated", "array"))  # fmt: skip
    words = ("discriminates", "weakly", "cannot discriminate", "not applicable")
    criteria = ("l1", "l2", "gm", "bn_gamma", "taylor_l1")
    rows = tuple(
        LayerTriangle(
            network="simulated",
            layer=each.name,
            criterion=criterion,
            similar_to="",
            similarity=float(rng.uniform(0.85, 1) if j < 3 else rng.uniform(0.2, 0.8)),
            applicability=words[int(rng.integers(4))],
            validity="weak",
            spearman=0.3,
            disattenuated=float("nan") if (i, j) == (3, 4) else float(rng.uniform(-0.2, 1.05)),
            regret=0.2,
            n_filters=48,
            reason="",
        )
        for i, each in enumerate(net)
        for j, criterion in enumerate(criteria)
    )
    return Triangle(rows, (net,), level=0.95, criteria=criteria)


#: The functions that draw.
FIGURES = [name for name in figures.__all__ if name != "save"]

#: A figure a name; a name may go on behind that of the figure. `ax` is handed on.
GALLERY: dict[str, Callable[..., Axes | Panels]] = {
    "accuracy_curves": lambda **on: figures.accuracy_curves(accuracies(), **on),
    "contrast": lambda **on: figures.contrast(tuned(), **on),
    "covariance": lambda **on: figures.covariance(layer(channels=20), **on),
    "covariance_blocks": lambda **on: figures.covariance_blocks(layer(), **on),
    "criteria_matrix": lambda **on: figures.criteria_matrix(similarity(network()), 0, **on),
    "dispersion": lambda **on: figures.dispersion(applicability(), **on),
    "effects": lambda **on: figures.effects(checked(24), "epsilon", **on),
    "filter_image": lambda **on: figures.filter_image(layer(), 3, **on),
    "global_shares": lambda **on: figures.global_shares(pruned(), **on),
    "layer_effects": lambda **on: figures.layer_effects(checked(24), **on),
    "layer_effects_networks": lambda **on: figures.layer_effects(before_and_after(), **on),
    "layer_trajectory": lambda **on: figures.layer_trajectory(trained(), "mean", **on),
    "layer_trajectory_one": lambda **on: figures.layer_trajectory(
        trained(), "mean", "stage0.2.conv", **on
    ),
    "nearest_filters": lambda **on: figures.nearest_filters(copied(), **on),
    "network_effects": lambda **on: figures.network_effects(whole(), **on),
    "norm_ratios": lambda **on: figures.norm_ratios(layer(), **on),
    "overview": lambda **on: figures.overview(checked(24), **on),
    "overview_dense": lambda **on: figures.overview(checked(200), **on),
    "overview_networks": lambda **on: figures.overview(
        whole(6).rename(columns={"network": "layer"}), **on
    ),
    "predicted_measured": lambda **on: figures.predicted_measured(compared(), **on),
    "qq": lambda **on: figures.qq(layer(), **on),
    "qq_filters": lambda **on: figures.qq(layer(), [0, 5], **on),
    "score_histogram": lambda **on: figures.score_histogram(layer(n=256), "l2", **on),
    "score_histograms": lambda **on: figures.score_histograms(
        network(), [0, 8], ["l1", "gm"], **on
    ),
    "similarity_map": lambda **on: figures.similarity_map(similarity(network()), **on),
    "survey_effects": lambda **on: figures.survey_effects(survey(6, slope=1.2), **on),
    "survey_effects_width": lambda **on: figures.survey_effects(
        survey(6, slope=1.2), "mean", by="width", **on
    ),
    "survey_map": lambda **on: figures.survey_map(survey(6, slope=1.2), **on),
    "survey_map_network": lambda **on: figures.survey_map(survey(6, slope=1.2), "network", **on),
    "survey_places": lambda **on: figures.survey_places(survey(8), whole(), **on),
    "survey_places_networks": lambda **on: figures.survey_places(survey(8), whole(3), **on),
    "survey_predictions": lambda **on: figures.survey_predictions(survey(6, slope=1.2), **on),
    "survey_terms": lambda **on: figures.survey_terms(mixed_models(survey(8)), **on),
    "survey_verdicts": lambda **on: figures.survey_verdicts(survey(6, slope=1.2), **on),
    "trajectory": lambda **on: figures.trajectory(along(), **on),
    "trajectory_condition": lambda **on: figures.trajectory(along(), "homogeneity", **on),
    "triangle": lambda **on: figures.triangle(joined(), **on),
}


def figure_of(name: str) -> str:
    """The figure that a picture of the gallery shows."""
    return max((each for each in FIGURES if name.startswith(each)), key=len)


def drawn(ax: Axes | Panels) -> np.ndarray:
    """The figure, red, green and blue from 0 to 255, height x width x 3."""
    ax.figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[:, :, :3]


def store(pixels: np.ndarray, path: Path) -> None:
    """As a PNG of few colours, which is a third of the size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).quantize(128).save(path, optimize=True)


def page() -> str:
    """Every picture on one page, each with the first sentence of what its figure says."""
    lines = [HEAD]
    for name in GALLERY:
        says = (inspect.getdoc(getattr(figures, figure_of(name))) or "").partition("\n")[0]
        lines += [f"## {name.replace('_', ' ')}", "", *textwrap.wrap(says, 98), ""]
        lines += [f"![{says}](images/figures/{name}.png)", ""]
    return "\n".join(lines).rstrip() + "\n"


def main(names: Sequence[str]) -> None:
    for name in names or GALLERY:
        store(drawn(GALLERY[name]()), STORED / f"{name}.png")
        print(name)
    PAGE.write_text(page())


if __name__ == "__main__":
    main(sys.argv[1:])
