"""The calibration study that comes with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cwda.calibration.judgement import summarise
from cwda.calibration.store import read_study

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RESULTS", "summary", "table"]

#: The study that the documentation prints.
RESULTS = Path(__file__).with_name("results.json")


def table() -> pd.DataFrame:
    """The calibration study that comes with the package.

    Returns
    -------
    DataFrame
        One row a procedure, measure, design and size. ``measure`` is "test" (share of p <= .05),
        "interval" (share that covers the truth), "lower limit" and "upper limit" (share
        that misses it), "holds" and "fails" (share of verdicts). ``truth`` is the true effect
        with its standard error; ``rate`` has the 95 % Clopper-Pearson interval ``low`` to ``high``;
        ``nominal`` is NaN where the rate is a power. ``domain`` says whether the cell lies where
        the procedure claims its error. ``verdict``: "ok" if the whole interval keeps the error
        within 40 % of its nominal value (.03 to .07 for .05), "too liberal" or "too conservative"
        if all of it lies beyond, else "undecided"; for limits and false verdicts the
        nominal value is a bound from above.

    Examples
    --------
    >>> import cwda.calibration
    >>> found = cwda.calibration.table()
    >>> bool((found["low"] <= found["rate"]).all())
    True
    """
    return read_study(RESULTS).table


def summary(rows: pd.DataFrame | None = None) -> pd.DataFrame:
    """Verdicts on each procedure within its domain, over designs and sizes.

    Parameters
    ----------
    rows : DataFrame, optional
        A study's table; the package's own by default.

    Returns
    -------
    DataFrame
        A row a procedure and measure with a nominal rate: ``procedure, measure, nominal, cells``,
        how many are ``ok, undecided, too_conservative, too_liberal``, the ``lowest`` and
        ``highest`` rate, and ``worst``, the design and size whose
        interval lies furthest from the nominal rate.

    Examples
    --------
    >>> import cwda.calibration
    >>> int(cwda.calibration.summary().query("measure == 'test'")["too_liberal"].sum())
    0
    """
    return summarise(table() if rows is None else rows)
