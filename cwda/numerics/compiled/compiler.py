"""Compilation of inner loops by numba: when first needed, once per machine, or not at all."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable

from cwda.errors import reason_of
from cwda.progress import waiting

__all__ = ["compiled"]

_LOG = logging.getLogger(__name__)
_LOCK = threading.Lock()
_SAID: set[str] = set()
_READY: dict[tuple[str, str], Callable[..., None] | None] = {}


def compiled(module: str, function: str) -> Callable[..., None] | None:
    """A function of this room as machine code of this processor, or None if that cannot be had.

    The code is kept beside the source, or in the user's cache where that folder is read-only
    (`NUMBA_CACHE_DIR` names another). Without numba, or without any folder to keep it in, each
    process would compile anew; then, after one logged line, the caller takes its slower way,
    which gives equal numbers.

    Products and sums are contracted to fused multiply-adds but never reordered, so that NaN and
    infinity keep their meaning; the lock of the interpreter is released while the code runs.

    Parameters
    ----------
    module, function : str
        A module of `cwda.numerics.compiled` and a function in it, in the part of Python that
        numba knows; the module's `SIGNATURES` has the types of its arguments by its name.

    Examples
    --------
    >>> code = compiled("block_squares", "add_block_squares")
    >>> code is compiled("block_squares", "add_block_squares")
    True
    """
    with _LOCK:
        key = module, function
        if key not in _READY:
            _READY[key] = _compile(module, function)
        return _READY[key]


def _compile(module: str, function: str) -> Callable[..., None] | None:
    try:
        import numba

        if numba.config.DISABLE_JIT:
            raise RuntimeError("NUMBA_DISABLE_JIT is set")
        source = importlib.import_module(f"cwda.numerics.compiled.{module}")
        decorate = numba.njit(
            source.SIGNATURES[function],
            nogil=True,
            cache=True,
            fastmath={"contract"},
            error_model="numpy",
        )
        with waiting("compiling for this processor, once"):
            code: Callable[..., None] = decorate(getattr(source, function))
    except Exception as error:  # whatever is wrong with an installation must not lose the numbers
        reason = _reason(error)
        if reason not in _SAID:
            _SAID.add(reason)
            _LOG.warning("slower without compiled loops: %s", reason)
        return None
    return code


def _reason(error: Exception) -> str:
    if "no locator available" in str(error):
        return "no folder can be written to keep them; NUMBA_CACHE_DIR names one"
    if isinstance(error, ImportError):
        return f"numba cannot be imported ({reason_of(error)})"
    return reason_of(error)
