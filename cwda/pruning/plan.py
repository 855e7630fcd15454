"""A pruning plan: which filters go, as data that can be saved, compared and applied."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cwda.arguments import as_path
from cwda.choices import Measure, Strategy
from cwda.errors import PlanError, SelectionError
from cwda.files import whole_file
from cwda.pruning.plan_content import FORMAT, validated
from cwda.tracing.cost import Cost

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Plan", "overlap", "require_plan"]


@dataclass(frozen=True)
class Plan:
    """The filters that one criterion prunes from a network at one ratio.

    Attributes
    ----------
    network, criterion : str
        What was ranked, and by what.
    strategy : {"layerwise", "global"}
        One ranking per layer, or one for all.
    normalise : str or None
        How the scores of a layer were scaled before a global ranking.
    ratio : float
        The share requested.
    n_filters : dict of str to int
        Number of filters of each layer that was ranked.
    pruned : dict of str to tuple of int
        For each of these layers the indices of its pruned filters, the first pruned first.
    skipped : dict of str to str
        The layers that could not be ranked or pruned, with the reason; none of their filters
        is pruned or counted.
    measure : {"filters", "parameters", "flops"}
        What `ratio` is a share of.
    combine : str or None
        How the scores of tied filters became one; None if ties were not looked at.
    minimum : int
        Filters that each layer keeps at least.
    flagged : tuple of str
        Layers that would have lost more, and were kept at the minimum.
    before, after : Cost or None
        Parameters and multiply-adds, before and after removal; None without a model.
    share_changed : float or None
        Share of the pruned filters that another draw of as many images would spare; None where
        the criterion needs no images, or they came in one batch.
    """

    network: str
    criterion: str
    strategy: Strategy
    normalise: str | None
    ratio: float
    n_filters: Mapping[str, int]
    pruned: Mapping[str, tuple[int, ...]]
    skipped: Mapping[str, str]
    measure: Measure = "filters"
    combine: str | None = None
    minimum: int = 0
    flagged: tuple[str, ...] = ()
    before: Cost | None = None
    after: Cost | None = None
    share_changed: float | None = None

    @property
    def shares(self) -> dict[str, float]:
        """Share pruned of the ranked filters, and of parameters and flops where known."""
        total = sum(self.n_filters.values())
        filters = sum(map(len, self.pruned.values())) / total if total else 0.0
        if self.before is None or self.after is None:
            return {"filters": filters}
        return {"filters": filters, **self.before.saved(self.after)}

    @property
    def achieved(self) -> float:
        """The share that is pruned, of the same measure as `ratio`."""
        return self.shares[self.measure]

    @property
    def emptied(self) -> tuple[str, ...]:
        """The layers that lose all their filters, which cuts the network in two."""
        return tuple(
            name for name, pruned in self.pruned.items() if len(pruned) == self.n_filters[name]
        )

    @property
    def table(self) -> pd.DataFrame:
        """One row per layer.

        Columns: ``network, layer, n_filters, pruned, share, emptied, flagged, reason``.
        """
        import pandas as pd

        rows = []
        for layer in (*self.n_filters, *self.skipped):
            n, pruned = self.n_filters.get(layer, 0), len(self.pruned.get(layer, ()))
            rows.append(
                {
                    "network": self.network,
                    "layer": layer,
                    "n_filters": n,
                    "pruned": pruned,
                    "share": pruned / n if n else float("nan"),
                    "emptied": 0 < n == pruned,
                    "flagged": layer in self.flagged,
                    "reason": self.skipped.get(layer, ""),
                }
            )
        return pd.DataFrame(rows)

    def to_json(self) -> str:
        """The plan as JSON.

        Examples
        --------
        >>> import numpy as np
        >>> from cwda.pruning import Plan, select
        >>> plan = select(np.array([[[3.0, 0.0, 1.0], [4.0, 1.0, 0.5]]]), "l2", 0.4)
        >>> Plan.from_json(plan.to_json()) == plan
        True
        """
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote.

        Raises
        ------
        PlanError
            If the text is not a plan, or the plan contradicts itself.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise PlanError(f"not a pruning plan: not JSON ({error})") from None
        return cls(**validated(content))

    def save(self, path: str | Path) -> None:
        """Write the plan to a JSON file, whole or not at all.

        Raises
        ------
        CwdaError
            If the file cannot be written; it is then as it was.
        """
        with whole_file(as_path(path)) as partial:
            partial.write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan from a JSON file.

        Raises
        ------
        PlanError
            If there is no such file, or it does not hold a plan.
        """
        path = as_path(path)
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PlanError(f"{path}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError:
            raise PlanError(f"{path}: not a pruning plan: not text") from None
        except PlanError as error:
            raise PlanError(f"{path}: {error}") from None

    def _repr_html_(self) -> str:
        shown: str = self.table.drop(columns="network").round(3).to_html(index=False, border=0)
        return f"<p>{html.escape(repr(self))}</p>{shown}"

    def __repr__(self) -> str:
        scaled = f", scores by {self.normalise}" if self.normalise else ""
        of = "" if self.measure == "filters" else f" of {self.measure}"
        shares = self.shares
        others = [
            f"{share:.1%} of {name}" for name, share in shares.items() if name != self.measure
        ]
        also = f" ({', '.join(others)})" if others else ""
        notes = "".join(
            f", {what}: {', '.join(names)}"
            for what, names in (("emptied", self.emptied), ("kept at the minimum", self.flagged))
            if names
        )
        skipped = f", {len(self.skipped)} layers skipped" if self.skipped else ""
        changed = self.share_changed
        if changed:
            skipped += f", {changed:.0%} of them others with other images"
        return (
            f"Plan({self.network!r}, {self.criterion}, {self.strategy}{scaled}, "
            f"{self.achieved:.1%} of {self.ratio:.1%} asked for{of}{also}{notes}{skipped})"
        )


def require_plan(plan: object) -> None:
    """Refuse anything that is not a plan.

    Raises
    ------
    PlanError
        If it is of another type.
    """
    if not isinstance(plan, Plan):
        raise PlanError(
            f"a Plan is needed, as cwda.make_plan gives it, not an object of type "
            f"{type(plan).__name__}"
        )


def overlap(a: Plan, b: Plan) -> float:
    """Jaccard index of the filters that two plans prune; NaN if both prune none.

    Raises
    ------
    PlanError
        If one is not a plan.
    SelectionError
        If they are plans for networks with different layers.

    Examples
    --------
    >>> import numpy as np
    >>> from cwda.pruning import overlap, select
    >>> array = np.random.default_rng(0).normal(size=(16, 9, 64))
    >>> round(overlap(select(array, "l1", 0.5), select(array, "l2", 0.5)), 3)
    0.778
    """
    require_plan(a)
    require_plan(b)
    if _layers(a) != _layers(b):
        raise SelectionError(f"plans for {a.network!r} and {b.network!r} have different layers")
    both = sum(
        len(set(pruned).intersection(b.pruned.get(name, ()))) for name, pruned in a.pruned.items()
    )
    together = sum(len(set(pruned)) for one in (a, b) for pruned in one.pruned.values()) - both
    return both / together if together else float("nan")


def _layers(plan: Plan) -> set[str]:
    return {*plan.n_filters, *plan.skipped}
