"""The folder of an experiment: a small file for each thing done, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cwda.errors import CwdaError
from cwda.experiment.cells import Cell
from cwda.files import whole_file
from cwda.pruning.plan import Plan

__all__ = ["Store"]

_RUN = "run.json"


class Store:
    """What an experiment has done so far.

    ``run.json`` says which experiment it is; ``scores/``, ``plans/`` and ``cells/`` hold a file
    for each thing done, ``checkpoints/`` the last good epoch of each fine-tuning.

    Parameters
    ----------
    path : Path
        Made if absent.
    identity : mapping
        What must be the same for numbers to belong together. What a run leaves out, the next
        may add.

    Raises
    ------
    CwdaError
        If the folder holds another experiment or something else, or cannot be written.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        try:
            for part in ("scores", "plans", "cells", "checkpoints"):
                (path / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CwdaError(f"{path}: cannot be made ({error.strerror})") from error
        known = self._read(path / _RUN) or {}
        for name, value in identity.items():
            if known.setdefault(name, value) != value:
                raise CwdaError(
                    f"{path} holds an experiment with another {name} ({_short(known[name])}, now "
                    f"{_short(value)}); choose another folder"
                )
        self._write(path / _RUN, known)

    def record(self, cell: Cell) -> dict[str, Any] | None:
        """The row of a cell, if it has been measured."""
        return self._read(self.path / "cells" / f"{cell.name}.json")

    def keep_record(self, cell: Cell, record: Mapping[str, Any]) -> None:
        """Keep the row of a cell."""
        self._write(self.path / "cells" / f"{cell.name}.json", record)

    def scores(self, name: str) -> dict[str, Any] | None:
        """The scores of a criterion with one seed, if they are there."""
        return self._read(self.path / "scores" / f"{name}.json")

    def keep_scores(self, name: str, scores: Mapping[str, Any]) -> None:
        """Keep the scores of a criterion with one seed."""
        self._write(self.path / "scores" / f"{name}.json", scores)

    def keep_plan(self, cell: Cell, plan: Plan) -> None:
        """Keep a plan, for `Plan.load`."""
        path = self.path / "plans" / f"{cell.selection}.json"
        if not path.exists():
            _replace(path, plan.to_json() + "\n")

    def checkpoint(self, cell: Cell) -> Path:
        """Where the epochs of a fine-tuning are kept."""
        return self.path / "checkpoints" / f"{cell.name}.pt"

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise CwdaError(f"{path}: damaged ({error}); delete it") from error
        if not isinstance(content, dict):
            raise CwdaError(f"{path}: damaged (no object); delete it")
        return content

    def _write(self, path: Path, content: Mapping[str, Any]) -> None:
        _replace(path, json.dumps(content, indent=1) + "\n")


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _replace(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
