"""JSON inside checkpoints, parsed only if its objects fit into memory."""

from __future__ import annotations

import json
from typing import Any

from cwda.errors import UnreadableError

__all__ = ["parse_json"]

#: Longest header that the reference implementation of safetensors accepts.
MAX_BYTES = 100_000_000
#: Each value may take a hundred bytes once parsed; a tensor of a header has about twelve.
MAX_VALUES = 3_000_000


def parse_json(data: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises
    ------
    ValueError
        If the text is damaged.
    UnreadableError
        If it is larger than any checkpoint's.
    RecursionError
        If it is nested too deep.

    Examples
    --------
    >>> parse_json(b'{"shape": [8, 3]}')
    {'shape': [8, 3]}
    """
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"JSON of {len(data):,} bytes; refused")
    values = sum(data.count(opening) for opening in (b",", b"[", b"{"))
    if values > MAX_VALUES:
        raise UnreadableError(f"JSON of more than {MAX_VALUES:,} values; refused")
    return json.loads(data)
