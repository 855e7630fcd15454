"""Text in the characters that a stream can carry: the C locale knows ASCII only."""

from __future__ import annotations

from cwda.formatting import escaped

__all__ = ["encodable"]

#: What the tables and remarks of this package use beyond ASCII, in plain characters.
_PLAIN = {
    "✓": "+",
    "✗": "x",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "∞": "inf",
    "±": "+/-",
    "×": "x",
    "²": "^2",
    "′": "'",
    "≤": "<=",
    "≥": ">=",
    "→": "->",
    "ε": "eps",
    "µ": "mu",
    "§": "section ",
}


def encodable(text: str, encoding: str) -> str:
    r"""The text in what `encoding` has, and without control characters.

    Examples
    --------
    >>> encodable("93.1 ± .2 %, ✓", "ascii"), encodable("naïve\x1b[1m", "utf-8")
    ('93.1 +/- .2 %, +', 'naïve\\x1b[1m')
    """
    return "".join(_written(character, encoding) for character in escaped(text))


def _written(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        plain = _PLAIN.get(character)
        return plain or character.encode(encoding, "backslashreplace").decode(encoding)
    return character
