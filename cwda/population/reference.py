"""`make_reference`: the quantiles of a survey, against which layers of other networks are set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cwda.conditions.reference import (
    ANY,
    PROBABILITIES,
    Reference,
    ReferenceGroup,
    kernel_kind,
    quantile_name,
    width_band,
)
from cwda.population.tables import Surveyed, judged_layers, require_survey, sample_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FEWEST_FAMILIES", "FEWEST_NETWORKS", "make_reference"]

#: A group of layers from fewer networks says more of these than of layers.
FEWEST_NETWORKS = 10

#: So does one from fewer families, whose networks may be copies of one another but for some steps
#: of training: only equal weights count once.
FEWEST_FAMILIES = 3


def make_reference(survey: Surveyed) -> Reference:
    """Quantiles of every effect by family, width and kernel, networks counted alike.

    Groups of fewer than 10 networks are left out, and those of fewer than 3 families unless they
    are one family's, or the survey has fewer; a layer that belongs to one is then compared with
    layers of its kernel, or all.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.

    Raises
    ------
    CwdaError
        If this is no survey, or no network was analysed.
    """
    rows = judged_layers(require_survey(survey))
    rows = rows.assign(
        width=[width_band(int(n)) for n in rows["n_filters"]],
        kernel=[kernel_kind(each) for each in rows["kernel"]],
    )
    return Reference(
        tuple(_groups(rows)),
        (),
        level=math.nan,
        surveyed=rows["hash"].nunique(),
        families=rows["family"].nunique(),
    )


def _groups(rows: pd.DataFrame) -> Iterator[ReferenceGroup]:
    """The groups, from all layers to those of one family, width and kernel."""
    fewest = min(FEWEST_FAMILIES, rows["family"].nunique())
    for family in ([], ["family"]):
        for place in ([], ["kernel"], ["width", "kernel"]):
            columns = ["condition", *family, *place]
            for key, part in rows.groupby(columns, sort=True):
                diverse = bool(family) or part["family"].nunique() >= fewest
                if diverse and part["hash"].nunique() >= FEWEST_NETWORKS:
                    yield _group(dict(zip(columns, map(str, key), strict=True)), part)


def _group(own: dict[str, str], rows: pd.DataFrame) -> ReferenceGroup:
    values = sample_of(rows, 0.95).quantiles(rows["effect"], PROBABILITIES)
    labels = {name: own.get(name, ANY) for name in ("family", "width", "kernel")}
    return ReferenceGroup(
        condition=own["condition"],
        **labels,
        networks=rows["hash"].nunique(),
        layers=len(rows),
        quantiles=dict(zip(map(quantile_name, PROBABILITIES), values.tolist(), strict=True)),
    )
