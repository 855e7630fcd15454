"""`run_study`: train networks, test them along their training, resume where cut off."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cosine_similarity

from cwda.arguments import as_path, require_between, require_count, require_type
from cwda.conditions import check
from cwda.errors import CwdaError, DivergedError
from cwda.files import whole_file
from cwda.grid import Cell, Store, run
from cwda.loading import load
from cwda.models.data import ImageData
from cwda.models.loop import read_checkpoint
from cwda.models.train import CHECKPOINT, Epoch, Recipe, run_epochs, untrained
from cwda.numerics.device import resolve_device
from cwda.progress import showing
from cwda.study.arms import Arm, Run, plan
from cwda.study.result import RunState, Standing, StudyResult
from cwda.typing import Device

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BASE_RECIPE", "TEST_IMAGES", "run_study"]

#: The layers of a real network on a schedule of a minute: 632 steps on images of 16 x 16.
BASE_RECIPE = Recipe(depth=20, epochs=8, batch_size=64, training_images=5_000, pooling=2)

#: Test images that give the accuracy of a run; its standard error is about one percent.
TEST_IMAGES = 2_000


@dataclass(frozen=True)
class Standings:
    """How a network stands with each condition at one epoch."""

    rows: tuple[Standing, ...]


@dataclass(frozen=True)
class Snapshot(Cell[Standings]):
    """A network after some epochs of its training."""

    run: str
    epoch: int

    record = Standings


@dataclass(frozen=True)
class End:
    """How a run ended: "done" or "diverged", and why."""

    status: str
    reason: str = ""


@dataclass(frozen=True)
class Training(Cell[End]):
    """The training of one network, from its start to its end."""

    run: str

    record = End

    def __str__(self) -> str:
        return self.run.rpartition("-")[0]


def run_study(
    data: ImageData,
    factors: Iterable[str | Arm] | None = None,
    *,
    folder: str | Path,
    base: Recipe = BASE_RECIPE,
    seeds: int = 1,
    budget: float = math.inf,
    device: Device = "auto",
    seed: int = 0,
    progress: bool = True,
) -> StudyResult:
    """Train networks along one factor at a time, and test the conditions along the way.

    The conditions are tested before training, after epochs 1, 2, 4, 8, ... and after
    the last. Each network has a folder of its own, with a checkpoint after each epoch: a
    study that was cut off resumes where it stopped, and what is done is not repeated.

    Parameters
    ----------
    data : ImageData
        Training and test images; of the test images the first 2,000 are used.
    factors : iterable of str or Arm, optional
        Names in `FACTORS`, for all their levels, or levels of one's own; all factors by default.
    folder : str or Path
        Where runs and tables go; made if absent.
    base : Recipe
        The recipe that the factors change.
    seeds : int
        Number of networks per factor level.
    budget : float
        Seconds after which training stops, at the end of an epoch.
    device : str or torch.device
        Where to compute: "auto" (CUDA if there is one), "cpu", "cuda", ...
    seed : int
        The first of the seeds; the others follow it.
    progress : bool
        Show a progress bar.

    Returns
    -------
    StudyResult
        Also written, to six digits, to ``runs.csv`` and ``summary.csv`` in `folder`;
        ``layers.csv`` has one row per run, tested epoch, layer and condition.

    Raises
    ------
    CwdaError
        If a factor is unknown, the folder belongs to a study of other images, or nothing was
        measured.
    """
    require_type(data, ImageData, "an ImageData, such as cwda.read_images gives,")
    require_type(base, Recipe, "a base, such as cwda.study.BASE_RECIPE,")
    require_count(seed, 0, "seed")
    require_between(budget, 0, math.inf, "budget, in seconds,", inclusive=True)
    device = resolve_device(device)
    runs = plan(replace(base, seed=seed), factors, seeds=seeds)
    home = as_path(folder)
    store = Store(home / "study.jsonl", "study", {"data": data.sha256})
    shown = replace(data, x_test=data.x_test[:TEST_IMAGES], y_test=data.y_test[:TEST_IMAGES])
    bench = _Bench(
        {each.name: each for each in runs}, shown, home, store, time.monotonic() + budget, device
    )
    with showing(progress):
        run(
            [Training(each.name) for each in runs],
            bench.train,
            store=store,
            what="study",
            size=lambda training: bench.runs[training.run].recipe.epochs,
        )
        return _collect(home, runs, store)


@dataclass(frozen=True)
class _Bench:
    """What the trainings of one study share."""

    runs: Mapping[str, Run]
    data: ImageData
    folder: Path
    store: Store
    deadline: float
    device: torch.device

    def train(self, training: Training) -> End | None:
        """How a training ended; None if it did not before the deadline."""
        this = self.runs[training.run]
        last, home = this.recipe.epochs, _home(self.folder, this)
        if time.monotonic() >= self.deadline:
            return None
        try:
            for epoch in run_epochs(this.recipe, self.data, folder=home, device=self.device):
                snapshot = Snapshot(this.name, epoch.number)
                if _is_tested(epoch.number, last) and snapshot not in self.store:
                    self._test(this, epoch)
                if epoch.number < last and time.monotonic() >= self.deadline:
                    return None
        except DivergedError as error:
            return End("diverged", str(error))
        return End("done")

    def _test(self, this: Run, epoch: Epoch) -> None:
        """Test a network as it is; its layers go to a file of their own."""
        result = check(load(epoch.model, name=this.name), device=self.device)
        facts: dict[str, Any] = {
            "factor": this.arm.factor,
            "setting": this.arm.setting,
            "seed": this.seed,
            "epoch": epoch.number,
            "loss": epoch.loss,
            "accuracy": epoch.accuracy(),
        }
        layers = result.table.assign(**facts)
        layers = layers[[*facts, *result.table.columns]]
        # The standings come last: an epoch counts as tested once they are there.
        _write(layers, _layers_file(self.folder, this, epoch.number))
        names = [each.name for each in fields(Standing) if each.name not in facts]
        rows = [
            Standing(**facts, **{name: line[name] for name in names})
            for line in result.summary().to_dict("records")
        ]
        self.store.keep(Snapshot(this.name, epoch.number), Standings(tuple(rows)))


def _is_tested(epoch: int, last: int) -> bool:
    return epoch == last or epoch & (epoch - 1) == 0  # 0 and the powers of two


def _home(folder: Path, this: Run) -> Path:
    return folder / "runs" / this.name


def _layers_file(folder: Path, this: Run, epoch: int) -> Path:
    return _home(folder, this) / f"layers-epoch{epoch:04d}.csv"


def _collect(folder: Path, runs: Sequence[Run], store: Store) -> StudyResult:
    import pandas as pd

    tested: dict[str, dict[int, tuple[Standing, ...]]] = {}
    for snapshot, standings in store.all(Snapshot):
        tested.setdefault(snapshot.run, {})[snapshot.epoch] = standings.rows
    if not any(each.name in tested for each in runs):
        raise CwdaError(f"{folder}: nothing measured yet; give a larger --budget")
    rows, states, layers = [], [], []
    for each in runs:
        epochs = dict(sorted(tested.get(each.name, {}).items()))
        rows += [row for standings in epochs.values() for row in standings]
        layers += [_read(_layers_file(folder, each, epoch)) for epoch in epochs]
        states.append(_state(folder, each, store, list(epochs.values())))
    result = StudyResult(tuple(rows), (), level=math.nan, run_rows=tuple(states))
    _write(result.runs, folder / "runs.csv")
    _write(result.table, folder / "summary.csv")
    _write(pd.concat(layers, ignore_index=True), folder / "layers.csv")
    return result


def _state(
    folder: Path, this: Run, store: Store, tested: Sequence[tuple[Standing, ...]]
) -> RunState:
    training = Training(this.name)
    status = "cut off" if tested else "not begun"
    last: dict[str, Any] = {"epochs": 0, "loss": math.nan, "accuracy": math.nan}
    if tested:
        row = tested[-1][-1]
        last = {"epochs": row.epoch, "loss": row.loss, "accuracy": row.accuracy}
    return RunState(
        factor=this.arm.factor,
        setting=this.arm.setting,
        seed=this.seed,
        identity=this.recipe.identity,
        status=store[training].status if training in store else status,
        kept=_kept(this, _home(folder, this) / CHECKPOINT),
        recipe=json.dumps(asdict(this.recipe)),
        **last,
    )


def _kept(this: Run, checkpoint: Path) -> float:
    """Median over the layers of the cosine between trained and initial weights."""
    if not checkpoint.exists():
        return 1.0
    trained = read_checkpoint(checkpoint)["model"]
    initial = untrained(this.recipe, len(trained["linear.weight"])).state_dict()
    return statistics.median(
        float(cosine_similarity(weight.flatten(), trained[name].flatten(), dim=0))
        for name, weight in initial.items()
        if weight.ndim == 4
    )


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={"setting": str, "reason": str})
    except (OSError, ValueError) as error:
        raise CwdaError(
            f"{path}: cannot be read ({error}); remove the folder of the run"
        ) from error
    return table.fillna({"reason": ""})


def _write(table: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as partial:
        table.to_csv(partial, index=False, float_format="%.6g")
