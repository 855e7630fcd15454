"""Is CWDA general? One sentence on the networks of a survey, with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cwda.formatting import many, percent
from cwda.population.shares import TOGETHER, VerdictShare, verdict_shares
from cwda.population.tables import Surveyed

__all__ = ["generality", "generality_sentences"]

#: CWDA is general among networks if it holds in more than this share of them.
MOST = 0.5

_MOST_NAMED = 4
_NEXT_TO = 0.015


def generality(survey: Surveyed, *, level: float = 0.95) -> str:
    """Whether CWDA is general in these networks, in words.

    It is if the whole interval of the share of networks in which no condition fails or is
    undecided lies above one half, and is not if it lies below; else the survey does not tell.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    level : float
        Confidence of the interval, which is over families of networks.

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
    over = f"{many(together.networks, 'network')} of {_families(together.families)}"
    return [
        f"{_opening(together)}, {over}: every condition holds in {_share(together, 'holds')} "
        f"of the networks, and at least one fails in {_share(together, 'fails')}.",
        _by_family(survey, level),
        f"Of their layers, networks counted alike, every condition holds in "
        f"{_share(layers, 'holds')}, and at least one fails in {_share(layers, 'fails')}.",
        _listed(single),
    ]


def _opening(row: VerdictShare) -> str:
    if row.holds_low > MOST:
        return "CWDA is general in these networks"
    if row.holds_high < MOST:
        return "CWDA is not general in these networks"
    return "Whether CWDA is general cannot be told from these networks"


def _by_family(survey: Surveyed, level: float) -> str:
    rows = [
        row
        for row in verdict_shares(survey, "family", level=level)
        if row.unit == "networks" and row.condition == TOGETHER
    ]
    broken = sum(row.fails == 1 for row in rows)
    held = [row.group for row in rows if row.holds > 0]
    where = f": {', '.join(sorted(held))}" if 0 < len(held) <= _MOST_NAMED else ""
    return (
        f"Family by family, at least one fails in every network of {broken} of "
        f"{_families(len(rows))}, and every condition holds in some network of "
        f"{_families(len(held))}{where}."
    )


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
