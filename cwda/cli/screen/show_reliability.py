"""What `cwda reliability` shows: criteria, then layers by criteria."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cwda.cli.screen.screen import Screen
from cwda.cli.screen.show import reasons
from cwda.cli.screen.table import Column, Table
from cwda.formatting import listed, number, percent

if TYPE_CHECKING:
    from cwda.scoring import ReliabilityResult

__all__ = ["images", "show_reliability"]


def show_reliability(result: ReliabilityResult, screen: Screen) -> None:
    """Print how far the scores of one network depend on the images."""
    ratio = next((row.ratio for row in result), math.nan)
    screen.table(_criteria(result))
    screen.remark(
        f"reliability: rank correlation to expect with another draw of as many images "
        f"({result.images:,}); changed: share of the filters pruned at {percent(ratio)} that it "
        f"would spare; needed: images for a reliability of {number(result.target)}, and for at "
        f"most {percent(result.most)} changed, in the median layer; – undefined"
    )
    if not result.images:
        screen.remark(
            f"{listed(result.criteria)} read only weights, which are the same on all images; "
            "--criteria taylor_l1,apoz --data PATH asks of criteria from images"
        )
    screen.table(_layers(result), "reliability by layer; – undefined")
    screen.remarks([*result.warnings, *reasons(result.table)])


def images(count: float) -> str:
    """A number of images; an extrapolation has two digits."""
    if not math.isfinite(count):
        return number(count)
    step = 10 ** max(0, math.floor(math.log10(max(count, 1))) - 1)
    return f"{math.ceil(count / step) * step:,}"


def _criteria(result: ReliabilityResult) -> Table:
    heads = [Column(head) for head in ("layers", "median", "lowest", "changed")]
    heads += [Column(f"needed for\n{number(result.target)}")]
    heads += [Column(f"needed for\n{percent(result.most)} changed")]
    table = Table(
        [Column("criterion", right=False), *heads, Column("lowest in", right=False)], gap=2
    )
    for row in result.summary().itertuples():
        table.add(
            row.criterion,
            str(row.layers),
            number(row.median),
            number(row.minimum),
            percent(row.share_changed),
            images(row.images_needed),
            images(row.images_for_share),
            row.lowest_layer,
        )
    return table


def _layers(result: ReliabilityResult) -> Table:
    heads = [Column(name) for name in result.criteria]
    table = Table(
        [Column("layer", right=False), Column("N'", spare=True, meaning="filters"), *heads],
        layers=True,
    )
    for layer, group in result.table.groupby("layer", sort=False):
        rows = list(group.itertuples())
        table.add(str(layer), str(rows[0].n_filters), *(number(row.reliability) for row in rows))
    return table
