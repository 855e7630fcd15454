"""The page of the documentation that tells a study's results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from cwda.calibration.designs import DESIGNS, Design
from cwda.calibration.judgement import size_of, summarise
from cwda.calibration.procedures import PROCEDURES
from cwda.calibration.store import Study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["to_markdown"]

_INTRODUCTION = """\
# Calibration

Made by `cwda calibrate --markdown docs/calibration.md` from simulated layers whose truth is known;
seed {seed}, {versions}. `cwda.calibration.table()` has every number of this page with its interval;
`cwda calibrate --help` says how to repeat or extend the study.

Every number is a share of simulated layers. Columns are sizes of layers: filters x input channels x
positions of the kernel (N' x N x k²). A rate without a mark is **ok**: its whole 95 %
Clopper-Pearson interval keeps the error within 40 % of its nominal value (.03 to .07 for a test at
.05, coverage .86 to .94 for .90). **↑** is too liberal and **↓** too conservative: the whole
interval lies beyond. **?** is undecided: the interval crosses a bound, more replicates would tell.
In parentheses: outside the domain in which the procedure claims its error. An interval that covers
too often is marked ↓ as well; its verdicts err less than they may. At a true effect of 0 only one
limit can miss, so that coverage lies above the nominal value by design.
"""

_SECTIONS: Sequence[tuple[str, str, tuple[str, ...], bool]] = (
    (
        "Type I error",
        "Share of p <= .05 where the null hypothesis is true; nominal .05.",
        ("test",),
        True,
    ),
    (
        "Coverage",
        "Share of intervals that cover the truth; nominal .90 for effects, .95 for Spearman's "
        "coefficient.",
        ("interval",),
        True,
    ),
    (
        "Limits",
        "Share of lower limits above and upper limits below the truth; nominal at most .05, "
        ".025 for Spearman's coefficient.",
        ("lower limit", "upper limit"),
        True,
    ),
    (
        "False verdicts",
        '"holds" where the true effect is the margin or more, "fails" where it is the margin or '
        "less; nominal at most .05.",
        ("holds", "fails"),
        True,
    ),
    (
        "Power",
        "Share of p <= .05 where the null hypothesis is false.",
        ("test",),
        False,
    ),
    (
        "Right verdicts",
        '"holds" below the margin and "fails" above it.',
        ("holds", "fails"),
        False,
    ),
)

_MARKS = {"ok": "", "": "", "too liberal": " ↑", "too conservative": " ↓", "undecided": " ?"}


def to_markdown(study: Study) -> str:
    """The page that tells a study: summary, domains, designs, and a table a question.

    Examples
    --------
    >>> from cwda.calibration import Size, calibrate
    >>> page = to_markdown(calibrate(["mean"], 5, designs="iid", sizes=[Size(16, 3, 9)]))
    >>> page.splitlines()[0]
    '# Calibration'
    """
    rows = study.table
    versions = ", ".join(f"{name} {version}" for name, version in study.versions.items())
    parts = [_INTRODUCTION.format(seed=study.seed, versions=versions)]
    parts.append("## Summary\n\nCells within the domain, by verdict.\n\n" + _summarise(rows))
    parts.append("## Cells too liberal within the domain\n\n" + _worst(rows))
    parts.append("## Domains\n\nWhere each procedure claims its error.\n\n" + _domains(rows))
    parts.append("## Designs\n\n" + _designs(rows))
    for title, text, measures, nominal in _SECTIONS:
        wanted = rows[rows["measure"].isin(measures) & (rows["nominal"].notna() == nominal)]
        if len(wanted):
            parts.append(f"## {title}\n\n{text}\n\n{_wide(wanted, len(measures) > 1)}")
    return "\n".join(parts)


def _grid(header: Sequence[str], lines: Iterator[Sequence[str]]) -> str:
    cells = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _rate(value: float) -> str:
    return f"{value:.3f}".removeprefix("0") if value < 1 else "1"


def _summarise(rows: pd.DataFrame) -> str:
    found = summarise(rows)
    header = [name.replace("_", " ") for name in found.columns]
    rates = ("nominal", "lowest", "highest")
    return _grid(
        header,
        (
            [_rate(line[name]) if name in rates else str(line[name]) for name in found.columns]
            for _, line in found.iterrows()
        ),
    )


def _worst(rows: pd.DataFrame) -> str:
    worst = rows[(rows["domain"] == "inside") & (rows["verdict"] == "too liberal")]
    if not len(worst):
        return "None.\n"
    header = ["procedure", "measure", "design", "size", "replicates", "rate", "95 %", "nominal"]
    return _grid(
        header,
        (
            [
                *(line["procedure"], line["measure"], line["design"], size_of(line)),
                *(str(line["replicates"]), _rate(line["rate"])),
                *(f"{_rate(line['low'])} to {_rate(line['high'])}", _rate(line["nominal"])),
            ]
            for _, line in worst.iterrows()
        ),
    )


def _domains(rows: pd.DataFrame) -> str:
    names = list(dict.fromkeys(rows["procedure"]))
    measured = {name: set(rows.loc[rows["procedure"] == name, "measure"]) for name in names}
    return _grid(
        ["procedure", "test", "interval and verdict"],
        (
            [
                name,
                str(PROCEDURES[name].domain) if "test" in measured[name] else "",
                str(PROCEDURES[name].interval_domain) if measured[name] != {"test"} else "",
            ]
            for name in names
        ),
    )


def _designs(rows: pd.DataFrame) -> str:
    parameters = [field.name for field in fields(Design) if field.name != "name"]
    text = (
        "Effects as the conditions define them; heavy tails are Student's t law with 5 degrees\n"
        "of freedom, gaussianity is a mixture of two normal laws at that KS distance.\n"
        "Independence is left out where there is one channel, epsilon where kernels have one\n"
        "position.\n\n"
    )

    def value(name: str, parameter: str) -> str:
        found = getattr(DESIGNS[name], parameter)
        return ("yes" if found is True else f"{found:g}") if found else ""

    names = [name for name in DESIGNS if name in set(rows["design"])]
    lines = ([name, *(value(name, each) for each in parameters)] for name in names)
    return text + _grid(["design", *parameters], lines)


def _wide(rows: pd.DataFrame, with_measure: bool) -> str:
    """A line a procedure and design, a column a size."""
    rows = rows.assign(size=[size_of(row) for _, row in rows.iterrows()])
    order = rows.sort_values(["n_filters", "channels", "kernel_size"])["size"]
    sizes = list(dict.fromkeys(order))

    def lines() -> Iterator[list[str]]:
        for key, group in rows.groupby(["procedure", "measure", "design"], sort=False):
            procedure, measure, design = key
            cells = {row["size"]: _marked(row) for _, row in group.iterrows()}
            least, most = group["replicates"].min(), group["replicates"].max()
            drawn = f"{least}" if least == most else f"{least} to {most}"
            named = [procedure, measure] if with_measure else [procedure]
            yield [*named, design, *(cells.get(size, "") for size in sizes), drawn]

    named = ["procedure", "measure"] if with_measure else ["procedure"]
    return _grid([*named, "design", *sizes, "replicates"], lines())


def _marked(row: pd.Series) -> str:
    text = "" if math.isnan(row["rate"]) else _rate(row["rate"]) + _MARKS[row["verdict"]]
    return text if row["domain"] == "inside" else f"({text})"
