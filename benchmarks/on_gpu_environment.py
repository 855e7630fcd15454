"""The machine: card, driver, clocks, free memory, processor and versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import torch

__all__ = ["card", "environment"]

_LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "statsmodels", "pandas", "numba", "triton")
_QUERIES = (
    "driver_version",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "memory.total",
    "memory.free",
    "utilization.gpu",
    "temperature.gpu",
    "power.limit",
)


def card(device: torch.device) -> str:
    """The name of the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def environment(device: torch.device) -> None:
    """Print what the figures were measured on."""
    print(f"- device: {card(device)} (`{device}`)")
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        free, total = torch.cuda.mem_get_info(device)
        print(
            f"- compute capability {about.major}.{about.minor}, {about.multi_processor_count} "
            f"multiprocessors, CUDA {torch.version.cuda}, {free / 2**30:.1f} of "
            f"{total / 2**30:.1f} GiB free"
        )
        print(f"- {_driver()}")
    print(f"- processor: {_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads")
    print(f"- Python {platform.python_version()}, {', '.join(_versions())}")


def _driver() -> str:
    command = ["nvidia-smi", f"--query-gpu={','.join(_QUERIES)}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi does not answer ({type(error).__name__})"
    values = answer.stdout.splitlines()[0].split(", ")
    return ", ".join(f"{name} {value}" for name, value in zip(_QUERIES, values, strict=True))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions() -> list[str]:
    versions = []
    for name in _LIBRARIES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    return versions
