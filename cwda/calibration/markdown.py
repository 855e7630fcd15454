"""The page of the documentation that holds the tables of a calibration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from cwda.arguments import require_type
from cwda.calibration.designs import DESIGNS
from cwda.calibration.judgement import size_of, summarise, worst_cells
from cwda.calibration.procedures import PROCEDURES
from cwda.calibration.result import CalibrationResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["to_markdown"]

_INTRODUCTION = """\
# Calibration: the tables

Made by `cwda calibrate --markdown docs/calibration-tables.md`; seed {seed}, {versions}.
[Calibration](calibration.md) says how to read these tables. Columns are sizes of layers: filters x
input channels x positions of the kernel (N' x N x k²). **↑** is too liberal, **↓**
conservative, **?** undecided; a rate without a mark is ok. In parentheses: outside the domain in
which the procedure claims its error.
"""

#: Tables of each procedure: title, measure, whether the rate has a nominal value.
_TABLES: Sequence[tuple[str, str, bool]] = (
    ("Rejections of a true null hypothesis, nominal .05", "test", True),
    ("Rejections of a false null hypothesis (power)", "test", False),
    ("Coverage", "interval", True),
    ('False "holds": the true effect is the margin or more', "holds", True),
    ('False "fails": the true effect is the margin or less', "fails", True),
    ('"Holds" of a smaller or unknown effect', "holds", False),
    ('"Fails" of a larger or unknown effect', "fails", False),
)

#: Rows whose rates of false verdicts never exceed this are named, not printed.
_RARE = 0.02

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
    parts = [
        _filled(_INTRODUCTION.format(seed=result.seed, versions=versions)) + "\n",
        "## Summary\n\nCells within the domain, by verdict.\n\n" + _summarise(rows),
        "## The worst cells\n\n" + "\n".join(_items(worst_cells(rows))),
        "## Cells too liberal within the domain\n\n" + _worst(rows),
        "## Undecided cells\n\n"
        + fill(
            "The interval of these rates crosses a bound: whether the procedure keeps its error "
            "there has not been shown, and is not claimed.",
            100,
        )
        + "\n\n"
        + "\n".join(_items(_undecided(rows))),
        "## Domains\n\nWhere each procedure claims its error.\n\n" + _domains(rows),
        "## Designs\n\n" + _designs(rows),
    ]
    for procedure, group in rows.groupby("procedure", sort=False):
        parts.append(f"## {str(procedure)[0].upper()}{str(procedure)[1:]}\n")
        parts += _tables(group)
    return "\n".join(parts).rstrip("\n") + "\n"


def _filled(text: str) -> str:
    """Paragraphs of at most 100 characters a line; headings stay."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(each if each.startswith("#") else fill(each, 100) for each in paragraphs)


def _items(texts: Sequence[str]) -> list[str]:
    """A list of Markdown, wrapped."""
    wrapped = [
        fill(text, 100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
        for text in texts
    ]
    return [*(wrapped or ["None."]), ""]


def _undecided(rows: pd.DataFrame) -> list[str]:
    """By procedure and measure, the designs with the sizes that stay undecided."""
    undecided = rows[(rows["domain"] == "inside") & (rows["verdict"] == "undecided")]
    texts = []
    for key, group in undecided.groupby(["procedure", "measure"], sort=False):
        procedure, measure = key
        if measure in ("lower limit", "upper limit"):
            continue  # the coverage says it
        by_design = (
            f"{design} ({', '.join(size_of(row) for _, row in cells.iterrows())})"
            for design, cells in group.groupby("design", sort=False)
        )
        texts.append(f"{procedure}, {measure}: {'; '.join(by_design)}.")
    return texts


def _tables(rows: pd.DataFrame) -> Iterator[str]:
    """The tables of one procedure."""
    for title, measure, nominal in _TABLES:
        shown = rows[(rows["measure"] == measure) & (rows["nominal"].notna() == nominal)]
        rare: list[str] = []
        if measure in ("holds", "fails") and nominal:
            highest = shown.groupby("design", sort=False)["rate"].max()
            rare = [str(design) for design in highest.index[highest <= _RARE]]
            shown = shown[~shown["design"].isin(rare)]
        if len(shown):
            yield f"### {title}\n\n{_wide(shown)}"
        elif rare:
            yield f"### {title}\n"
        if rare:
            yield fill(f"In at most {_rate(_RARE)} at all sizes: {', '.join(rare)}.", 100) + "\n"


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
    present = set(rows["design"])
    lines = ([name, law.words] for name, law in DESIGNS.items() if name in present)
    return _grid(["design", "filters"], lines)


def _wide(rows: pd.DataFrame) -> str:
    """One line per design, one column per size."""
    rows = rows.assign(size=[size_of(row) for _, row in rows.iterrows()])
    order = rows.sort_values(["channels", "kernel_size", "n_filters"])["size"]
    sizes = list(dict.fromkeys(order))

    def lines() -> Iterator[list[str]]:
        for design, group in rows.groupby("design", sort=False):
            cells = {row["size"]: _marked(row) for _, row in group.iterrows()}
            least, most = group["replicates"].min(), group["replicates"].max()
            drawn = f"{least}" if least == most else f"{least} to {most}"
            yield [str(design), *(cells.get(size, "") for size in sizes), drawn]

    return _grid(["design", *sizes, "replicates"], lines())


def _marked(row: pd.Series) -> str:
    text = "" if math.isnan(row["rate"]) else _rate(row["rate"]) + _MARKS[row["verdict"]]
    return text if row["domain"] == "inside" else f"({text})"
