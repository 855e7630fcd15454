"""`Survey`: the tables of many networks, read from the folder that holds them."""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cwda.arguments import as_path
from cwda.formatting import many
from cwda.surveys.store import WITHOUT_RESULT, Store
from cwda.surveys.tables import NETWORKS, STATUSES, TABLES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Survey", "read_survey"]


class Survey:
    """Many networks, as tidy tables.

    The tables are read when they are first used. Each has the column `hash`, which tells the
    networks apart; `docs/survey.md` lists the others.

    Attributes
    ----------
    folder : Path
        Where the tables are.
    settings : dict
        What was computed: version, level, ratio, criteria, conditions.

    Raises
    ------
    CwdaError
        If the folder holds no survey, or a part of it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = Store(folder)
        self.settings: dict[str, Any] = self._store.settings()

    @cached_property
    def networks(self) -> pd.DataFrame:
        """One row per source: what became of it, its size, and where it comes from."""
        table = NETWORKS.frame(self._store.read(NETWORKS, self._parts))
        return table.sort_values(["name", "source"], kind="stable", ignore_index=True)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row per layer: its size and place."""
        return self._measured("layers")

    @cached_property
    def conditions(self) -> pd.DataFrame:
        """One row per layer and condition."""
        return self._measured("conditions")

    @cached_property
    def network_conditions(self) -> pd.DataFrame:
        """One row per network and condition."""
        return self._measured("network_conditions")

    @cached_property
    def similarity(self) -> pd.DataFrame:
        """One row per layer and pair of criteria, measured and predicted."""
        return self._measured("similarity")

    @cached_property
    def applicability(self) -> pd.DataFrame:
        """One row per layer and criterion."""
        return self._measured("applicability")

    def _measured(self, name: str) -> pd.DataFrame:
        parts = [part for part in self._parts if not part.startswith(WITHOUT_RESULT)]
        return TABLES[name].frame(self._store.read(TABLES[name], parts))

    @cached_property
    def _parts(self) -> list[str]:
        """What is whole at the first look, so that all tables are about the same networks."""
        return self._store.marked()

    def pack(self, folder: str | Path) -> Survey:
        """Write a copy with one file for each table, which is read in moments.

        A survey has some files for each network, so that reading many takes minutes. The copy is
        for reading only: a survey goes on where it was begun.

        Parameters
        ----------
        folder : str or Path
            A new or empty folder.

        Returns
        -------
        Survey
            The copy.

        Raises
        ------
        CwdaError
            If the folder is not empty or cannot be written, or a part is damaged.
        """
        return Survey(self._store.pack(self._parts, as_path(folder)).folder)

    @property
    def statuses(self) -> dict[str, int]:
        """How many sources have which status; those that none has are left out."""
        counts = self.networks["status"].value_counts()
        return {status: int(counts[status]) for status in STATUSES if status in counts}

    def title(self) -> str:
        """How many networks there are, and what became of them."""
        told = ", ".join(f"{count} {status}" for status, count in self.statuses.items())
        return f"{many(len(self.networks), 'source')}{f': {told}' if told else ''}"

    def __repr__(self) -> str:
        return f"Survey: {self.title()}; tables {', '.join(TABLES)}"

    def _repr_html_(self) -> str:
        columns = ["name", "status", "reason", "n_layers", "n_weights", "verdict"]
        shown = self.networks[columns].to_html(index=False, border=0, max_rows=20)
        return f"<p>Survey: {html.escape(self.title())}</p>{shown}"


def read_survey(folder: str | Path) -> Survey:
    """The tables of a survey, whether it is finished or still running.

    Parameters
    ----------
    folder : str or Path
        The folder that `cwda.survey` or ``cwda survey`` writes.

    Returns
    -------
    Survey
        Its tables are data frames: ``networks``, ``layers``, ``conditions``,
        ``network_conditions``, ``similarity`` and ``applicability``.

    Raises
    ------
    CwdaError
        If the folder holds no survey.

    Examples
    --------
    >>> import cwda
    >>> cwda.read_survey("nowhere")
    Traceback (most recent call last):
    cwda.errors.CwdaError: nowhere: no such folder; cwda survey makes one
    """
    return Survey(as_path(folder))
