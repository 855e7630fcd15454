"""Tables of places: of one network with intervals, of several in a row each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cwda.conditions.register import CONDITIONS
from cwda.formatting import number, percent
from cwda.population.others import FEWEST, Place
from cwda.reporting.blocks import Column, Table, Text
from cwda.reporting.chapters.surveyed.among import Places
from cwda.reporting.survey.cells import percent_interval

__all__ = ["one_network", "several_networks"]

_QUARTILES = ("lower quartile", "median", "upper quartile")


def one_network(
    places: Mapping[tuple[str, ...], Place], heads: Sequence[Column], caption: Text
) -> Table:
    """One line per place: what it is about, quartiles of the others, how many are smaller."""
    shown = any(place.networks >= FEWEST for place in places.values())
    columns = [*heads, *(Column(name) for name in _QUARTILES if shown)]
    columns += [Column("networks"), Column("larger than", "text")]
    return Table(
        columns,
        [
            [
                *about,
                *(number(each) for each in place.quartiles if shown),
                str(place.networks),
                _share(place),
            ]
            for about, place in places.items()
        ],
        caption,
    )


def several_networks(places: Mapping[str, Places], caption: str) -> Table:
    """One row per network, and the quartiles of the others: value, and share that is smaller."""
    lines = list(dict.fromkeys(name for each in places.values() for name in each))
    any_of = {name: next(each[name] for each in places.values() if name in each) for name in lines}
    rows = [
        [network, *(_cell(each[name]) if name in each else "–" for name in lines)]
        for network, each in places.items()
    ]
    if any(place.networks >= FEWEST for place in any_of.values()):
        rows += [
            [f"others, {name}", *(number(any_of[line].quartiles[at]) for line in lines)]
            for at, name in enumerate(_QUARTILES)
        ]
    rows.append(["others, networks", *(str(any_of[line].networks) for line in lines)])
    heads = {name: CONDITIONS[name].short if name in CONDITIONS else name for name in lines}
    spelt = ", ".join(f"{head} for {name}" for name, head in heads.items() if head != name)
    columns = [Column("network", "name"), *(Column(heads[name], "text") for name in lines)]
    return Table(columns, rows, f"{caption}{spelt and f' {spelt[0].upper()}{spelt[1:]}.'}")


def _cell(place: Place) -> str:
    if math.isnan(place.value):
        return "–"
    share = percent(place.share.value)
    if math.isnan(place.share.value):
        share = f"{place.smaller}/{place.networks}"
    return f"{number(place.value)} ({share})"


def _share(place: Place) -> str:
    """The share of the others whose value is smaller; of few networks their number."""
    if math.isnan(place.value):
        return "–"
    share = place.share
    if math.isnan(share.value):
        return f"{place.smaller} of {place.networks}"
    return percent_interval(share.value, share.low, share.high)
