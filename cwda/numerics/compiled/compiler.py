"""Compilation of inner loops by numba: when first needed, once per machine, or not at all."""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from cwda.errors import reason_of
from cwda.progress import waiting

__all__ = ["compiled"]

_LOG = logging.getLogger(__name__)
_LOCK = threading.Lock()
#: What was said of missing code; once is enough.
_SAID: list[str] = []
#: Modules of which something was compiled or loaded.
_TRIED: set[str] = set()
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
        wanted = source.SIGNATURES[function]
        signatures = [wanted] if isinstance(wanted, str) else wanted
        with waiting("compiling for this processor, once") if not _TRIED else nullcontext():
            _TRIED.add(module)
            try:
                return _machine_code(getattr(source, function), signatures)
            except Exception:
                # Whatever was kept may be damaged: without it the code is made anew.
                if not _forget(getattr(source, function)):
                    raise
                return _machine_code(getattr(source, function), signatures)
    except Exception as error:  # whatever is wrong with an installation must not lose the numbers
        if not _SAID:
            _SAID.append(_reason(error))
            _LOG.warning("slower without compiled loops: %s", *_SAID)
        return None


def _dispatcher(function: Callable[..., None]) -> Any:
    import numba

    decorate = numba.njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
    return decorate(function)


def _machine_code(function: Callable[..., None], signatures: list[str]) -> Callable[..., None]:
    code: Any = _dispatcher(function)
    for signature in signatures:
        code.compile(signature)
    code.disable_compile()
    made: Callable[..., None] = code
    return made


def _forget(function: Callable[..., None]) -> bool:
    """Remove what was kept of a function; whether there was anything."""
    folder = Path(_dispatcher(function).stats.cache_path)
    kept = list(folder.glob(f"*.{function.__name__}-*.nb[ic]"))
    for path in kept:
        path.unlink(missing_ok=True)
    return bool(kept)


def _new_process() -> None:
    """A forked process has a lock of its own: another thread may have held the old one."""
    global _LOCK
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_process)


def _reason(error: Exception) -> str:
    if "no locator available" in str(error):
        return "no folder can be written to keep them; NUMBA_CACHE_DIR names one"
    if isinstance(error, ImportError):
        return f"numba cannot be imported ({reason_of(error)})"
    return reason_of(error)
