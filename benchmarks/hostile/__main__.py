"""Run the corpus and write what came of it.

    python -m benchmarks.hostile --cases 10000 --seed 1 --markdown docs/hostile-files.md

Each case runs in a warm worker process, which is replaced when it dies or takes too long.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import queue
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.hostile.corpus import case_of
from benchmarks.hostile.report import is_failure, summary, write
from benchmarks.hostile.worker import work

#: Seconds by the clock after which a worker is stopped; far above the limit of processor time,
#: since the machine may be shared.
PATIENCE = 90.0


class Worker:
    """A process that can be replaced."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.start()

    def start(self) -> None:
        self.pipe, far = self.context.Pipe()
        self.process = self.context.Process(target=work, args=(far,), daemon=True)
        self.process.start()
        far.close()
        self.pipe.recv()

    def run(self, number: int, seed: int) -> dict[str, Any]:
        self.pipe.send((number, seed))
        # Writing a hundred thousand layers takes longer than reading them.
        patience = PATIENCE * (5 if case_of(number, seed).family == "mass" else 1)
        try:
            if self.pipe.poll(patience):
                result: dict[str, Any] = self.pipe.recv()
                return result
            outcome, detail = "hang", f"no answer within {patience:.0f} s"
        except (EOFError, OSError):
            self.process.join()
            outcome, detail = "crash", f"the process died ({self.process.exitcode})"
        self.stop()
        self.start()
        return {"outcome": outcome, "detail": detail, "seconds": 0.0, "beyond": 0, "layers": 0}

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def run(numbers: list[int], seed: int, workers: int) -> list[dict[str, Any]]:
    """Results of cases, in order, from several workers at once."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in numbers:
        waiting.put(number)
    results: dict[int, dict[str, Any]] = {}

    def serve() -> None:
        worker = Worker()
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                return worker.stop()
            case = case_of(number, seed)
            found = worker.run(number, seed)
            results[number] = {"number": number, "format": case.format, "kind": case.kind, **found}
            if is_failure(results[number]):
                print(json.dumps(results[number]), flush=True)
            elif len(results) % 500 == 0:
                print(f"{len(results)} of {len(numbers)}", flush=True)

    threads = [threading.Thread(target=serve) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[number] for number in numbers]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--markdown", type=Path, help="replace the measured part of this page")
    parser.add_argument("--json", type=Path, help="write every result")
    options = parser.parse_args()
    numbers = list(range(options.first, options.first + options.cases))
    start = time.monotonic()
    results = run(numbers, options.seed, options.workers)
    print(summary(results), f"{time.monotonic() - start:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(results))
    if options.markdown:
        write(options.markdown, results, options.seed)
    if any(map(is_failure, results)):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
