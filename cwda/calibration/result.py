"""`CalibrationResult`: rates with binomial intervals, and the verdict on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from cwda.answers import Answer
from cwda.arguments import as_path
from cwda.calibration.blocks import Block, Population, Tallies, Tally, tallies
from cwda.calibration.judgement import LEVEL, Rate, rates, summarise
from cwda.calibration.laws import Size
from cwda.conditions.register import CONDITIONS
from cwda.errors import CwdaError
from cwda.formatting import many
from cwda.grid import Store

if TYPE_CHECKING:
    import pandas as pd

    from cwda.conditions.condition import Condition

__all__ = [
    "KIND",
    "CalibrationResult",
    "condense",
    "published",
    "published_summary",
    "read_calibration",
    "result_of",
]

#: What a file of `calibrate` says that it is.
KIND = "calibration"

#: The calibration that comes with the package.
_PUBLISHED = Path(__file__).with_name("results.jsonl")

#: Its summary, which takes seconds to make: ``published().summary().to_csv(SUMMARY, index=False)``.
SUMMARY = Path(__file__).with_name("summary.csv")


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationResult(Answer[Rate]):
    """How often the tests and intervals err, on layers drawn from known laws.

    Attributes
    ----------
    rows : tuple of Rate
        One record per procedure, measure, design and size; `.table` has them.
    networks : tuple
        Empty: layers are simulated.
    level : float
        Level of the Clopper-Pearson interval of each rate.
    seed : int
        Seed of all draws.
    versions : mapping of str to str
        Versions of cwda, numpy, scipy and torch at the start.
    """

    row: ClassVar[type] = Rate
    seed: int
    versions: Mapping[str, str]

    def title(self) -> str:
        """How many rates of how many procedures there are."""
        procedures = {row.procedure for row in self.rows}
        return f"{many(len(self.rows), 'rate')} of {many(len(procedures), 'procedure')}"

    def summary(self) -> pd.DataFrame:
        """Verdicts on each procedure within its domain, over designs and sizes.

        Returns
        -------
        DataFrame
            One row per procedure and measure with a nominal rate: ``procedure, measure,
            nominal, cells``, how many are ``ok, undecided, conservative, too_liberal``, the
            ``lowest`` and ``highest`` rate, and ``worst``, the design and size whose
            interval lies furthest from the nominal rate.

        Examples
        --------
        >>> import cwda.calibration
        >>> summary = cwda.calibration.published().summary()
        >>> bool((summary["ok"] + summary["undecided"] <= summary["cells"]).all())
        True
        """
        return summarise(self.table)


def result_of(store: Store) -> CalibrationResult:
    """The rates of what a store has counted so far."""
    return CalibrationResult(
        tuple(rates(tallies(store))),
        (),
        level=LEVEL,
        seed=int(store.claim["seed"]),
        versions=store.versions,
    )


def read_calibration(path: str | Path) -> CalibrationResult:
    """The result in a file that `calibrate` wrote.

    Raises
    ------
    CwdaError
        If the file is missing or damaged, or holds something else.
    """
    return result_of(Store.of(as_path(path), KIND))


def condense(path: str | Path, output: str | Path) -> None:
    """Write the file of a study anew with one line per design, size and number of replicates.

    The rates are the same, and the new file can be continued.

    Raises
    ------
    CwdaError
        If the file is missing or damaged, or the new one exists or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from cwda.calibration import Size, calibrate
    >>> options = {"designs": "iid", "sizes": [Size(16, 3, 9)]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for replicates in (2, 4):
    ...         study = f"{folder}/study.jsonl"
    ...         result = calibrate(["mean"], replicates=replicates, output=study, **options)
    ...     condense(study, f"{folder}/short.jsonl")
    ...     len(Path(f"{folder}/short.jsonl").read_text().splitlines())
    2
    """
    source, target = Store.of(as_path(path), KIND), as_path(output)
    if target.exists():
        raise CwdaError(f"{target} exists already; choose another name")
    store = Store(target, KIND, source.claim, versions=source.versions)
    for population, truths in source.all(Population):
        store.keep(population, truths)
    groups: dict[tuple[str, Size, int], dict[str, Tally]] = {}
    for case, tally in tallies(source).items():
        group = groups.setdefault((case.design, case.size, tally.replicates), {})
        group[case.procedure] = tally
    for (design, size, replicates), counted in groups.items():
        store.keep(Block(design, size, tuple(counted), 0, replicates), Tallies(counted))


def published() -> CalibrationResult:
    """The calibration that comes with the package, which the documentation prints.

    Examples
    --------
    >>> import cwda.calibration
    >>> table = cwda.calibration.published().table
    >>> bool((table["low"] <= table["rate"]).all())
    True
    """
    # Each caller has a table and versions of their own.
    kept = _published(tuple(CONDITIONS.values()))
    return replace(kept, versions=dict(kept.versions))


@lru_cache(maxsize=1)
def _published(conditions: tuple[Condition, ...]) -> CalibrationResult:
    """Read once as long as the same `conditions` are registered, which verdicts may depend on."""
    return read_calibration(_PUBLISHED)


def published_summary() -> pd.DataFrame:
    """`published().summary()`, read from a file that comes with the package.

    Examples
    --------
    >>> from cwda.calibration.result import published_summary
    >>> bool((published_summary()["lowest"] <= published_summary()["highest"]).all())
    True
    """
    import pandas as pd

    return pd.read_csv(SUMMARY)
