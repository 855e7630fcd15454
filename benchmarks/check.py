"""Speed and memory of `cwda.check`, beside its peers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from unittest import mock

import torch

import cwda
from benchmarks import peers
from benchmarks.networks import one_layer
from benchmarks.timing import Row, once, seconds, times
from cwda.layers import Network
from cwda.numerics.compiled import compiler
from cwda.numerics.normality.layers import marginals
from cwda.numerics.normality.pooled_ks import pooled_ks
from cwda.numerics.pairs.kernels import KernelName, pair_kernels

__all__ = ["growth", "memory", "speed"]

OURS = "the time of check()"
#: Those that the conditions read.
KERNELS: tuple[KernelName, ...] = ("variance", "within", "between")

MEMORY_PROBE = """
import contextlib, ctypes, gc, os, sys, threading, time
import psutil, torch
import cwda
from benchmarks.networks import one_layer, resnet18_shaped
cwda.check(one_layer(512, 256, 3))  # imports, compiled code and thread pools do not count
network = eval(sys.argv[1])
gc.collect()
with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(None).malloc_trim(0)  # what was freed would be used again, unseen
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
    rows = [("check(), eight conditions, ResNet-18-shaped, 11.2 M weights", f"{ours:.2f} s", "")]
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
    rows.append(without_numba(network, ours))
    rows += stages(network)
    for condition in cwda.conditions.CONDITIONS:
        own = seconds(lambda name=condition: cwda.check(network, [name]), 3)
        rows.append((f"{condition} alone", f"{own:.2f} s", f"{100 * own / ours:.0f} %"))
    return rows


def without_numba(network: Network, ours: float) -> Row:
    """check() where no loop is compiled."""
    with mock.patch.dict(compiler._READY, dict.fromkeys(compiler._READY)):
        slower = seconds(lambda: cwda.check(network), 3)
    return ("check() without numba", f"{slower:.2f} s", times(slower / ours, OURS))


def stages(network: Network) -> list[Row]:
    """Where the time of check() goes."""
    filters = [layer.weight.reshape(layer.n_filters, -1) for layer in network]
    blocks = [layer.weight.reshape(layer.n_filters, layer.channels, -1) for layer in network]
    calls: dict[str, Callable[[], object]] = {
        "of which kernel matrices": lambda: [pair_kernels(x, KERNELS) for x in blocks],
        "of which Anderson-Darling of all positions": lambda: [
            marginals(x.T, ["anderson_darling"]) for x in filters
        ],
        "of which KS distances with jackknife": lambda: [pooled_ks(x) for x in filters],
    }
    return [(name, f"{seconds(call, 3):.2f} s", "") for name, call in calls.items()]


def memory(network: Network) -> list[Row]:
    largest = max(network, key=lambda layer: layer.n_weights)
    allowed = 2.5 * 8 * largest.n_weights + 8 * largest.n_filters**2
    used = _peak("resnet18_shaped()")
    rows = [
        (
            "check(), ResNet-18-shaped, peak above the loaded network",
            _mebibytes(used),
            f"{used / allowed:.2f} of 2.5 x largest layer + Gram ({_mebibytes(allowed)})",
        )
    ]
    for n, channels, side in ((4096, 512, 1), (4096, 512, 3), (8192, 512, 1)):
        rows.append(
            (
                f"check(), one layer {n} x {channels} x {side} x {side}, peak above it",
                _mebibytes(_peak(f"one_layer({n}, {channels}, {side})")),
                "",
            )
        )
    return rows


def _peak(network: str) -> int:
    found = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE, network], check=True, capture_output=True, text=True
    )
    return int(found.stdout)


def _mebibytes(number: float) -> str:
    return f"{number / 2**20:.0f} MiB"


#: Filters, channels, side of the kernel, and how often a layer is timed.
GROWING = (
    (256, 256, 3, 5),
    (256, 512, 3, 5),
    (512, 256, 3, 5),
    (512, 512, 3, 5),
    (1024, 256, 3, 5),
    (2048, 512, 1, 3),
    (2048, 512, 3, 1),
    (4096, 512, 3, 1),
)


def growth() -> list[Row]:
    rows = []
    base = None
    for n, channels, side, repeats in GROWING:
        network = one_layer(n, channels, side)
        own = seconds(lambda net=network: cwda.check(net), repeats)
        work = n * n * channels * side * side
        base = base or own / work
        rows.append(
            (
                f"check(), one layer {n} x {channels} x {side} x {side}",
                f"{1000 * own:.0f} ms",
                f"{own / work / base:.2f} of the first row's time per n^2 d",
            )
        )
    return rows
