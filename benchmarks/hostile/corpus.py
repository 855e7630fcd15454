"""The corpus: case n of a seed is always the same file with the same expectation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.hostile.attacks import ATTACKS, MASSES
from benchmarks.hostile.damage import DAMAGES
from benchmarks.hostile.formats import (
    FORMATS,
    NAMES,
    State,
    file_of,
    healthy,
    healthy_file,
    main_file,
)
from cwda.convolutions.network import MAX_LAYERS

__all__ = ["Built", "Case", "build", "case_of"]

#: Cases of each cell in one round of the schedule.
_ROUND = {"damage": 4, "weights": 2, "attack": 3}
#: Attacks whose files take seconds to write come once a round.
_COSTLY = {"zip bomb", "repeated data", "very many filters", "deep nesting"}

_RARE_WEIGHTS = ("NaN", "infinite", "denormal", "1e30", "empty tensors")


@dataclass(frozen=True)
class Case:
    """One file to be made: `kind` says how it is hostile."""

    number: int
    seed: int
    format: str
    family: str
    kind: str


@dataclass(frozen=True)
class Built:
    """A file on disk and what must come of it.

    Attributes
    ----------
    path : Path
    expected : str
        "same" (the verdicts of `reference`), "refused", or "any".
    reference : dict
        Healthy weights by layer; those in `not_finite` must not be applicable.
    checksummed : bool
        Whether a layer must have weights of `reference`, where the format has checksums.
    """

    path: Path
    expected: str
    reference: State
    not_finite: frozenset[str] = frozenset()
    checksummed: bool = False


@cache
def _schedule() -> list[tuple[str, str, str]]:
    cells = [(f, "damage", k) for f in FORMATS for k in DAMAGES for _ in range(_ROUND["damage"])]
    cells += [
        (f, "weights", k) for f in FORMATS for k in _RARE_WEIGHTS for _ in range(_ROUND["weights"])
    ]
    for form, kind in ATTACKS:
        cells += [(form, "attack", kind)] * (1 if kind in _COSTLY else _ROUND["attack"])
    order = np.random.default_rng(0).permutation(len(cells))
    return [cells[i] for i in order]


def case_of(number: int, seed: int) -> Case:
    """Case `number` of a seed; the first ones are the masses of layers."""
    masses = list(MASSES)
    if number < len(masses):
        return Case(number, seed, masses[number], "mass", f"{MAX_LAYERS:,} layers")
    schedule = _schedule()
    form, family, kind = schedule[(number - len(masses)) % len(schedule)]
    return Case(number, seed, form, family, kind)


def build(case: Case, folder: Path) -> Built:
    """Write the file of a case into an empty folder."""
    rng = np.random.default_rng([case.seed, case.number])
    if case.family == "mass":
        # HDF5 opens each dataset by itself, which would take a minute: too many are refused.
        expected = "refused" if case.format == "HDF5" else "mass"
        return Built(MASSES[case.format](rng, folder, {}), expected, {})
    if case.family == "attack":
        write, expected = ATTACKS[case.format, case.kind]
        return Built(write(rng, folder, healthy()), expected, healthy())
    if case.family == "weights":
        return _with_weights(case, folder, rng)
    path = healthy_file(case.format, folder)
    target = path if rng.random() < 0.3 else main_file(path)
    target.write_bytes(DAMAGES[case.kind](rng, target.read_bytes()))
    return Built(path, "any", healthy(), checksummed=True)


def _with_weights(case: Case, folder: Path, rng: np.random.Generator) -> Built:
    dtypes = ["float32", "float64", "float16"]
    state = dict(healthy(dtypes[int(rng.integers(0, 3))]))
    name = "first"  # the one that every format holds
    value = state[name].copy()
    state[name] = value
    bad: frozenset[str] = frozenset()
    if case.kind in ("NaN", "infinite"):
        which = rng.integers(0, value.size, size=int(rng.choice([1, 5, 400])))
        choices = [np.nan] if case.kind == "NaN" else [np.inf, -np.inf]
        value.reshape(-1)[which] = rng.choice(choices, size=len(which))
        bad = frozenset({name})
    elif case.kind == "empty tensors":
        shape = [(0, 3, 3, 3), (8, 0, 3, 3), (8, 3, 0, 0)][int(rng.integers(0, 3))]
        if case.format not in (*NAMES, "pickled module", "TorchScript", "torch tar"):
            state["empty"] = np.zeros(shape, value.dtype)
    else:
        # Powers of two: nothing is rounded, unless the numbers become denormal.
        power = {"float16": 6, "float32": 100, "float64": 1000}[value.dtype.name]
        lost = {"float16": -18, "float32": -136, "float64": -1060}[value.dtype.name]
        state[name] = np.ldexp(value, power if case.kind == "1e30" else lost)
    path = file_of(case.format, folder, state)
    reference = {key: item for key, item in state.items() if item.size}
    if case.kind in ("1e30", "denormal"):
        # The same numbers brought back, exactly, to where nothing can overflow or vanish.
        wide, shift = state[name].astype("float64"), 0
        shift = -int(np.frexp(np.abs(wide).max())[1])
        reference[name] = np.ldexp(wide, shift)
    if case.format in NAMES:
        new = dict(zip(reference, NAMES[case.format], strict=False))
        reference = {new[key]: value for key, value in reference.items() if key in new}
        bad = frozenset(new[key] for key in bad)
    return Built(path, "same", reference, bad)
