"""How often the intervals over many networks cover: simulated populations with known truth.

    python -m benchmarks.population [--replicates 400]

Families of a geometric number of networks (mean 2.9), networks of a log-normal number of layers
(median 21). Shares: each layer holds with a probability that varies between families (intraclass
correlation .3) and between networks of a family. Values: log-normal, with standard deviations of
.7 between families, .5 between networks and .7 between layers. Slopes: those of depth, width and
kernel are 0 on average, and differ between families and between networks, as they do in the survey
of `reports/survey`, or not at all.
"""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from cwda.population import mixed_models
from cwda.population.clusters import Estimate, Sample

Array = npt.NDArray[Any]

LEVEL = 0.95
FAMILIES = (5, 10, 20, 40)
SHARES = (0.5, 0.2, 0.05, 0.01)
_WITHIN, _NETWORKS, _RESAMPLES = 0.3, 0.35, 500
_SPREADS = (0.7, 0.5, 0.7)
#: Standard deviations of the slopes between families and between networks, and share of 1x1 layers.
_SLOPES = {"depth": (0.5, 0.3), "width": (0.15, 0.06), "kernel 1x1": (0.3, 0.3)}
_POINTS = 0.4


def places(families: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Family of each network, network of each layer, and weights that count networks alike."""
    family = np.repeat(np.arange(families), rng.geometric(_NETWORKS, families))
    layers = rng.lognormal(3, 0.7, len(family)).astype(int) + 1
    network = np.repeat(np.arange(len(family)), layers)
    return family, network, 1.0 / layers[network]


def holding(share: float, family: Array, network: Array, rng: np.random.Generator) -> Array:
    """Which layers hold, of a population in which this share does."""
    scale = (1 - _WITHIN) / _WITHIN
    of_family = rng.beta(share * scale, (1 - share) * scale, int(family.max()) + 1)
    mean = np.clip(of_family[family], 1e-6, 1 - 1e-6)
    of_network = rng.beta(4 * mean, 4 * (1 - mean))
    return (rng.random(len(network)) < of_network[network]).astype(float)


def bootstrap(hits: Array, weights: Array, clusters: Array, rng: np.random.Generator) -> Estimate:
    """The percentile interval over resampled clusters, for comparison."""
    parts, sums = np.bincount(clusters, weights * hits), np.bincount(clusters, weights)
    draws = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), _RESAMPLES)
    low, high = np.quantile((draws @ parts) / (draws @ sums), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(parts.sum() / sums.sum()), float(low), float(high))


def shares(replicates: int) -> pd.DataFrame:
    """Coverage of a share, by this package's interval and by the bootstrap."""
    rows = []
    for share in SHARES:
        for families in FAMILIES:
            rng, covered = np.random.default_rng(0), np.zeros(2)
            for _ in range(replicates):
                family, network, weights = places(families, rng)
                hits, clusters = holding(share, family, network, rng), family[network]
                found = Sample.of(weights, clusters, LEVEL).share(hits)
                other = bootstrap(hits, weights, clusters, rng)
                covered += [one.low <= share <= one.high for one in (found, other)]
            rows.append([share, families, *(covered / replicates)])
    return pd.DataFrame(rows, columns=["share", "families", "covered", "bootstrap"])


def values(replicates: int) -> pd.DataFrame:
    """Coverage of quantiles and means of log-normal values."""
    total = float(np.sqrt(np.square(_SPREADS).sum()))
    upper = float(np.exp(special.ndtri(0.95) * total))
    rows = []
    for families in FAMILIES:
        rng, covered = np.random.default_rng(0), np.zeros(4)
        for _ in range(replicates):
            family, network, weights = places(families, rng)
            logs = rng.normal(0, _SPREADS[0], families)[family]
            logs = (logs + rng.normal(0, _SPREADS[1], len(family)))[network]
            logs = logs + rng.normal(0, _SPREADS[2], len(network))
            sample = Sample.of(weights, family[network], LEVEL)
            found = (
                (sample.quantile(np.exp(logs), 0.5), 1.0),
                (sample.quantile(np.exp(logs), 0.95), upper),
                (sample.mean(logs), 0.0),
                (sample.mean(np.exp(logs), positive=True), float(np.exp(total**2 / 2))),
            )
            covered += [one.low <= truth <= one.high for one, truth in found]
        rows.append([families, *(covered / replicates)])
    names = ["families", "median", "95 % quantile", "mean", "positive mean"]
    return pd.DataFrame(rows, columns=names)


def slopes(populations: int) -> pd.DataFrame:
    """Coverage of the slopes of depth, width and kernel by the mixed model, which are 0."""
    rows = []
    for differ, families in ((True, 10), (True, 15), (True, 40), (False, 15)):
        rng, covered, fitted = np.random.default_rng(0), np.zeros(len(_SLOPES)), 0
        for _ in range(populations):
            found = mixed_models(_sloping(families, differ, rng), level=LEVEL)
            terms = {row.term: row for row in found if not row.reason}
            if {*_SLOPES} <= {*terms}:
                fitted += 1
                covered += [terms[name].low <= 0 <= terms[name].high for name in _SLOPES]
        rows.append([families, differ, fitted, *(covered / max(fitted, 1))])
    return pd.DataFrame(rows, columns=["families", "slopes differ", "fitted", *_SLOPES])


def _sloping(families: int, differ: bool, rng: np.random.Generator) -> SimpleNamespace:
    """A population whose families and networks differ in level, and in slopes or not."""
    family, network, _ = places(families, rng)
    position = np.arange(len(network)) - np.searchsorted(network, network)
    depth = position / np.maximum(np.bincount(network) - 1, 1)[network]
    width, point = rng.integers(4, 9, len(network)), rng.random(len(network)) < _POINTS
    y = rng.normal(0, 0.3, families)[family] + rng.normal(0, 0.2, len(family))
    y = y[network] + rng.normal(0.5, 0.4, len(network))
    places_of = {"depth": depth - 0.5, "width": width - 6.0, "kernel 1x1": point}
    for name, (between_families, between_networks) in _SLOPES.items():
        if differ:
            own = rng.normal(0, between_families, families)[family]
            own = own + rng.normal(0, between_networks, len(family))
            y = y + own[network] * places_of[name]
    return _survey(family, network, position, depth, y, 2**width, np.where(point, "1x1", "3x3"))


def _survey(
    family: Array,
    network: Array,
    position: Array,
    depth: Array,
    y: Array,
    width: Array,
    kernel: Array,
) -> SimpleNamespace:
    """The tables that a mixed model reads, with effects whose asinh is y margins."""
    key, layer = [f"net{each}" for each in network], [f"conv{each}" for each in position]
    names = pd.unique(np.array(key, dtype=object))
    layers = pd.DataFrame({"hash": key, "layer": layer, "depth": depth})
    layers = layers.assign(channels=16, groups=1, kernel=kernel, n_filters=width)
    conditions = pd.DataFrame({"hash": key, "layer": layer, "effect": np.sinh(y)})
    conditions = conditions.assign(condition="mean", margin=1.0, verdict="holds", reason="")
    networks = pd.DataFrame({"hash": names, "name": names, "family": family.astype(str)})
    networks = networks.assign(status="done", reason="", task="", n_layers=1, n_weights=1)
    whole = conditions.drop_duplicates("hash").drop(columns=["layer", "reason"])
    columns = ["hash", "layer", "criterion_a", "criterion_b", "measured", "predicted", "low"]
    pairs = pd.DataFrame(columns=[*columns, "high"])
    return SimpleNamespace(
        networks=networks, layers=layers, conditions=conditions, network_conditions=whole,
        similarity=pairs,
    )  # fmt: skip


def main() -> None:
    """Print how often the intervals cover."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=400)
    replicates = parser.parse_args().replicates
    for simulate, populations in ((shares, replicates), (values, replicates), (slopes, 60)):
        found = simulate(populations)
        print(f"{simulate.__name__}, {populations} populations each")
        print(found.to_string(index=False, float_format=lambda value: f"{value:.3g}"), flush=True)


if __name__ == "__main__":
    main()
