"""The tests that need a GPU, and no others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["files_with_gpu_tests", "run_tests"]

ROOT = Path(__file__).resolve().parent.parent
_MARK = "@pytest.mark." + "gpu"


def files_with_gpu_tests() -> list[str]:
    """Only these are collected: others import libraries that a bare machine lacks."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in paths if _MARK in path.read_text()]


def run_tests() -> int:
    """Run them and print what pytest prints; its exit status.

    Warnings are not errors here: another release of a library may warn of what this one does not.
    """
    options = ["-m", "gpu", "-W", "default", "-p", "no:cacheprovider", "--tb=short", "-q"]
    command = [sys.executable, "-m", "pytest", *options, *files_with_gpu_tests()]
    print("```text", flush=True)
    status = subprocess.run(command, cwd=ROOT, check=False, stderr=subprocess.STDOUT).returncode
    print("```", flush=True)
    return status
