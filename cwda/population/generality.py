"""Is CWDA general? One sentence on the networks of a survey, with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cwda.formatting import many, percent
from cwda.population.shares import TOGETHER, VerdictShare, verdict_shares
from cwda.population.tables import UNKNOWN, Surveyed

__all__ = ["generality", "generality_sentences"]

#: CWDA is general among networks if it holds in more than this share of them.
MOST = 0.5

#: Fewer families say nothing of others.
FEWEST_FAMILIES = 5

#: With more networks of unknown family, these may be the same few over and over.
MOST_UNKNOWN = 0.2

_MOST_NAMED = 4
_NEXT_TO = 0.015


def generality(survey: Surveyed, *, level: float = 0.95) -> str:
    """Whether CWDA is general in these networks, in words.

    It is if the whole interval of the share of networks in which no condition fails or is
    undecided lies above one half, and is not if it lies below; else the survey does not tell.
    Networks of fewer than five families, or of which more than 20 % have no family, are not judged:
    they may be copies of one another, and intervals take them for independent.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    level : float
        Confidence of the interval, which is over families of networks where two are known.

    Raises
    ------
    CwdaError
        As `verdict_shares`.
    """
    return " ".join(generality_sentences(survey, level=level))


def generality_sentences(survey: Surveyed, *, level: float = 0.95) -> list[str]:
    """The sentences of `generality`, the answer first."""
    shares = verdict_shares(survey, level=level)
    of_networks = [row for row in shares if row.unit == "networks"]
    together = next(row for row in of_networks if row.condition == TOGETHER)
    single = [row for row in of_networks if row.condition != TOGETHER]
    layers = next(row for row in shares if row.unit == "layers" and row.condition == TOGETHER)
    return [
        f"{_opening(together)}, {_networks(together)}: every condition holds in "
        f"{_share(together, 'holds')} of the networks, and at least one fails in "
        f"{_share(together, 'fails')}.",
        *_caution(together),
        *_by_family(survey, level),
        f"Of their layers, networks counted alike, every condition holds in "
        f"{_share(layers, 'holds')}, and at least one fails in {_share(layers, 'fails')}.",
        _listed(single),
    ]


def _opening(row: VerdictShare) -> str:
    if row.unlabelled > MOST_UNKNOWN * row.networks:
        return "Whether CWDA is general is not judged (too many networks without a family)"
    if row.families < FEWEST_FAMILIES:
        return f"Whether CWDA is general is not judged ({FEWEST_FAMILIES} families are needed)"
    if row.holds_low > MOST:
        return "CWDA is general in these networks"
    if row.holds_high < MOST:
        return "CWDA is not general in these networks"
    return "Whether CWDA is general cannot be told from these networks"


def _networks(row: VerdictShare) -> str:
    """How many networks there are, of how many families."""
    networks = many(row.networks, "network")
    if not row.unlabelled:
        return f"{networks} of {_families(row.families)}"
    if not row.families:
        return f"{networks} of which none has a family"
    return f"{networks}, {row.unlabelled} without a family and others of {_families(row.families)}"


def _caution(row: VerdictShare) -> list[str]:
    """What intervals over networks are worth, and what to do."""
    if row.over == "families" and row.unlabelled <= MOST_UNKNOWN * row.networks:
        return []
    taken = (
        "Intervals take these networks for independent, which those trained from one another, or "
        "by the same people for one task, are not."
        if row.over == "networks"
        else "Intervals count all networks without a family as one family."
    )
    remedy = " Name the families with --labels FILE." if row.unlabelled else ""
    return [taken + remedy]


def _by_family(survey: Surveyed, level: float) -> list[str]:
    rows = [
        row
        for row in verdict_shares(survey, "family", level=level)
        if row.unit == "networks" and row.condition == TOGETHER and row.group != UNKNOWN
    ]
    if len(rows) < 2:
        return []
    broken = sum(row.fails == 1 for row in rows)
    held = [row.group for row in rows if row.holds > 0]
    where = f": {', '.join(sorted(held))}" if 0 < len(held) <= _MOST_NAMED else ""
    return [
        f"Family by family, at least one fails in every network of {broken} of "
        f"{_families(len(rows))}, and every condition holds in some network of "
        f"{_families(len(held))}{where}."
    ]


def _families(families: int) -> str:
    return "one family" if families == 1 else f"{families or 'no'} families"


def _share(row: VerdictShare, verdict: str) -> str:
    value, low, high = (getattr(row, f"{verdict}{end}") for end in ("", "_low", "_high"))
    if math.isnan(low):
        return f"{_percent(value)} (no interval from one network)"
    return f"{_percent(value)} ({_percent(low)} to {_percent(high)})"


def _percent(share: float) -> str:
    """In per cent, with a decimal where it is next to none or all."""
    return f"{100 * share:.1f} %" if 0 < min(share, 1 - share) < _NEXT_TO else percent(share)


def _listed(rows: Sequence[VerdictShare]) -> str:
    """The conditions, those that fail most often first."""
    ordered = sorted(rows, key=lambda row: row.fails, reverse=True)
    listed = ", ".join(f"{row.condition} {percent(row.fails)}" for row in ordered)
    return f"Share of the networks in which each condition fails: {listed}."
