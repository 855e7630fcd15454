"""The library Torch-Pruning, which is optional and imported when it is first used."""

from __future__ import annotations

from importlib.util import find_spec

from cwda.errors import CwdaError

__all__ = ["require_torch_pruning"]


def require_torch_pruning() -> None:
    """Raise unless Torch-Pruning is installed.

    Raises
    ------
    CwdaError
        If it is not.
    """
    if find_spec("torch_pruning") is None:
        raise CwdaError(
            'importances of Torch-Pruning need torch-pruning: pip install "cwda[torch-pruning]"'
        )
