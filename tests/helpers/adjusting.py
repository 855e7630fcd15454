"""P-values adjusted by statsmodels."""

from typing import Any
from unittest.mock import patch

from statsmodels.stats import multitest


def multipletests(*arguments: Any, **options: Any) -> Any:
    """As in statsmodels, whose Holm seeks garbage in all that tests have made, half a second."""
    with patch("gc.collect"):
        return multitest.multipletests(*arguments, **options)
