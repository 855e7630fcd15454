"""Do decay and gradient noise tie Taylor criteria to the norms?  See docs/theory-beyond-norms.md.

    python -m benchmarks.equilibrium                                  # the toy alone
    python -m benchmarks.equilibrium --images 3072 \
        resnet20.th=cifar10.npz=imagenet resnet20-c100.pth=cifar100.npz=cifar100

Each network is CHECKPOINT=IMAGES=NORMALISATION, as `cwda.load_model` and `cwda.read_images` take
them. Slopes need one network, predictions of one network from the others two or more.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

import cwda
from cwda.numerics.ranking.live import live_filters
from cwda.scoring import NORM_BASED, collect
from cwda.scoring.error_bars.disattenuation import disattenuated, spearman_brown

Array = npt.NDArray[np.float64]

#: The slope of log criterion on log l2 at equilibrium, and that on log(l1 / l2).
EXPECTED = {
    "taylor_l1": (2, 1),
    "taylor_l2": (2, 0),
    "taylor_image_l1": (2, 1),
    "taylor_image_l2": (2, 0),
    "obd": (4, 0),
}
CRITERIA = (*EXPECTED, "bn_gamma")
#: Live filters that a layer needs.
FEWEST = 12
DRAWS = 400
# Variance of log l2 at which the residual variance is quoted.
_SPREAD = 0.12**2


@dataclass(frozen=True)
class Toy:
    """What SGD with momentum and decay leaves of filters whose loss ignores their scale."""

    norms: Array
    expected: Array
    products: dict[str, Array]

    def slope(self, criterion: str) -> float:
        """Of the log criterion on the log norm."""
        return float(np.polyfit(np.log(self.norms), np.log(self.products[criterion]), 1)[0])


def toy(
    *,
    spread: float = 0.4,
    momentum: float = 0.9,
    decay: float = 2e-3,
    rate: float = 0.1,
    filters: int = 64,
    dim: int = 144,
    steps: int = 3000,
    seed: int = 0,
) -> Toy:
    """Filters with gradient noise a_j z / ||w||, z normal and orthogonal to w, Var(log a) given.

    The norm to compare with is ((rate / (2 decay (1 - momentum))) a^2 (1 - 1/d))^(1/4).
    """
    rng = np.random.default_rng(seed)
    noise = np.exp(spread * rng.standard_normal(filters))
    w = 0.1 * rng.standard_normal((filters, dim))
    velocity = np.zeros_like(w)

    def gradient() -> Array:
        size = np.linalg.norm(w, axis=1, keepdims=True)
        z = rng.standard_normal((filters, dim)) / np.sqrt(dim)
        z -= (z * w).sum(1, keepdims=True) * w / size**2
        return np.asarray(noise[:, None] * z / size)

    for _ in range(steps):
        velocity = momentum * velocity + gradient() + decay * w
        w = w - rate * velocity
    products = np.stack([np.abs(gradient() * w) for _ in range(500)])
    fourth = rate / (2 * decay * (1 - momentum)) * noise**2 * (1 - 1 / dim)
    return Toy(
        np.linalg.norm(w, axis=1),
        fourth**0.25,
        {
            "taylor_image_l1": products.sum(2).mean(0),
            "taylor_image_l2": np.linalg.norm(products, axis=2).mean(0),
            "obd": (products**2).sum(2).mean(0) / 2,
        },
    )


@dataclass(frozen=True)
class Layer:
    """Live filters of one layer: norms, and a criterion on two halves of the images and on all."""

    network: str
    name: str
    norms: dict[str, Array]
    halves: tuple[Array, Array]
    whole: Array

    @property
    def regressors(self) -> Array:
        """log l2 and log(l1 / l2), centred: 2 x n."""
        x = np.log(self.norms["l2"])
        z = np.stack([x, np.log(self.norms["l1"]) - x])
        return np.asarray(z - z.mean(1, keepdims=True))

    @property
    def spread(self) -> float:
        """Variance of log l2."""
        return float(np.log(self.norms["l2"]).var(ddof=1))

    def coefficient(self, norm: str) -> float:
        """Spearman coefficient of the criterion with a norm."""
        return _correlation(rankdata(self.norms[norm]), rankdata(self.whole))

    @property
    def reliability(self) -> float:
        """Of the ranking on all images, stepped up from the halves; NaN if these disagree."""
        half = _correlation(*(rankdata(one) for one in self.halves))
        return spearman_brown(half, 2) if half > 0 else np.nan

    def disattenuated(self, norm: str) -> float:
        """The coefficient without the noise of the images; may pass 1."""
        return disattenuated(self.coefficient(norm), self.reliability, 1.0)


@dataclass(frozen=True)
class Fit:
    """Least squares of the log criterion on `Layer.regressors` in one layer.

    The product of the halves' residuals holds no noise of the images: it estimates `residual`, the
    variance that is the filters' own; `total` is that of all images, with their noise.
    """

    slopes: Array
    errors: Array
    residual: float
    total: float
    freedom: int


def fit(layer: Layer) -> Fit:
    """Slopes, their sampling variances and the residual variances."""
    z = layer.regressors
    design = np.vstack([np.ones(z.shape[1]), z]).T
    inverse = np.linalg.pinv(design)
    left = [np.log(y) - design @ (inverse @ np.log(y)) for y in (*layer.halves, layer.whole)]
    freedom = len(design) - design.shape[1]
    total = float(left[2] @ left[2]) / freedom
    errors = (inverse @ inverse.T).diagonal()[1:] * total
    slopes = (inverse @ np.log(layer.whole))[1:]
    return Fit(slopes, errors, float(left[0] @ left[1]) / freedom, total, freedom)


def norm_slope(layer: Layer) -> float:
    """Of log l2 on the log criterion, which must be free of noise, such as gamma."""
    return float(np.polyfit(np.log(layer.whole), np.log(layer.norms["l2"]), 1)[0])


@dataclass(frozen=True)
class Rule:
    """Slopes and residual variance over the layers of several networks.

    Slopes have mean `slopes` and variance `between` over layers; the log residual variance is
    `base` + `power` * log(Var(log l2) / .12^2), with variance `scatter`.
    """

    slopes: Array
    between: Array
    power: float
    base: float
    scatter: float


def rule(layers: Sequence[Layer]) -> Rule:
    """Random effects by moments."""
    fits = [fit(layer) for layer in layers]
    mean, between = _random_effects(
        np.array([one.slopes for one in fits]), np.array([one.errors for one in fits])
    )
    residuals = np.array([one.residual for one in fits])
    # Products of halves may be negative; .02 of the total keeps their logarithms in range.
    totals = np.array([one.total for one in fits])
    logs = np.log(np.maximum(residuals, 0.02 * totals))
    spread = np.log([layer.spread / _SPREAD for layer in layers])
    freedom = np.array([one.freedom for one in fits], dtype=float)
    power, base = np.polyfit(spread, logs, 1, w=np.sqrt(freedom))
    squares = (logs - power * spread - base) ** 2
    scatter = max(float(np.average(squares - 2 / freedom, weights=freedom)), 0.02)
    return Rule(mean, between, float(power), float(base), scatter)


def _random_effects(slopes: Array, errors: Array) -> tuple[Array, Array]:
    """Mean and variance over layers of slopes, sampling variance taken out: each per column."""
    between = np.zeros(slopes.shape[1])
    for _ in range(50):
        weights = 1 / (errors + between)
        mean = (weights * slopes).sum(0) / weights.sum(0)
        excess = (weights**2 * ((slopes - mean) ** 2 - errors)).sum(0) / (weights**2).sum(0)
        between = np.maximum(excess, 0)
    return mean, between


def predictions(layer: Layer, known: Rule, rng: np.random.Generator) -> dict[str, Array]:
    """Coefficients with each norm, over `DRAWS` draws of slopes, residuals and images."""
    z = layer.regressors
    own = fit(layer)  # of this layer's criterion only the noise of its images is used
    images = max(own.total - max(own.residual, 0.0), 0.0)
    slopes = known.slopes + np.sqrt(known.between) * rng.standard_normal((DRAWS, 2))
    logs = known.base + known.power * np.log(layer.spread / _SPREAD)
    variance = np.exp(logs + np.sqrt(known.scatter) * rng.standard_normal(DRAWS)) + images
    scores = slopes @ z + np.sqrt(variance)[:, None] * rng.standard_normal((DRAWS, z.shape[1]))
    ranks = _unit(scores.argsort(1).argsort(1).astype(np.float64))
    return {name: ranks @ _unit(rankdata(norm)) for name, norm in layer.norms.items()}


def _unit(values: Array) -> Array:
    centred = values - values.mean(-1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=-1, keepdims=True))


def _correlation(a: Array, b: Array) -> float:
    return float(_unit(a) @ _unit(b))


def leave_one_out(layers: Sequence[Layer], seed: int = 0) -> dict[str, dict[str, float]]:
    """Per norm: errors of the rule of the other networks, and of the median of their layers.

    Both know how reliable the criterion is in the layer to predict: the median is that of the
    disattenuated coefficients, times the root of the layer's reliability.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[tuple[float, ...]]] = {norm: [] for norm in NORM_BASED}
    coefficients = [{norm: layer.coefficient(norm) for norm in NORM_BASED} for layer in layers]
    roots = np.sqrt([layer.reliability for layer in layers])
    for network in sorted({layer.network for layer in layers}):
        others = [i for i, layer in enumerate(layers) if layer.network != network]
        known = rule([layers[i] for i in others])
        seen = {
            norm: np.nanquantile(
                [coefficients[i][norm] / roots[i] for i in others], [0.5, 0.025, 0.975]
            )
            for norm in NORM_BASED
        }
        for layer, measured, root in zip(layers, coefficients, roots, strict=True):
            if layer.network != network or np.isnan(root):
                continue
            for norm, draws in predictions(layer, known, rng).items():
                predicted = np.quantile(draws, [0.5, 0.025, 0.975])
                rows[norm].append((measured[norm], *predicted, *np.minimum(root * seen[norm], 1)))
    return {norm: _errors(np.array(table)) for norm, table in rows.items()}


