"""All benchmarks as a page:  python -m benchmarks [--write docs/benchmarks.md]."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from benchmarks.check import growth, memory, speed
from benchmarks.criteria import criteria, dead_filters, predictions
from benchmarks.networks import resnet18_shaped
from benchmarks.on_gpu_page import sections as sections_of_gpus
from benchmarks.processes import processes
from benchmarks.timing import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="put the tables into this file")
    options = parser.parse_args()
    network = resnet18_shaped()
    sections = {
        "Speed of check()": speed(network),
        "Memory": memory(network),
        "Growth": growth(),
        "Criteria": criteria(),
        "Layers with dead filters": dead_filters(),
        "Similarity and predictions": predictions(),
        "Whole processes": processes(),
    }
    lines = ["# Benchmarks", "", "Made by `python -m benchmarks --write docs/benchmarks.md`."]
    lines += [textwrap.fill(machine(), 100, break_on_hyphens=False), ""]
    for title, rows in sections.items():
        lines += [f"## {title}", "", "| what | measured | ratio |", "|---|---|---|"]
        lines += [f"| {what} | {value} | {ratio} |" for what, value, ratio in rows]
        lines.append("")
    text = "\n".join(lines)
    print(text)
    if options.write:
        # What was measured on GPUs cannot be measured here: it stays.
        kept = sections_of_gpus(options.write.read_text()) if options.write.exists() else []
        options.write.write_text("\n".join([text, *kept]))


if __name__ == "__main__":
    main()
