"""What could not be analysed, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cwda.choices import JUDGED
from cwda.formatting import many
from cwda.population.tables import Surveyed
from cwda.reporting.blocks import Block, Column, Paragraph, Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["failures"]

_MOST_ROWS, _MOST_REASONS = 200, 20


def failures(survey: Surveyed, level: float) -> Iterator[Block]:
    """Sources that failed, and layers that no condition judges, with the reasons."""
    networks = survey.networks
    counts = networks["status"].value_counts()
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    yield Paragraph(f"Of {many(len(networks), 'source')}: {told}.")
    lost = networks[networks["status"] != "done"]
    if len(lost):
        yield Table(
            [Column("source", "name"), Column("status", "text"), Column("why", "text")],
            [
                [str(source), str(status), str(reason)]
                for source, status, reason in lost[["source", "status", "reason"]].itertuples(
                    index=False
                )
            ][:_MOST_ROWS],
            "Sources that are not analysed, or are the same network as another.",
        )
    rows = survey.conditions
    rows = rows[~rows["verdict"].isin(JUDGED)]
    if rows.empty:
        return
    yield _unjudged(rows, survey.conditions["condition"].nunique())


def _unjudged(rows: pd.DataFrame, conditions: int) -> Table:
    """Reasons why layers are not judged, each once for all the conditions that give it."""
    told = []
    for reason, part in rows.groupby("reason", sort=False):
        names = list(dict.fromkeys(part["condition"]))
        which = "all conditions" if len(names) == conditions else ", ".join(names)
        layers = len(part.drop_duplicates(["hash", "layer"]))
        told.append((layers, part["hash"].nunique(), which, str(reason)))
    told.sort(reverse=True)
    return Table(
        [
            Column("why", "text"),
            Column("conditions", "text"),
            Column("layers"),
            Column("networks"),
        ],
        [
            [reason, which, f"{layers:,}", str(networks)]
            for layers, networks, which, reason in told[:_MOST_REASONS]
        ],
        f"Layers in which a condition is not applicable, the {_MOST_REASONS} commonest reasons.",
    )
