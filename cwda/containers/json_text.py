"""JSON inside checkpoints, parsed only if its objects fit into memory."""

from __future__ import annotations

import json
from typing import Any

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
        If the text is damaged, or larger than any checkpoint's.
    RecursionError
        If it is nested too deep.

    Examples
    --------
    >>> parse_json(b'{"shape": [8, 3]}')
    {'shape': [8, 3]}
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data):,} bytes long")
    values = sum(data.count(opening) for opening in (b",", b"[", b"{"))
    if values > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES:,} values")
    return json.loads(data)
