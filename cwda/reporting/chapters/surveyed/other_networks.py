"""Where the networks stand among those of a survey."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from cwda import figures
from cwda.figures.survey.survey_places import MOST
from cwda.formatting import many, number
from cwda.population.generality import FEWEST_FAMILIES
from cwda.population.others import FEWEST, OF_PAIRS, Place, spans_families
from cwda.reporting.blocks import (
    Block,
    Column,
    Items,
    Name,
    Note,
    Paragraph,
    Picture,
    Strong,
    Table,
    names,
)
from cwda.reporting.chapter import Chapter, Report, attempt
from cwda.reporting.chapters.surveyed.among import ALL, Among, Places
from cwda.reporting.chapters.surveyed.places import one_network, several_networks
from cwda.reporting.chapters.surveyed.remarks import NAMED, remarks
from cwda.reporting.pictures import picture
from cwda.reporting.subject import Subject
from cwda.theory import CROSS_FITTED

__all__ = ["other_networks"]

#: What is said of the coefficients of a pair, in words.
_WORDS = dict(zip(OF_PAIRS, ("measured", "predicted", "error"), strict=True))


def _blocks(report: Report) -> Iterator[Block]:
    """Where networks stand among those of a survey, in their effects and rank correlations."""
    assert report.survey is not None
    among = Among.of(report.survey, report.all_subjects)
    told = list(remarks(report, among))
    if among.effects_of_others.empty:
        some = "in which a condition can be judged, " if len(among.known) else ""
        yield Paragraph(f"The survey has no network {some}but those of this report.")
        if told:
            yield Items(told)
        return
    effects = {one.network.name: among.effects(one) for one in report.subjects}
    yield from _answer(effects, among)
    if told:
        yield Items(told)
    for first in range(0, len(report.subjects), MOST):
        yield _drawn(report.subjects[first : first + MOST], among)
    yield _effects(report.subjects, effects)
    yield from attempt(
        partial(_similarity, report.subjects, among), "rank correlations among other networks"
    )
    yield Note(_reading(among, several=len(effects) > 1))


other_networks = Chapter(
    "Among other networks", _blocks, when=lambda report: report.survey is not None
)


def _answer(effects: Mapping[str, Places], among: Among) -> Iterator[Block]:
    """Where each network stands, and how many of the others hold."""
    row = among.verdicts
    families = f"{row.families} families" if row.families > 1 else "one family"
    unlabelled = f"{row.unlabelled} without a family"
    kinds = [families] * bool(row.families) + [unlabelled] * bool(row.unlabelled)
    known = f"{many(row.networks, 'other network')} ({', '.join(kinds)})"
    holds, fails = (round(share * row.judged) for share in (row.holds, row.fails))
    verdicts = (
        f"CWDA holds in {holds} of these networks, fails in {fails}, and cannot be decided in "
        f"{row.judged - holds - fails}."
    )
    if len(effects) == 1:
        ((name, places),) = effects.items()
        farther, others = _farther(name, places), _extremes(places)
        yield Paragraph(Strong(f"Of {known} in the survey, {farther}"))
        yield Paragraph(f"{others} {verdicts}".strip())
    else:
        yield Paragraph(Strong(f"The survey has {known}. {verdicts}"))
        yield Items(
            [
                f"{_capital(_farther(name, places))} {_extremes(places)}".strip()
                for name, places in effects.items()
            ]
        )


def _farther(name: str, places: Places) -> str:
    """How many are farther from the assumption than a network, and by which measure."""
    place = places[ALL]
    if math.isnan(place.value):
        return f"none can be compared with {name}, of which no condition can be judged."
    middle = place.quartiles[1]
    typical = "" if math.isnan(middle) else f", and {number(middle)} in the median other network"
    return (
        f"{_are(place.larger)} farther from the assumption than {name}: the median over its "
        f"conditions of effect / margin is {number(place.value)}{typical}."
    )


def _are(n: int) -> str:
    return "none is" if n == 0 else f"{n:,} {'is' if n == 1 else 'are'}"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _extremes(places: Places) -> str:
    """The conditions in which a network stands highest and lowest."""
    told = {
        name: place
        for name, place in places.items()
        if name != ALL and place.networks and not math.isnan(place.value)
    }
    if len(told) < 2:
        return ""
    high, *_, low = sorted(told, key=lambda name: _height(told[name]), reverse=True)
    above, below = told[high], told[low]
    return (
        f"It stands highest in {high}, where {above.larger} of {above.networks} have a larger "
        f"effect, and lowest in {low}, where {below.smaller} of {below.networks} have a smaller "
        "one."
    )


def _height(place: Place) -> float:
    """Share of the networks below, with half of those that have the same value."""
    return (place.networks + place.smaller - place.larger) / (2 * place.networks)


def _drawn(subjects: Sequence[Subject], among: Among) -> Picture:
    import pandas as pd

    table = pd.concat([one.whole.table for one in subjects], ignore_index=True)
    marks = "The large mark is" if len(subjects) == 1 else "Large marks are"
    spread = (
        " The bar spans half of them, the line nine tenths, the circle is the median."
        if len(among.known) >= FEWEST
        else ""
    )
    return picture(
        figures.survey_places(among.others, table),
        [
            f"Each point is another network.{spread} {marks} ",
            *names([one.network.name for one in subjects], MOST),
            f" with {100 * subjects[0].level:g} % intervals.",
        ],
        f"Strips of {len(among.known)} networks by condition, with "
        f"{many(len(subjects), 'network')} of this report marked.",
    )


def _effects(subjects: Sequence[Subject], effects: Mapping[str, Places]) -> Table:
    if len(subjects) > 1:
        return several_networks(
            effects,
            "Effects of the networks as a whole, and in brackets the share of the others whose "
            f"effect is smaller. The column {ALL}: median of effect / margin.",
        )
    (subject,) = subjects
    rows = {row.condition: row for row in subject.whole}
    places: dict[tuple[str, ...], Place] = {}
    for name, place in effects[subject.network.name].items():
        row = rows.get(name)
        limits = "–"
        if row and not math.isnan(place.value):
            limits = f"{number(row.effect_low)} to {number(row.effect_high)}"
        places[name, number(place.value), limits] = place
    return one_network(
        places,
        [Column("condition", "text"), Column("effect"), Column("interval")],
        [
            "Effects of ",
            Name(subject.network.name),
            f" as a whole with {100 * subject.level:g} % intervals, and those of the other "
            f"networks. The line {ALL}: median of effect / margin.",
        ],
    )


def _similarity(subjects: Sequence[Subject], among: Among) -> Iterator[Block]:
    """Rank correlations, measured and predicted, and the errors of the predictions."""
    able = [one for one in subjects if one.has_weights]
    if able != [*subjects]:
        without = [one.network.name for one in subjects if not one.has_weights]
        yield Paragraph(
            [
                "Rank correlations need the weights, which saved answers do not hold: ",
                *names(without, NAMED),
                ".",
            ]
        )
    found = {
        value: {one.network.name: among.correlations(one, value) for one in able}
        for value in OF_PAIRS
    }
    if not any(places for each in found.values() for places in each.values()):
        if able:
            yield Paragraph("No rank correlations can be compared with those of the survey.")
        return
    rung = CROSS_FITTED.name
    if len(subjects) == 1:
        (name,) = found["measured"]
        yield one_network(
            {
                (pair, _WORDS[value], number(place.value)): place
                for value, each in found.items()
                for pair, place in each[name].items()
            },
            [Column("pair", "text"), Column("coefficient", "text"), Column("here")],
            [
                "Spearman's coefficients in ",
                Name(name),
                f" and in the other networks: medians over the layers, measured and predicted by "
                f"the rung {rung}, and mean absolute error of the prediction.",
            ],
        )
        return
    captions = (
        "Spearman's coefficients as measured",
        f"Spearman's coefficients as predicted by the rung {rung}",
    )
    for each, caption in zip(found.values(), captions, strict=False):
        yield several_networks(each, f"{caption}: medians over the layers.")
    yield several_networks(found["error"], "Mean absolute error of these predictions.")


def _reading(among: Among, *, several: bool) -> str:
    """How the shares are to be read, and why something is missing."""
    told = "In these shares, counts and quartiles networks count alike, whatever their size."
    if len(among.known) < FEWEST:
        return (
            f"{told} Quartiles and shares of fewer than {FEWEST} networks would say more of these "
            "than of networks, and are not given."
        )
    if spans_families(among.effects_of_others):
        if several:
            return f"{told} A report on one network has intervals of the shares, over families."
        return f"{told} Intervals of shares are 95 % intervals over families."
    return (
        f"{told} Shares have no interval: that needs {FEWEST_FAMILIES} families or more, known of "
        "most networks, since those of one family may be copies of one another."
    )
