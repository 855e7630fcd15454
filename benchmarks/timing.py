"""Timing, and the machine it was done on."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

__all__ = ["Row", "machine", "once", "seconds", "times", "whole_process"]

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
    names = ("torch", "numpy", "scipy", "statsmodels", "matplotlib", "typst", "torch-pruning")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return (
        f"Measured {datetime.date.today()} on {torch.get_num_threads()} cores "
        f"({platform.machine()}), Python {platform.python_version()}, {versions}. "
        "Medians after a warm-up; ratios are of the same run."
    )
