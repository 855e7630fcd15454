"""What a survey of 100,000 networks would take, by a simulation of its queue.

``python -m benchmarks.survey_plan`` prints a table in Markdown. Networks have sizes as in
`benchmarks.survey`, and cost what was measured there for a layer and for n^2 d. A worker takes the
largest of the networks that have been read and wait, as the survey does. The one process that
gives out tasks and writes the tables spends some milliseconds on each network; whichever of the
two takes longer decides.
"""

from __future__ import annotations

import heapq
import random

from benchmarks.survey import sizes

NETWORKS = 100_000
#: Seconds of one core for a layer, and for 10^9 n^2 d; see docs/survey-growth.md.
PER_LAYER, PER_WORK = 0.0287, 2.9
#: Layers of the networks, and n^2 d of the built-in one in 10^9, which grows with size^1.5.
LAYERS, WORK, WEIGHTS = 19, 0.0148, 267_696
#: Share of the sources that hang until the time limit, and the limit in seconds.
HANGING, LIMIT = 0.001, 600.0
#: Seconds of the survey's own process on a network.
OWN = 0.019
#: Networks that wait for each that is measured.
AHEAD = 8
#: Dollars for an hour of a core, and KiB of tables for a network.
PRICE, STORED = 0.05, 61


def costs(seed: int) -> list[float]:
    """Seconds of each network, in any order."""
    rng = random.Random(seed)
    found = [
        LAYERS * PER_LAYER + PER_WORK * WORK * (size / WEIGHTS) ** 1.5 for size in sizes(NETWORKS)
    ]
    found = [LIMIT if rng.random() < HANGING else cost for cost in found]
    rng.shuffle(found)
    return found


def makespan(work: list[float], workers: int) -> float:
    """Seconds until all is done: the largest that wait go first, as far as they are known.

    Those that hang are not known to: they wait with the smallest.
    """
    waiting: list[tuple[float, float]] = []
    free = [0.0] * workers
    unread = iter(work)
    for cost in unread:
        heapq.heappush(waiting, (0.0 if cost == LIMIT else -cost, cost))
        if len(waiting) > AHEAD * workers:
            _take(waiting, free)
    while waiting:
        _take(waiting, free)
    return max(free)


def _take(waiting: list[tuple[float, float]], free: list[float]) -> None:
    _, cost = heapq.heappop(waiting)
    heapq.heapreplace(free, free[0] + cost)


def main() -> None:
    """Print the plan."""
    work = costs(0)
    hours = sum(work) / 3600
    print(f"{NETWORKS:,} networks, {hours:,.0f} core hours, {hours * PRICE:,.0f} dollars,")
    print(f"{NETWORKS * STORED / 2**20:,.1f} GiB in {6 * NETWORKS:,} files\n")
    print("| workers | computing | the survey's own process | whole | cores in use |")
    print("|---|---|---|---|---|")
    for workers in (2, 16, 64, 256, 1024):
        computing, own = makespan(work, workers), NETWORKS * OWN
        whole = max(computing, own)
        share = sum(work) / (whole * workers)
        times = " | ".join(_time(seconds) for seconds in (computing, own, whole))
        print(f"| {workers} | {times} | {100 * share:.0f} % |")


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


if __name__ == "__main__":
    main()
