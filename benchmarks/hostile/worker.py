"""A process that makes and tests one case after another and tells what came of each."""

from __future__ import annotations

import dataclasses
import gc
import math
import shutil
import sys
import tempfile
import time
import warnings
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

import cwda
from benchmarks.hostile.attacks import CANARY
from benchmarks.hostile.corpus import Built, build, case_of
from benchmarks.hostile.formats import CHECKSUMMED, FORMATS, file_of, healthy
from cwda.conditions.results import decide
from cwda.containers import hdf5_trial
from cwda.convolutions.network import MAX_LAYERS
from cwda.errors import CwdaError
from cwda.layers import ConvLayer, Network, Provenance

__all__ = ["CHECKED_LAYERS", "work"]

#: Of a mass of layers these are tested; the time of the test grows with their number.
CHECKED_LAYERS = 200
_FORBIDDEN = {"os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn",
              "subprocess.Popen", "pickle.find_class", "socket.connect", "pty.spawn",
              "os.remove", "os.rename", "os.mkdir", "shutil.rmtree"}  # fmt: skip


class _Watch:
    """Hears the interpreter's audit events while a file is read."""

    def __init__(self) -> None:
        self.on, self.heard = False, ""
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        mode = arguments[1] if event == "open" and not isinstance(arguments[0], int) else ""
        writes = isinstance(mode, str) and set(mode) & set("wax+")
        attack = event == "import" and arguments[0] == "antigravity"
        trial = event == "subprocess.Popen" and str(hdf5_trial.PROBE) in arguments[1]
        if (event in _FORBIDDEN and not trial) or writes or attack:
            self.heard = self.heard or f"{event} {arguments!r}"[:100]


def work(pipe: Connection) -> None:
    """Serve numbers of cases until the pipe closes."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    watch = _Watch()
    _warm_up()
    gc.freeze()  # collecting what the imports left would take most of the time
    pipe.send("ready")
    while True:
        try:
            number, seed = pipe.recv()
        except EOFError:
            return
        pipe.send(_one(number, seed, watch))


def _warm_up() -> None:
    """Imports and first uses cost memory and time that no case should be charged with."""
    for kind in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            cwda.check(cwda.load(file_of(kind, Path(folder), healthy())))


def _one(number: int, seed: int, watch: _Watch) -> dict[str, Any]:
    case = case_of(number, seed)
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            built = build(case, folder)
        gc.collect()
        result = _measured(case.format, built, watch)
        if (folder / CANARY).exists():
            result |= {"outcome": "executed", "detail": "the canary is there"}
        return result
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measured(kind: str, built: Built, watch: _Watch) -> dict[str, Any]:
    size = sum(p.stat().st_size for p in built.path.parent.iterdir() if p.is_file())
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _memory("VmRSS")
    watch.heard, watch.on = "", True
    start = time.process_time()
    outcome, detail, layers = _outcome(kind, built)
    seconds = time.process_time() - start
    watch.on = False
    beyond = max(0, _memory("VmHWM") - before - size)
    if watch.heard:
        outcome, detail = "executed", watch.heard
    return {"outcome": outcome, "detail": detail, "seconds": seconds, "beyond": beyond,
            "layers": layers}  # fmt: skip


def _memory(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024


def _outcome(kind: str, built: Built) -> tuple[str, str, int]:
    """Outcome, what was wrong or the refusal's line, and the number of layers."""
    try:
        network = cwda.load(built.path)
        total = len(network)
        network = dataclasses.replace(network, layers=network.layers[:CHECKED_LAYERS])
        table = list(cwda.check(network))
    except CwdaError as error:
        line = str(error)
        if "\n" in line or not line.isprintable() or len(line) > 700:
            return "crash", f"not one clear line: {line!r:.120}", 0
        if error.__cause__ is not None:  # the net under the readers caught it, not the readers
            return "crash", f"unforeseen: {error.__cause__!r:.120}", 0
        if built.expected in ("same", "mass"):
            return "wrong verdict", f"refused: {line.partition(': ')[2]:.100}", 0
        return "refusal", line.replace(str(built.path), "FILE")[:160], 0
    except BaseException as error:
        return "crash", f"{type(error).__name__}: {error}"[:120], 0
    wrong = _wrong(kind, built, network, table, total)
    return ("wrong verdict", wrong, total) if wrong else ("table", "", total)


def _wrong(kind: str, built: Built, network: Network, table: list[Any], total: int) -> str:
    """What is wrong with a table; empty if nothing."""
    if built.expected == "refused":
        return "a table where a refusal is due"
    if built.expected == "mass" and total != MAX_LAYERS:
        return f"{total} layers of {MAX_LAYERS:,}"
    if len(table) != 6 * len(network):
        return f"{len(table)} rows for {len(network)} layers"
    if built.expected == "same" and {layer.name for layer in network} != set(built.reference):
        return f"layers {[layer.name for layer in network]}"
    rows = {layer.name: table[6 * i : 6 * i + 6] for i, layer in enumerate(network)}
    for layer in network:
        found = _wrong_layer(kind, built, layer, rows[layer.name])
        if found:
            return f"{layer.name}: {found}"
    return ""


def _wrong_layer(kind: str, built: Built, layer: ConvLayer, rows: list[Any]) -> str:
    finite = bool(torch.isfinite(layer.weight).all())
    for row in rows:
        tested = row.verdict != "not applicable"
        if tested == bool(row.reason):
            return f"{row.condition} is {row.verdict!r} with the reason {row.reason!r}"
        if tested and not (finite and math.isfinite(row.effect)):
            return f"{row.condition} is {row.verdict!r} of weights that are not finite"
        if tested and row.verdict != decide(row.effect_low, row.effect_high, row.margin):
            return f"{row.condition} is {row.verdict!r} against its interval"
    if built.expected == "same":
        if layer.name in built.not_finite:
            return "" if "NaN or infinite" in rows[0].reason else "not finite, but tested"
        return _differs(rows, _verdicts(built.reference[layer.name].tobytes(),
                                        built.reference[layer.name].dtype.str,
                                        built.reference[layer.name].shape))  # fmt: skip
    for value in healthy().values():
        same = layer.weight.numpy().tobytes() == value.tobytes()
        if same and layer.weight.shape == value.shape:
            return _differs(rows, _verdicts(value.tobytes(), value.dtype.str, value.shape))
    if built.checksummed and kind in CHECKSUMMED:
        return "weights that were never written, in spite of checksums"
    return ""


@cache
def _verdicts(data: bytes, dtype: str, shape: tuple[int, ...]) -> list[tuple[str, float]]:
    weight = torch.from_numpy(np.frombuffer(data, dtype).reshape(shape).copy())
    network = Network("reference", (ConvLayer("x", weight),), Provenance("", "array"))
    return [(row.verdict, row.effect) for row in cwda.check(network)]


def _differs(rows: list[Any], expected: list[tuple[str, float]]) -> str:
    for row, (verdict, effect) in zip(rows, expected, strict=True):
        close = math.isclose(row.effect, effect, rel_tol=1e-5, abs_tol=1e-7)
        if row.verdict != verdict or not (close or math.isnan(effect)):
            return f"{row.condition} {row.verdict} {row.effect:.7g}, not {verdict} {effect:.7g}"
    return ""
