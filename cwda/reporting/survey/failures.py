"""What could not be analysed, and why."""

from __future__ import annotations

from collections.abc import Iterator

from cwda.choices import JUDGED
from cwda.formatting import many
from cwda.population.tables import Surveyed
from cwda.reporting.blocks import Block, Column, Paragraph, Table

__all__ = ["failures"]

_MOST_ROWS = 200


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
    reasons = rows.groupby(["condition", "reason"], sort=False)
    sizes = reasons.agg(layers=("layer", "size"), networks=("hash", "nunique")).reset_index()
    sizes = sizes.sort_values("layers", ascending=False, kind="stable").head(_MOST_ROWS // 5)
    yield Table(
        [
            Column("condition", "text"),
            Column("why it does not judge", "text"),
            Column("layers"),
            Column("networks"),
        ],
        [
            [str(condition), str(reason), f"{layers:,}", str(nets)]
            for condition, reason, layers, nets in sizes[
                ["condition", "reason", "layers", "networks"]
            ].itertuples(index=False)
        ],
        "Layers in which a condition is not applicable, by reason, the commonest first.",
    )
