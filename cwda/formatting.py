"""How numbers look to a reader, on screen and in print; tables keep raw values."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = [
    "MARKS",
    "escaped",
    "every",
    "layer_count",
    "listed",
    "many",
    "number",
    "p_value",
    "percent",
]

#: A verdict at a glance, beside its colour.
MARKS = {"holds": "✓", "fails": "✗", "inconclusive": "?", "not applicable": "–"}


def many(n: int, noun: str) -> str:
    """A count with its noun, as "3 layers"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def every(n: int, noun: str) -> str:
    """All of so many, as a sentence names them.

    Examples
    --------
    >>> [every(n, "layer") for n in (1, 2, 1200)]
    ['the one layer', 'both layers', 'all 1,200 layers']
    """
    return f"the one {noun}" if n == 1 else f"both {noun}s" if n == 2 else f"all {many(n, noun)}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    Examples
    --------
    >>> listed(["l1"]), listed(["l1", "l2", "gm"])
    ('l1', 'l1, l2 and gm')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def number(value: float) -> str:
    """Three decimals without the leading zero; a dash where undefined.

    Examples
    --------
    >>> number(0.12345), number(-0.5), number(12.345), number(-0.0001), number(float("nan"))
    ('.123', '-.500', '12.3', '.000', '–')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "-∞"
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"
    text = "0.000" if text == "-0.000" else text
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def layer_count(value: float) -> str:
    """An expected number of layers, one decimal; a dash where undefined.

    Examples
    --------
    >>> layer_count(18.25), layer_count(19.0), layer_count(float("nan"))
    ('18.2', '19.0', '–')
    """
    return "–" if math.isnan(value) else f"{value:.1f}"


def p_value(value: float) -> str:
    """Three decimals, or a power of ten; empty where undefined.

    Examples
    --------
    >>> p_value(0.0123), p_value(3e-8)
    ('.012', '3e-08')
    """
    if math.isnan(value):
        return ""
    return f"{value:.3f}".removeprefix("0") if value >= 0.001 else f"{value:.0e}"


def percent(share: float) -> str:
    """A share in per cent, as "42 %"; a dash where undefined."""
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


def escaped(text: str) -> str:
    r"""A text in which what a terminal would obey is written out.

    Examples
    --------
    >>> escaped("été\x1b[31m")
    'été\\x1b[31m'
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
