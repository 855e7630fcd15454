"""Timing, and the machine it was done on."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

__all__ = ["Row", "machine", "once", "processor", "seconds", "times", "whole_process"]

#: What was measured, the figure, and its ratio to another of the same run.
Row = tuple[str, str, str]


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median time of a call after one that does not count."""
    call()
    return statistics.median(once(call) for _ in range(repeats))


def once(call: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def whole_process(arguments: list[str], repeats: int = 5) -> float:
    """Median time of ``python -c`` with arguments, from start to end."""

    def run() -> None:
        subprocess.run([sys.executable, "-c", *arguments], check=True, capture_output=True)

    return seconds(run, repeats)


def times(ratio: float, what: str) -> str:
    """A ratio in words."""
    return f"{ratio:.1f} x {what}" if ratio >= 1 else f"{ratio:.2f} x {what}"


def machine() -> str:
    """The machine and the versions."""
    names = ("torch", "numpy", "scipy", "numba", "statsmodels", "matplotlib", "typst")
    versions = ", ".join(f"{name} {_version(name)}" for name in (*names, "torch-pruning"))
    return (
        f"Measured {datetime.date.today()} on {torch.get_num_threads()} cores of {processor()}, "
        f"Python {platform.python_version()}, {versions}. "
        "Medians after a warm-up; ratios are of the same run."
    )


def processor() -> str:
    """Name of the processor, and the instruction sets that decide the speed of arithmetic."""
    import llvmlite.binding as llvm

    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        name = found[1] if found else name
    features = llvm.get_host_cpu_features()
    sets = [
        each for each in ("avx2", "fma", "avx512f", "amx-tile", "neon", "sve") if features.get(each)
    ]
    return f"{name} ({llvm.get_host_cpu_name()}: {', '.join(sets)})"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
