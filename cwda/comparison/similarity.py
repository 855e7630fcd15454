"""`compare`: the rank correlations that theory predicts beside those that layers show.

A prediction is an interval [low, high] for the coefficient of n filters. On Fisher's scale,
A(r) = atanh(r), its middle and half-width give

    z = (A(measured) - (A(low) + A(high)) / 2) / sd,   sd = (A(high) - A(low)) / (2 q),

q = Phi^-1((1 + level) / 2), so that |z| <= q just when the interval holds the measured
coefficient. Coefficients of 1 count as half a step of Spearman's coefficient less.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import special

from cwda.comparison.results import COLUMNS, Comparison
from cwda.errors import CwdaError
from cwda.numerics.combination import holm
from cwda.scoring.similarity import SimilarityResult
from cwda.theory.moments import CRITERIA
from cwda.theory.prediction import PredictedSimilarity

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compare"]

Array = npt.NDArray[np.float64]
Result = TypeVar("Result")

_PAIR, _MODEL = ["criterion_a", "criterion_b"], ["method", "rung"]
_KEY = ["network", "layer", "pair"]
# Narrower on Fisher's scale than rounding can tell from nothing.
_NO_WIDTH = 1e-9


def compare(
    measured: SimilarityResult | Iterable[SimilarityResult],
    predicted: PredictedSimilarity | Iterable[PredictedSimilarity],
) -> Comparison:
    """Set predicted rank correlations beside measured ones.

    Parameters
    ----------
    measured : SimilarityResult or several
        From `cwda.similarity`; one a network.
    predicted : PredictedSimilarity or several
        From `cwda.theory.predict_similarity` and `cwda.theory.simulate_similarity`, for the
        same networks. Networks are matched by name, and pairs of criteria whatever their order.

    Returns
    -------
    Comparison
        ``.table`` has a row per network, layer, pair of criteria, method and rung. What only
        one side knows keeps its rows, with the reason. A layer *departs* if its z is
        significant at 1 - level after Holm's adjustment over the layers of one network,
        method, rung and pair.

    Raises
    ------
    CwdaError
        If the two sides are about different networks or layers, or one side says a thing
        twice.

    References
    ----------
    Huang et al. (2021), section 3 and figure 4.

    Examples
    --------
    >>> import cwda
    >>> net = cwda.load("resnet20-cifar10")
    >>> sim = cwda.similarity(net, ["l1", "l2"])
    >>> found = compare(sim, cwda.theory.predict_similarity(net, ["l1", "l2"], ["block", "scale"]))
    >>> found.summary()[["rung", "layers", "mae"]].round(3).to_dict("list")
    {'rung': ['block', 'scale'], 'layers': [19, 19], 'mae': [0.051, 0.015]}
    """
    sims = _several(measured, SimilarityResult, "cwda.similarity")
    forecasts = _several(predicted, PredictedSimilarity, "cwda.theory.predict_similarity")
    levels = sorted({each.level for each in forecasts})
    if len(levels) > 1:
        raise CwdaError(f"predictions must have one level, not {levels}")
    left, right = _measured(sims), _predicted(forecasts)
    _require_same_networks(left, right)
    return Comparison(_joined(left, right, levels[0]), levels[0])


def _several(given: Result | Iterable[Result], kind: type[Result], maker: str) -> list[Result]:
    found = [given] if isinstance(given, kind) else given
    several = isinstance(found, Iterable) and not isinstance(found, str | np.ndarray)
    found = list(found) if several else [found]  # type: ignore[arg-type, list-item]
    wrong = [type(each).__name__ for each in found if not isinstance(each, kind)]
    if wrong or not found:
        raise CwdaError(
            f"compare(measured, predicted) needs a {kind.__name__}, as {maker}(...) "
            f"gives it, not {wrong[0] if wrong else 'nothing'}"
        )
    return found


def _measured(sims: Sequence[SimilarityResult]) -> pd.DataFrame:
    """A row per network, layer and unordered pair."""
    import pandas as pd

    table = pd.concat([each.table for each in sims], ignore_index=True)
    table = table.rename(
        columns={
            "spearman": "measured",
            "spearman_low": "measured_low",
            "spearman_high": "measured_high",
        }
    )
    kept = ["network", "layer", *_PAIR, "measured", "measured_low", "measured_high"]
    return _keyed(table[[*kept, "n_filters", "dim", "reason"]], _KEY, "measured")


def _predicted(forecasts: Sequence[PredictedSimilarity]) -> pd.DataFrame:
    """A row per network, layer, unordered pair, method and rung."""
    import pandas as pd

    tables = [each.table.assign(method=each.method) for each in forecasts]
    table = pd.concat(tables, ignore_index=True).rename(columns={"spearman": "predicted"})
    return _keyed(table.drop(columns="rho"), [*_KEY, *_MODEL], "predicted")


def _keyed(table: pd.DataFrame, key: list[str], side: str) -> pd.DataFrame:
    pairs = ["-".join(sorted(pair)) for pair in zip(*(table[c] for c in _PAIR), strict=True)]
    table = table.assign(pair=pairs)
    twice = table[table.duplicated(key)]
    if len(twice):
        first = twice.iloc[0]
        raise CwdaError(
            f"{first['pair']} in layer {first['layer']!r} of {first['network']!r} is {side} twice; "
            "give each network and prediction once"
        )
    return table


def _require_same_networks(left: pd.DataFrame, right: pd.DataFrame) -> None:
    one, other = (set(side["network"]) for side in (left, right))
    if one != other:
        raise CwdaError(
            f"measured is {_names(one)}, but predicted {_names(other)}; compare the same networks"
        )
    both = left.merge(right, on=["network", "layer"], suffixes=("", "_predicted"))
    for column, what in (("n_filters", "filters"), ("dim", "weights a filter")):
        wrong = both[both[column] != both[f"{column}_predicted"]]
        if len(wrong):
            row = wrong.iloc[0]
            raise CwdaError(
                f"layer {row['layer']!r} of {row['network']!r} has {row[column]} {what} where "
                f"measured, {row[f'{column}_predicted']} where predicted: not the same network"
            )


def _names(networks: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(networks)) or "nothing"


def _joined(left: pd.DataFrame, right: pd.DataFrame, level: float) -> pd.DataFrame:
    """The table: every layer and pair of either side under every model."""
    import pandas as pd

    about = [*_KEY, *_PAIR, "n_filters", "dim"]
    every = pd.concat([left[about], right[about]]).drop_duplicates(_KEY)
    # Layers of one network stay together, those that are only predicted last.
    every = every.sort_values("network", key=_order, kind="stable")
    table = every.merge(right[_MODEL].drop_duplicates(), how="cross")
    values = ["measured", "measured_low", "measured_high"]
    table = table.merge(left[[*_KEY, *values, "reason"]], on=_KEY, how="left", indicator="left")
    columns = [*_KEY, *_MODEL, "predicted", "low", "high", "reason"]
    table = table.merge(
        right[columns],
        on=[*_KEY, *_MODEL],
        how="left",
        suffixes=("", "_predicted"),
        indicator="right",
    )
    table["difference"] = table["predicted"] - table["measured"]
    table["z"] = _z(table, level)
    table["reason"] = [_reason(**row) for row in table.to_dict("records")]
    return _tested(table, level)[list(COLUMNS)].reset_index(drop=True)


def _order(names: pd.Series[str]) -> pd.Series[int]:
    return names.map({name: i for i, name in enumerate(dict.fromkeys(names))})


def _z(table: pd.DataFrame, level: float) -> Array:
    """z of each row; NaN where a coefficient is undefined or the interval too narrow."""
    n = table["n_filters"].to_numpy(float)
    bound = 1 - 6 / (n**3 - n).clip(6)
    measured, low, high = (
        np.arctanh(np.clip(table[column].to_numpy(float), -bound, bound))
        for column in ("measured", "low", "high")
    )
    sd = (high - low) / (2 * special.ndtri((1 + level) / 2))
    sd[sd < _NO_WIDTH] = np.nan
    return np.asarray((measured - (low + high) / 2) / sd)


def _reason(
    *,
    criterion_a: str,
    criterion_b: str,
    left: str,
    right: str,
    measured: float,
    measured_low: float,
    predicted: float,
    z: float,
    reason: object,
    reason_predicted: object,
    **_: object,
) -> str:
    """What is undefined in a row, and why; empty if nothing is."""
    reasons = []
    if left == "left_only" or right == "left_only":
        side = "predicted" if right == "left_only" else "measured"
        foreign = [name for name in (criterion_a, criterion_b) if name not in CRITERIA]
        reasons.append(
            f"not {side}" + (f": theory covers {', '.join(CRITERIA)}" if foreign else "")
        )
    if left == "both" and (np.isnan(measured) or np.isnan(measured_low)):
        reasons.append(f"measured: {reason}")
    if right == "both" and np.isnan(predicted):
        reasons.append(f"predicted: {reason_predicted}")
    if not reasons and np.isnan(z):
        reasons.append("the prediction interval is narrower than a step of the coefficient: no z")
    return "; ".join(reasons)


def _tested(table: pd.DataFrame, level: float) -> pd.DataFrame:
    """With `inside`, p-values and `departs`."""
    import pandas as pd

    known = table["difference"].notna()
    inside = table["measured"].between(table["low"], table["high"])
    table["inside"] = inside.astype("boolean").where(known, pd.NA)
    table["pvalue"] = 2 * special.ndtr(-table["z"].abs())
    family = table.groupby(["network", "pair", *_MODEL], sort=False)["pvalue"]
    table["pvalue_holm"] = family.transform(holm)
    departs = table["pvalue_holm"] <= 1 - level
    table["departs"] = departs.astype("boolean").where(table["z"].notna(), pd.NA)
    return table