def _errors(table: Array) -> dict[str, float]:
    measured, *columns = table.T
    found: dict[str, float] = {"layers": len(measured)}
    for name, (middle, low, high) in zip(
        ("rule", "median"), (columns[:3], columns[3:]), strict=True
    ):
        found[f"{name} mae"] = float(np.abs(middle - measured).mean())
        found[f"{name} bias"] = float((middle - measured).mean())
        found[f"{name} coverage"] = float(((low <= measured) & (measured <= high)).mean())
        found[f"{name} width"] = float((high - low).mean())
    return found


def measure(checkpoint: str, images: str, normalisation: str, count: int) -> dict[str, list[Layer]]:
    """The layers of one network by criterion, from so many training images."""
    model = cwda.load_model(checkpoint)
    data = cwda.read_images(images, normalisation=normalisation, samples=count).train
    collected = collect(model, ["gradients", "image_gradients", "batchnorm"], data=data)
    if collected.halves is None:
        raise SystemExit("two batches of images or more are needed")
    names = [*NORM_BASED, *CRITERIA]
    whole, *halves = (
        cwda.scores(model, names, data=one).table for one in (collected, *collected.halves)
    )
    tables = [
        one.pivot_table("score", ["layer", "filter"], "criterion") for one in (whole, *halves)
    ]
    layers: dict[str, list[Layer]] = {name: [] for name in CRITERIA}
    for name in tables[0].index.unique("layer"):
        total, first, second = (table.loc[name] for table in tables)
        for criterion, found in layers.items():
            values = [one[criterion].to_numpy() for one in (first, second, total)]
            if not np.isfinite(values).all():  # such as no BatchNorm behind it
                continue
            live = live_filters(total["l2"].to_numpy()) & live_filters(values[2])
            live &= np.min(values, axis=0) > 0
            if live.sum() >= FEWEST:
                norms = {norm: total[norm].to_numpy()[live] for norm in NORM_BASED}
                one, other, all_images = (value[live] for value in values)
                found.append(Layer(checkpoint, name, norms, (one, other), all_images))
    return layers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="CHECKPOINT=IMAGES=NORMALISATION")
    parser.add_argument("--images", type=int, default=3072, help="training images per network")
    options = parser.parse_args()
    result = toy()
    ratio = float(np.median(result.norms / result.expected))
    slopes = ", ".join(f"{name} {result.slope(name):.3f}" for name in result.products)
    print(f"toy: norm over its formula {ratio:.3f}; slopes {slopes}")
    by_criterion: dict[str, list[Layer]] = {name: [] for name in CRITERIA}
    for text in options.networks:
        for name, found in measure(*text.split("="), options.images).items():
            by_criterion[name] += found
    for name, layers in by_criterion.items():
        _print(name, layers)


def _print(criterion: str, layers: Sequence[Layer]) -> None:
    networks = sorted({layer.network for layer in layers})
    for network in networks:
        inside = [layer for layer in layers if layer.network == network]
        within = np.nanmedian([layer.disattenuated("l2") for layer in inside])
        if criterion not in EXPECTED:
            slope = np.median([norm_slope(layer) for layer in inside])
            print(
                f"{criterion} {network} {len(inside)} layers: median slope of log l2 on it "
                f"{slope:.2f} (expected .5), with l2 {within:.3f}"
            )
            continue
        known = rule(inside)
        print(
            f"{criterion} {network} {len(inside)} layers: slopes {known.slopes.round(2)} "
            f"(expected {EXPECTED[criterion]}), SD over layers {np.sqrt(known.between).round(2)}, "
            f"residual SD {np.exp(known.base / 2):.3f}, with l2, disattenuated {within:.3f}"
        )
    if len(networks) > 1:
        for norm, found in leave_one_out(layers).items():
            print(criterion, norm, {key: round(value, 3) for key, value in found.items()})


if __name__ == "__main__":
    main()
