"""`textbook`: the tests of textbooks in every layer of one or several networks."""

from __future__ import annotations

import contextlib
import gc
import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from cwda.arguments import require_between
from cwda.conditions.workspace import unfit
from cwda.errors import cause_of
from cwda.layers import ConvLayer, Network
from cwda.loading.source import Source
from cwda.loading.sources import networks_of
from cwda.progress import showing, steps
from cwda.textbook_tests.definition import TextbookTest
from cwda.textbook_tests.result import TextbookResult, TextbookRow
from cwda.textbook_tests.tests import TESTS
from cwda.textbook_tests.weights import Weights

__all__ = ["textbook"]


def textbook(
    source: Source | Iterable[Source], *, level: float = 0.95, progress: bool = True
) -> TextbookResult:
    """Textbook tests of what CWDA says, by pingouin, statsmodels and scipy, for comparison.

    They are the tests that a reader expects, with how many layers pass; `cwda.check` is what to
    judge by. Each says in `.summary()` why it misleads. Positions, filters and channels are
    tested one by one, 64 of them at most, evenly spaced; the p-value of the layer is then m times
    the smallest of m p-values, at most 1 (the smallest of Holm's). Computed on the CPU, in
    float64, after the weights of a layer are divided by their root mean square.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes, or an iterable of such
        One network or several.
    level : float
        A layer passes a test at 1 - level.
    progress : bool
        Whether long work shows a bar.

    Returns
    -------
    TextbookResult
        `.table` has one row per layer and test, `.summary()` one per network and test.

    Raises
    ------
    CwdaError
        If a source cannot be read or the level is impossible.

    Examples
    --------
    >>> import cwda
    >>> res = cwda.textbook(cwda.load("resnet20-cifar10").select("conv1"))
    >>> len(res.table), int(res.table["passes"].isna().sum())
    (16, 3)
    """
    alpha = 1 - require_between(level, 0, 1, "level")
    rows: list[TextbookRow] = []
    with showing(progress):
        networks = networks_of(source)
        for network in networks:
            rows += _adjusted(_rows(network, alpha), alpha)
    return TextbookResult(tuple(rows), tuple(networks), level=level)


def _rows(network: Network, alpha: float) -> list[TextbookRow]:
    rows = []
    for layer in steps(network.layers, f"textbook tests of {network.name}"):
        reason = unfit(layer)
        weights = None if reason else Weights(layer)
        for test in TESTS:
            row = _empty(network, layer, test, reason)
            rows.append(row if weights is None else _filled(row, test, weights, alpha))
    return rows


def _empty(network: Network, layer: ConvLayer, test: TextbookTest, reason: str) -> TextbookRow:
    return TextbookRow(
        network=network.name,
        layer=layer.name,
        test=test.name,
        statistic=math.nan,
        pvalue=math.nan,
        pvalue_holm=math.nan,
        pvalue_bh=math.nan,
        passes=None,
        n_tests=0,
        share_passing=math.nan,
        n=0,
        sample=test.sample,
        function=test.function,
        n_filters=layer.n_filters,
        dim=layer.dim,
        reason=reason,
    )


def _filled(row: TextbookRow, test: TextbookTest, weights: Weights, alpha: float) -> TextbookRow:
    """The row with what the library says, or the reason why it says nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = test.compute(weights)
        except Exception as error:  # a library that refuses a layer must not lose the others
            return replace(row, reason=cause_of(error))
    remarks = [found.left_out] if found.left_out else []
    remarks += [f"warning: {text}" for text in {str(each.message): None for each in caught}]
    known = np.isfinite(found.pvalues)
    if not known.any():
        return replace(row, reason="; ".join(remarks) or "the library gives no p-value")
    pvalues = np.asarray(found.pvalues)[known]
    smallest = int(pvalues.argmin())
    pvalue = min(1.0, len(pvalues) * float(pvalues[smallest]))
    return replace(
        row,
        statistic=float(np.asarray(found.statistics)[known][smallest]),
        pvalue=pvalue,
        passes=test.passes(pvalue, alpha),
        n_tests=len(pvalues),
        share_passing=float((pvalues > alpha).mean()) if len(pvalues) > 1 else math.nan,
        n=found.n,
        reason="; ".join(remarks),
    )


def _adjusted(rows: list[TextbookRow], alpha: float) -> list[TextbookRow]:
    """The rows of one network with p-values adjusted over its layers, for each test."""
    from statsmodels.stats.multitest import multipletests

    result = list(rows)
    with _short_collections():
        for test in TESTS:
            places = [
                place
                for place, row in enumerate(rows)
                if row.test == test.name and not math.isnan(row.pvalue)
            ]
            if not places:
                continue
            raw = [rows[place].pvalue for place in places]
            by_holm = multipletests(raw, alpha, method="holm")[1]
            by_bh = multipletests(raw, alpha, method="fdr_bh")[1]
            for place, holm, bh in zip(places, by_holm, by_bh, strict=True):
                result[place] = replace(rows[place], pvalue_holm=float(holm), pvalue_bh=float(bh))
    return result


@contextlib.contextmanager
def _short_collections() -> Iterator[None]:
    """Let the garbage collector look at new objects only.

    statsmodels collects at each adjustment, a quarter of a second where torch is loaded.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
