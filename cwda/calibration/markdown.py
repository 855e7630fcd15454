"""The page of the documentation that holds the tables of a calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from textwrap import fill
from typing import TYPE_CHECKING

from cwda.arguments import require_type
from cwda.calibration.designs import DESIGNS, Design
from cwda.calibration.judgement import size_of, summarise
from cwda.calibration.procedures import PROCEDURES
from cwda.calibration.result import CalibrationResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["to_markdown"]

_INTRODUCTION = """\
# Calibration: the tables

Made by `cwda calibrate --markdown docs/calibration-tables.md`;
seed {seed}, {versions}.
[Calibration](calibration.md) says how to read these tables. Columns are sizes of layers: filters x
input channels x positions of the kernel (N' x N x k²). **↑** is too liberal, **↓** too
conservative, **?** undecided; a rate without a mark is ok. In parentheses: outside the domain in
which the procedure claims its error.
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

_MARKS = {"ok": "", "": "", "too liberal": " ↑", "conservative": " ↓", "undecided": " ?"}


def to_markdown(result: CalibrationResult) -> str:
    """The page of tables: summary, domains, designs, and one table per question.

    Examples
    --------
    >>> from cwda.calibration import Size, calibrate
    >>> found = calibrate(["mean"], designs="iid", sizes=[Size(16, 3, 9)], replicates=5)
    >>> to_markdown(found).splitlines()[0]
    '# Calibration: the tables'
    """
    require_type(result, CalibrationResult, "the answer of calibrate, a CalibrationResult,")
    rows = result.table
    versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    parts = [_INTRODUCTION.format(seed=result.seed, versions=versions)]
    parts.append("## Summary\n\nCells within the domain, by verdict.\n\n" + _summarise(rows))
    parts.append("## Cells too liberal within the domain\n\n" + _worst(rows))
    parts.append("## Domains\n\nWhere each procedure claims its error.\n\n" + _domains(rows))
    parts.append("## Designs\n\n" + _designs(rows))
    for title, text, measures, nominal in _SECTIONS:
        shown = rows[rows["measure"].isin(measures) & (rows["nominal"].notna() == nominal)]
        if len(shown):
            parts.append(f"## {title}\n\n{fill(text, 100)}\n\n{_wide(shown, len(measures) > 1)}")
    return "\n".join(parts)


def _grid(header: Sequence[str], lines: Iterator[Sequence[str]]) -> str:
    cells = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def _rate(value: float) -> str:
    return f"{value:.3f}".removeprefix("0") if value < 1 else "1"


def _summarise(rows: pd.DataFrame) -> str:
    summary = summarise(rows)
    header = [name.replace("_", " ") for name in summary.columns]
    rates = ("nominal", "lowest", "highest")
    return _grid(
        header,
        (
            [_rate(line[name]) if name in rates else str(line[name]) for name in summary.columns]
            for _, line in summary.iterrows()
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
        "Effects are defined as in the conditions; heavy tails are Student's t law with 5 degrees\n"
        "of freedom, gaussianity is a mixture of two normal laws at that KS distance.\n"
        "Independence is left out where there is one channel, epsilon where kernels have one\n"
        "position.\n\n"
    )

    def value(name: str, parameter: str) -> str:
        setting = getattr(DESIGNS[name], parameter)
        return ("yes" if setting is True else f"{setting:g}") if setting else ""

    names = [name for name in DESIGNS if name in set(rows["design"])]
    lines = ([name, *(value(name, parameter) for parameter in parameters)] for name in names)
    return text + _grid(["design", *parameters], lines)


def _wide(rows: pd.DataFrame, with_measure: bool) -> str:
    """One line per procedure and design, one column per size."""
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
