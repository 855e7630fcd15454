"""Speed and memory of `cwda.check`, beside its peers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import torch

import cwda
from benchmarks import peers
from benchmarks.timing import Row, once, seconds, times
from cwda.layers import ConvLayer, Network, Provenance
from cwda.numerics.normality.layers import marginals
from cwda.numerics.normality.pooled_ks import pooled_ks
from cwda.numerics.pairs.kernels import pair_kernels

__all__ = ["growth", "memory", "speed"]

OURS = "the time of check()"

MEMORY_PROBE = """
import gc, os, sys, threading, time
import psutil, torch
import cwda
from benchmarks.networks import resnet18_shaped
network = resnet18_shaped()
cwda.check(network.select("conv1"))  # imports and thread pools do not count
gc.collect()
process, peak, stop = psutil.Process(), [0], threading.Event()
before = process.memory_info().rss
def watch():
    while not stop.is_set():
        peak[0] = max(peak[0], process.memory_info().rss)
        time.sleep(0.001)
watcher = threading.Thread(target=watch)
watcher.start()
cwda.check(network)
stop.set()
watcher.join()
print(peak[0] - before)
"""


def speed(network: Network) -> list[Row]:
    ours = seconds(lambda: cwda.check(network), 7)
    rows = [("check(), six conditions, ResNet-18-shaped, 11.2 M weights", f"{ours:.2f} s", "")]
    try:
        theirs = seconds(lambda: peers.weightwatcher(network), 3)
        rows.append(
            ("WeightWatcher.analyze(), same weights", f"{theirs:.2f} s", times(theirs / ours, OURS))
        )
    except ImportError:
        rows.append(("WeightWatcher.analyze(), same weights", "not installed", ""))
    loops = once(lambda: peers.library_loops(network))
    rows.append(
        (
            "the same numbers by scipy, statsmodels and numpy loops",
            f"{loops:.1f} s",
            times(loops / ours, OURS),
        )
    )
    if torch.cuda.is_available():
        gpu = seconds(lambda: cwda.check(network, device="cuda"), 7)
        rows.append(
            (
                f"check() on {torch.cuda.get_device_name()}",
                f"{gpu:.3f} s",
                times(ours / gpu, "faster"),
            )
        )
    rows += stages(network)
    for condition in cwda.conditions.CONDITIONS:
        own = seconds(lambda name=condition: cwda.check(network, [name]), 3)
        rows.append((f"{condition} alone", f"{own:.2f} s", f"{100 * own / ours:.0f} %"))
    return rows


def stages(network: Network) -> list[Row]:
    """Where the time of check() goes."""
    filters = [layer.weight.reshape(layer.n_filters, -1) for layer in network]
    blocks = [layer.weight.reshape(layer.n_filters, layer.channels, -1) for layer in network]
    calls: dict[str, Callable[[], object]] = {
        "of which kernel matrices": lambda: [pair_kernels(x) for x in blocks],
        "of which Anderson-Darling of all positions": lambda: [
            marginals(x.T, ["anderson_darling"]) for x in filters
        ],
        "of which KS distances with jackknife": lambda: [pooled_ks(x) for x in filters],
    }
    return [(name, f"{seconds(call, 3):.2f} s", "") for name, call in calls.items()]


def memory(network: Network) -> list[Row]:
    found = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE], check=True, capture_output=True, text=True
    )
    used = int(found.stdout)
    largest = max(network, key=lambda layer: layer.n_weights)
    allowed = 8 * (2.5 * largest.n_weights + largest.n_filters**2)
    return [
        (
            "peak memory of check() above the loaded network",
            f"{used / 2**20:.0f} MiB",
            f"{used / allowed:.2f} of 2.5 x largest layer + Gram ({allowed / 2**20:.0f} MiB)",
        )
    ]


def growth() -> list[Row]:
    rows = []
    base = None
    for n, channels in ((256, 256), (256, 512), (512, 256), (512, 512), (1024, 256)):
        weight = torch.randn(n, channels, 3, 3, generator=torch.Generator().manual_seed(0))
        network = Network("one", (ConvLayer("conv", weight),), Provenance("random", "array"))
        own = seconds(lambda net=network: cwda.check(net), 5)
        work = n * n * channels * 9
        base = base or own / work
        rows.append(
            (
                f"check(), one layer {n} x {channels} x 3 x 3",
                f"{1000 * own:.0f} ms",
                f"{own / work / base:.2f} of the first row's time per n^2 d",
            )
        )
    return rows
