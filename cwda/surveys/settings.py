"""What a survey computes of every network: the same everywhere, so that networks compare."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

from cwda._version import __version__
from cwda.choices import Scale

__all__ = ["CRITERIA", "LEVEL", "PREDICTED_LEVEL", "RATIO", "RUNG", "SCALE", "settings", "versions"]

#: Confidence of the intervals of conditions, which verdicts rest on.
LEVEL = 0.90
#: Confidence of the intervals of rank correlations, predictions and applicability.
PREDICTED_LEVEL = 0.95
#: Criteria that need nothing but weights, and that theory predicts.
CRITERIA = ("l1", "l2", "gm", "fermat")
#: Share of the filters pruned, for applicability.
RATIO = 0.5
#: The prediction of a pair's rank correlation.
RUNG = "cross-fitted"
#: Filters as they are.
SCALE: Scale = "raw"


def settings(level: float) -> dict[str, Any]:
    """What is written down beside the tables; `seed` is null since nothing is drawn.

    Examples
    --------
    >>> settings(0.90)["criteria"]
    ['l1', 'l2', 'gm', 'fermat']
    """
    return {
        "conditions": "all built in",
        "scale": SCALE,
        "level": level,
        "criteria": list(CRITERIA),
        "rung": RUNG,
        "ratio": RATIO,
        "prediction_level": PREDICTED_LEVEL,
        "seed": None,
        **versions(),
    }


def versions() -> dict[str, str]:
    """Versions of what numbers may depend on."""
    packages = {name: metadata.version(name) for name in ("torch", "numpy")}
    return {"cwda": __version__, **packages, "python": platform.python_version()}
