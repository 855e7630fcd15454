"""`make_reference`: the quantiles of a survey, against which layers of other networks are set."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cwda.arguments import choose, require_between
from cwda.conditions.reference import (
    ANY,
    PROBABILITIES,
    Reference,
    ReferenceGroup,
    kernel_kind,
    quantile_name,
    width_band,
)
from cwda.errors import CwdaError
from cwda.population.clusters import Sample
from cwda.population.tables import (
    Surveyed,
    judged_layers,
    named_families,
    require_survey,
    sample_of,
)

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float64]

__all__ = ["FEWEST_FAMILIES", "FEWEST_NETWORKS", "make_reference"]

#: A group of layers from fewer networks says more of these than of layers.
FEWEST_NETWORKS = 10

#: So does one from fewer families, whose networks may be copies of one another but for some steps
#: of training: only equal weights count once.
FEWEST_FAMILIES = 3


def make_reference(
    survey: Surveyed, *, without: str | None = None, level: float = 0.95
) -> Reference:
    """Quantiles of every effect by family, width and kernel, networks counted alike.

    Groups of fewer than 10 networks are left out, and those of fewer than 3 families unless they
    are one family's, or the survey has fewer; a layer that belongs to one is then compared with
    layers of its kernel, or all.

    Parameters
    ----------
    survey : Survey
        What `cwda.read_survey` gives.
    without : str, optional
        A family that is left out: that of the network to be compared, where it is in the survey.
    level : float
        Confidence of the intervals whose lower limits are kept.

    Raises
    ------
    CwdaError
        If this is no survey, no network was analysed, the family is unknown or the only one, or
        the level is impossible.
    """
    level = require_between(level, 0, 1, "level")
    rows = judged_layers(require_survey(survey))
    if without is not None:
        (without,) = choose([without], dict.fromkeys(rows["family"]), "family")
        rows = rows[rows["family"] != without]
        if rows.empty:
            raise CwdaError(f"the survey has no other family than {without!r}")
    rows = rows.assign(
        width=[width_band(int(n)) for n in rows["n_filters"]],
        kernel=[kernel_kind(each) for each in rows["kernel"]],
    )
    return Reference(
        tuple(_groups(rows, level)),
        (),
        level=level,
        surveyed=rows["hash"].nunique(),
        families=named_families(rows),
    )


def _groups(rows: pd.DataFrame, level: float) -> Iterator[ReferenceGroup]:
    """The groups, from all layers to those of one family, width and kernel."""
    fewest = min(FEWEST_FAMILIES, rows["family"].nunique())
    for family in ([], ["family"]):
        for place in ([], ["kernel"], ["width", "kernel"]):
            columns = ["condition", *family, *place]
            for key, part in rows.groupby(columns, sort=True):
                diverse = bool(family) or part["family"].nunique() >= fewest
                if diverse and part["hash"].nunique() >= FEWEST_NETWORKS:
                    yield _group(dict(zip(columns, map(str, key), strict=True)), part, level)


def _group(own: dict[str, str], rows: pd.DataFrame, level: float) -> ReferenceGroup:
    sample, effects = sample_of(rows, level), rows["effect"].to_numpy()
    values = sample.quantiles(effects, PROBABILITIES)
    labels = {name: own.get(name, ANY) for name in ("family", "width", "kernel")}
    lows = np.maximum.accumulate(list(map(partial(_low, sample, effects), PROBABILITIES, values)))
    return ReferenceGroup(
        condition=own["condition"],
        **labels,
        families=named_families(rows),
        networks=rows["hash"].nunique(),
        layers=len(rows),
        quantiles=dict(zip(map(quantile_name, PROBABILITIES), values.tolist(), strict=True)),
        lows={
            quantile_name(p, "low"): low
            for p, low in zip(PROBABILITIES, lows.tolist(), strict=True)
        },
    )


def _low(sample: Sample, effects: Array, probability: float, quantile: float) -> float:
    """Lower limit of the share below a quantile, as in Woodruff's interval.

    No share below a larger effect is smaller, so that limits may be taken from smaller ones.
    """
    share = sample.share(effects <= quantile)
    return max(probability - (share.value - share.low), 0.0)
