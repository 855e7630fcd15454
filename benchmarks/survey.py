"""How long a survey of many networks takes, and what it takes for each.

``python -m benchmarks.survey`` surveys 400 perturbed copies of the built-in network, as wide as
the networks of a collection of public checkpoints are large: the median has .2 million weights,
the largest 6 million. ``--workers 1 2 4`` repeats it with other numbers of processes, and
``--networks`` takes fewer. It prints a table in Markdown; times are of the machine as it is, so
nothing else should run; seconds of a processor depend less on that.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from scipy import special
from torch import Tensor

import cwda
from benchmarks.timing import machine
from cwda.surveys import Survey
from cwda.surveys.workers.measure import cost_of

#: Median number of weights, and that of the largest of 400.
MEDIAN, LARGEST = 0.2e6, 6e6
#: Noise in standard deviations of a layer's weights: other weights, of nearly the same law.
NOISE = 0.1


def sizes(networks: int) -> list[float]:
    """Quantiles of a log-normal law of sizes."""
    spread = math.log(LARGEST / MEDIAN) / special.ndtri(1 - 0.5 / 400)
    places = (np.arange(networks) + 0.5) / networks
    return [float(size) for size in MEDIAN * np.exp(spread * special.ndtri(places))]


def copies(networks: int) -> Iterator[dict[str, Tensor]]:
    """Perturbed copies of the built-in network, each of another width."""
    net = cwda.load("resnet20-cifar10")
    for seed, size in enumerate(sizes(networks)):
        width = math.sqrt(size / net.n_weights)
        rng = torch.Generator().manual_seed(seed)
        yield {f"{layer.name}.weight": _wide(layer.weight, width, rng) for layer in net}


def _wide(weight: Tensor, width: float, rng: torch.Generator) -> Tensor:
    """Filters and channels taken again and again, or only the first of them, and noise."""
    filters, channels = (max(round(width * n), 4) for n in weight.shape[:2])
    if weight.shape[1] == 3:  # those of images
        channels = 3
    wide = weight[torch.arange(filters) % weight.shape[0]]
    wide = wide[:, torch.arange(channels) % weight.shape[1]]
    return wide + NOISE * wide.std() * torch.randn(wide.shape, generator=rng)


def report(found: Survey, seconds: float, workers: int) -> list[str]:
    """Lines of a table."""
    networks = found.networks
    took, busy = networks["seconds"], networks["processor_seconds"]
    overhead = (seconds * workers - took.sum()) / len(networks)
    lines = {
        "networks, weights": f"{len(networks)}, {networks['n_weights'].sum() / 1e6:.0f} M",
        "median and largest network": f"{networks['n_weights'].median() / 1e6:.2f} M and "
        f"{networks['n_weights'].max() / 1e6:.1f} M weights",
        f"whole survey, {workers} workers": f"{seconds:.0f} s",
        "measuring, median and longest network": f"{took.median():.2f} s and {took.max():.1f} s",
        "the same, seconds of a processor": f"{busy.median():.2f} s and {busy.max():.1f} s; "
        f"{busy.sum():.0f} s of all",
        "all else per network and worker": f"{1000 * overhead:.0f} ms",
        "memory of a worker's process, median and most": f"{networks['peak_memory'].median():.0f} "
        f"and {networks['peak_memory'].max():.0f} MiB",
        "tables on disk per network": f"{_stored(found.folder) / len(networks) / 1024:.0f} KiB",
        "per layer, and per 10^9 n^2 d": "{:.1f} ms and {:.1f} s".format(*_growth(found)),
    }
    return [f"| {what} | {value} |" for what, value in lines.items()]


def _stored(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def _growth(found: Survey) -> tuple[float, float]:
    """Milliseconds of a processor per layer, seconds per 10^9 n^2 d, by least squares."""
    layers = found.layers
    work = (layers["n_filters"] ** 2 * layers["dim"] / 1e9).groupby(layers["hash"]).sum()
    count = layers.groupby("hash").size()
    took = found.networks.set_index("hash")["processor_seconds"].reindex(work.index)
    weights = 1 / took  # errors grow with the time
    design = np.column_stack([count * weights, work * weights])
    (per_layer, per_work), *_ = np.linalg.lstsq(design, (took * weights).to_numpy(), rcond=None)
    return 1000 * per_layer, per_work


def main() -> None:
    """Write the networks, survey them, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=400)
    parser.add_argument("--workers", type=int, nargs="+", default=[2])
    arguments = parser.parse_args()
    print("\n".join([machine(), "", "| what | measured |", "|---|---|"]))
    with tempfile.TemporaryDirectory() as scratch:
        nets = Path(scratch, "nets")
        nets.mkdir()
        for number, weights in enumerate(copies(arguments.networks)):
            torch.save(weights, nets / f"{number:04}.pth")
        largest = cwda.load(nets / f"{arguments.networks - 1:04}.pth")
        print(f"| expected cost of the largest | {cost_of(largest):.1f} s |")
        for workers in arguments.workers:
            start = time.perf_counter()
            found = cwda.survey(nets, output=Path(scratch, f"out-{workers}"), workers=workers)
            lines = report(found, time.perf_counter() - start, workers)
            print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
