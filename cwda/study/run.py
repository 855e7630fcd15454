"""Train the networks of a study, test them along their training, resume where cut off."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch.nn.functional import cosine_similarity

from cwda.brief import brief
from cwda.conditions.check import check
from cwda.errors import CwdaError, DivergedError
from cwda.files import whole_file
from cwda.layers import Network
from cwda.loading import load
from cwda.models.data import ImageData
from cwda.models.train import (
    CHECKPOINT,
    Epoch,
    Recipe,
    read_checkpoint,
    run_epochs,
    untrained,
)
from cwda.study.arms import Run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BASE_RECIPE", "TEST_IMAGES", "StudyResult", "measure_networks", "run_study"]

#: The layers of a real network on a schedule of a minute: 632 steps on images of 16 x 16.
BASE_RECIPE = Recipe(depth=20, epochs=8, batch_size=64, training_images=5_000, pooling=2)

#: Test images that give the accuracy of a run; its standard error is about one percent.
TEST_IMAGES = 2_000

_FAILURE = "failure.txt"


@dataclass(frozen=True)
class StudyResult:
    """What a study has measured so far.

    Attributes
    ----------
    runs : DataFrame
        One row a planned run: factor, level, seed, recipe's identity, status ("done",
        "diverged", "cut off", "not begun"), epochs done, loss, accuracy in percent, and
        ``kept``: the median over the layers of the cosine between the weights and the
        initial ones, 1 where nothing has moved.
    summary : DataFrame
        One row a run, tested epoch and condition: the columns of
        `CheckResult.summary`, after factor, level, seed, epoch, loss and accuracy.
    layers : DataFrame
        One row a run, tested epoch, layer and condition: the columns of
        `CheckResult.table`, after the same.
    """

    runs: pd.DataFrame
    summary: pd.DataFrame
    layers: pd.DataFrame

    __repr__ = brief


def run_study(
    data: ImageData,
    folder: Path,
    runs: Sequence[Run],
    *,
    budget: float = math.inf,
    on_run: Callable[[int, Run, str], None] | None = None,
    on_epoch: Callable[[Run, int], None] | None = None,
) -> StudyResult:
    """Train the runs one after the other and test the conditions along the way.

    The conditions are tested before training, after epochs 1, 2, 4, 8, ... and after
    the last. Each run has a folder of its own, with a checkpoint after each epoch: a
    study that was cut off goes on where it stopped, and a run that is done is not
    repeated.

    Parameters
    ----------
    data : ImageData
        Training and test images; of the test images the first 2,000 are used.
    folder : Path
        Where runs and tables go; made if absent.
    runs : sequence of Run
        What `plan` returns.
    budget : float
        Seconds after which training stops, at the end of an epoch.
    on_run : callable, optional
        Called after each run with its place, the run and its status.
    on_epoch : callable, optional
        Called after each epoch with the run and the epochs done.

    Returns
    -------
    StudyResult
        Also written, to six digits, to ``runs.csv``, ``summary.csv`` and ``layers.csv``
        in `folder`.

    Raises
    ------
    CwdaError
        If the folder belongs to a study of other images, or nothing was measured.
    """
    deadline = time.monotonic() + budget
    _claim(folder, data)
    shown = replace(data, x_test=data.x_test[:TEST_IMAGES], y_test=data.y_test[:TEST_IMAGES])
    for place, run in enumerate(runs):
        status = _status(folder, run)
        if status in ("not begun", "cut off") and time.monotonic() < deadline:
            _continue(run, shown, folder / "runs" / run.name, deadline, on_epoch)
            status = _status(folder, run)
        if on_run:
            on_run(place, run, status)
    return _collect(folder, runs)


def measure_networks(networks: Iterable[Network]) -> pd.DataFrame:
    """`CheckResult.summary` of trained networks, for comparison with a study."""
    return check(networks).summary()


def _claim(folder: Path, data: ImageData) -> None:
    """Mark the folder as this study's, or raise if it holds one of other images."""
    digest = hashlib.sha256()
    for tensor in (data.x_train, data.y_train, data.x_test, data.y_test):
        digest.update(tensor.numpy().tobytes())
    mark = {"images_sha256": digest.hexdigest()}
    path = folder / "study.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(json.dumps(mark) + "\n")
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CwdaError(f"{folder}: cannot hold a study ({error})") from error
    if found != mark:
        raise CwdaError(f"{folder} belongs to a study of other images; choose another folder")


