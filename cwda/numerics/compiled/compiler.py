"""Compilation of inner loops by numba: when first needed, once per machine, or not at all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from cwda.errors import reason_of
from cwda.progress import waiting

__all__ = ["compiled"]

_LOG = logging.getLogger(__name__)
_LOCK = threading.Lock()
_READY: dict[Callable[..., Any], Callable[..., Any] | None] = {}


def compiled(function: Callable[..., None], signature: str) -> Callable[..., None] | None:
    """The function as machine code of this processor, or None where that cannot be had.

    The code is kept beside the source, or in the user's cache where that folder is read-only
    (`NUMBA_CACHE_DIR` names another). Without numba, or without any folder to keep it in, each
    process would compile anew; then, after one logged line, the caller takes its slower way,
    which gives equal numbers.

    Sums are contracted to fused multiply-adds but never reordered, so that NaN and infinity
    keep their meaning; the lock of the interpreter is released while the code runs.

    Parameters
    ----------
    function : callable
        A function at the top of a module, in the part of Python that numba knows.
    signature : str
        Types of its arguments, such as ``"void(float64[::1], int64)"``.

    Examples
    --------
    >>> from cwda.numerics.compiled.block_squares import SIGNATURE, add_block_squares
    >>> code = compiled(add_block_squares, SIGNATURE)
    >>> code is compiled(add_block_squares, SIGNATURE)
    True
    """
    with _LOCK:
        if function not in _READY:
            _READY[function] = _compile(function, signature)
        return _READY[function]


def _compile(function: Callable[..., None], signature: str) -> Callable[..., None] | None:
    try:
        import numba

        if numba.config.DISABLE_JIT:
            raise RuntimeError("NUMBA_DISABLE_JIT is set")
        decorate = numba.njit(
            signature, nogil=True, cache=True, fastmath={"contract"}, error_model="numpy"
        )
        with waiting("compiling for this processor, once"):
            code: Callable[..., None] = decorate(function)
    except Exception as error:  # whatever is wrong with an installation must not lose the numbers
        _LOG.warning("slower without compiled loops: %s", _reason(error))
        return None
    return code


def _reason(error: Exception) -> str:
    if "no locator available" in str(error):
        return "no folder can be written to keep them; NUMBA_CACHE_DIR names one"
    if isinstance(error, ImportError):
        return f"numba cannot be imported ({reason_of(error)})"
    return reason_of(error)
