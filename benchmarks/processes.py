"""Whole processes, from the command to its end."""

from __future__ import annotations

import tempfile

from benchmarks.timing import Row, whole_process

__all__ = ["processes"]

_TEST = "import sys; from cwda.cli.main import cwda_test; sys.argv[0] = 'cwda-test'; cwda_test()"
_CWDA = "import sys; from cwda.cli.main import cwda; sys.argv[0] = 'cwda'; cwda()"


def processes() -> list[Row]:
    """The commands that people wait for."""
    with tempfile.TemporaryDirectory() as folder:
        calls = {
            "cwda-test --version": [_TEST, "--version"],
            "cwda-test --help": [_TEST, "--help"],
            "cwda-test, built-in model": [_TEST],
            "cwda-test --report FILE.pdf, built-in model": [_TEST, "--report", f"{folder}/a.pdf"],
            "cwda report --output FILE.html, built-in model": [
                *(_CWDA, "report", "--output", f"{folder}/a.html")
            ],
            "cwda similarity, built-in model": [_CWDA, "similarity"],
            "cwda predict, built-in model": [_CWDA, "predict"],
            "cwda applicability, built-in model": [_CWDA, "applicability"],
            "cwda global-pruning, built-in model": [_CWDA, "global-pruning"],
            "python -c 'import torch'": ["import torch"],
        }
        return [(name, f"{whole_process(call, 3):.2f} s", "") for name, call in calls.items()]