def _status(folder: Path, run: Run) -> str:
    home = folder / "runs" / run.name
    if (home / _FAILURE).exists():
        return "diverged"
    if (home / _file("summary", run.recipe.epochs)).exists():
        return "done"
    return "cut off" if (home / _file("summary", 0)).exists() else "not begun"


def _continue(
    run: Run,
    data: ImageData,
    home: Path,
    deadline: float,
    on_epoch: Callable[[Run, int], None] | None,
) -> None:
    try:
        for epoch in run_epochs(run.recipe, data, home):
            measured = (home / _file("summary", epoch.number)).exists()
            if _is_tested(epoch.number, run.recipe.epochs) and not measured:
                _measure(run, epoch, home)
            if on_epoch:
                on_epoch(run, epoch.number)
            if time.monotonic() >= deadline:
                return
    except DivergedError as error:
        (home / _FAILURE).write_text(f"{error}\n")


def _is_tested(epoch: int, last: int) -> bool:
    return epoch == last or epoch & (epoch - 1) == 0  # 0 and the powers of two


def _measure(run: Run, epoch: Epoch, home: Path) -> None:
    """Test the network as it is and write its rows to files of the run."""
    result = check(load(epoch.model, name=run.name))
    facts = {
        "factor": run.arm.factor,
        "level": run.arm.level,
        "seed": run.seed,
        "epoch": epoch.number,
        "loss": epoch.loss,
        "accuracy": epoch.accuracy(),
    }
    # The summary comes last: an epoch counts as measured once it is there.
    for name, table in (("layers", result.table), ("summary", result.summary())):
        for place, (column, value) in enumerate(facts.items()):
            table.insert(place, column, value)
        _write(table, home / _file(name, epoch.number))


def _file(name: str, epoch: int) -> str:
    """A file for each tested epoch: what is written is never read and written again."""
    return f"{name}-epoch{epoch:04d}.csv"


def _collect(folder: Path, runs: Sequence[Run]) -> StudyResult:
    import pandas as pd

    tables: dict[str, list[pd.DataFrame]] = {"summary": [], "layers": []}
    records = []
    for run in runs:
        status = _status(folder, run)
        record = {
            "factor": run.arm.factor,
            "level": run.arm.level,
            "seed": run.seed,
            "identity": run.recipe.identity,
            "status": status,
            "epochs": 0,
            "loss": math.nan,
            "accuracy": math.nan,
            "kept": _kept(run, folder / "runs" / run.name / CHECKPOINT),
            "recipe": json.dumps(asdict(run.recipe)),
        }
        if status != "not begun":
            for name, parts in tables.items():
                files = sorted((folder / "runs" / run.name).glob(f"{name}-epoch*.csv"))
                parts += [_read(path) for path in files]
            last = tables["summary"][-1].iloc[-1]
            record |= {"epochs": last["epoch"], "loss": last["loss"], "accuracy": last["accuracy"]}
        records.append(record)
    if not tables["summary"]:
        raise CwdaError(f"{folder}: nothing measured yet; give a larger --budget")
    whole = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    result = StudyResult(pd.DataFrame(records), whole["summary"], whole["layers"])
    for name in ("runs", "summary", "layers"):
        _write(getattr(result, name), folder / f"{name}.csv")
    return result


def _kept(run: Run, checkpoint: Path) -> float:
    """Median over the layers of the cosine between trained and initial weights."""
    if not checkpoint.exists():
        return 1.0
    trained = read_checkpoint(checkpoint)["model"]
    initial = untrained(run.recipe, len(trained["linear.weight"])).state_dict()
    return statistics.median(
        float(cosine_similarity(weight.flatten(), trained[name].flatten(), dim=0))
        for name, weight in initial.items()
        if weight.ndim == 4
    )


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_csv(path, dtype={"level": str, "reason": str})
    return table.fillna({"reason": ""}) if "reason" in table else table


def _write(table: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as partial:
        table.to_csv(partial, index=False, float_format="%.6g")
