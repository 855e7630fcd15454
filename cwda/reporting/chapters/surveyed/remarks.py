"""What limits a comparison with a survey: networks left out, other settings, other versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cwda._version import __version__
from cwda.formatting import listed, many, number
from cwda.population.tables import UNKNOWN, analysed
from cwda.reporting.blocks import Name, Text, names
from cwda.reporting.chapter import Report
from cwda.reporting.chapters.surveyed.among import Among
from cwda.reporting.subject import Subject

__all__ = ["NAMED", "remarks"]

#: Networks that a sentence names, at most.
NAMED = 3


def remarks(report: Report, among: Among) -> Iterator[Text]:
    """Which networks were left out, what the survey did otherwise, and what cannot be told."""
    yield from _left_out(report.all_subjects, among)
    yield from _settings(report.subjects, among)
    yield from _conditions(report.subjects, among)


def _left_out(subjects: Sequence[Subject], among: Among) -> Iterator[Text]:
    rows = analysed(among.survey)
    same = [one for one in subjects if among.same[one.network.name]]
    if same:
        own = rows[~rows["hash"].isin(among.known["hash"])]
        families = {*own["family"]} - {UNKNOWN}
        kin = int(among.known["family"].isin(families).sum())
        of = "the same family" if len(same) == 1 else "the same families"
        rest = f"; {many(kin, 'other network')} of {of} {'is' if kin == 1 else 'are'} not"
        yield [
            *names([one.network.name for one in same], NAMED),
            f" {'is' if len(same) == 1 else 'are'} in the survey too, and left out of this "
            f"comparison{rest if kin else ''}.",
        ]
    for one in same:
        layers = int(rows.loc[rows["hash"].isin(among.same[one.network.name]), "n_layers"].max())
        if layers != len(one.network):
            yield [
                "This report is about ",
                f"{many(len(one.network), 'convolution')} of ",
                Name(one.network.name),
                f", in which the survey has {layers}; the others are compared as a whole.",
            ]
    unseen = [one for one in subjects if not one.has_weights and one not in same]
    if unseen:
        yield [
            "A saved answer does not hold the weights, so that the same network in the survey was "
            "not looked for: ",
            *names([one.network.name for one in unseen], NAMED),
            ".",
        ]


def _settings(subjects: Sequence[Subject], among: Among) -> Iterator[Text]:
    level, version = among.settings.get("level"), among.settings.get("cwda")
    own = subjects[0].level
    if level is not None and level != own:
        yield (
            f"The verdicts of the survey rest on {100 * level:g} % intervals, those of this report "
            f"on {100 * own:g} %; effects do not depend on that."
        )
    if version is not None and _series(str(version)) != _series(__version__):
        yield (
            f"The survey was made by cwda {version}, this report by {__version__}: where the two "
            "compute an effect differently, it cannot be compared. Run the survey again."
        )


def _series(version: str) -> list[str]:
    """What versions with comparable numbers have in common: before 1.0 two parts, then one."""
    first, *rest = version.split(".")
    return [first, *rest[:1]] if first == "0" else [first]


def _conditions(subjects: Sequence[Subject], among: Among) -> Iterator[Text]:
    """Conditions that the survey does not have, or judges by another margin."""
    margins = {row.condition: row.margin for one in subjects for row in one.whole}
    missing = [name for name in margins if name not in among.margins]
    if missing and among.margins:
        yield f"The survey has no effects of {listed(missing)}."
    other = [
        f"{name} ({number(among.margins[name])}, here {number(margin)})"
        for name, margin in margins.items()
        if name in among.margins and among.margins[name] != margin
    ]
    if other:
        yield (
            f"The survey has other margins of {listed(other)}; its own are used where effects are "
            "given in margins."
        )
