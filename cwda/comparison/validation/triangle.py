"""`triangle`: similar, applicable, valid: the three questions about a ranking in one table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from cwda.answers import Answer, column, common
from cwda.arguments import require_type
from cwda.comparison.applicability import Applicability, LayerApplicability
from cwda.comparison.validation.result import LayerValidity, Validity
from cwda.errors import CwdaError
from cwda.scoring.catalogue import RANDOM
from cwda.scoring.similarity import SimilarityResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SIMILAR", "LayerTriangle", "Triangle", "triangle"]

#: Criteria whose scores correlate above it are called similar, as in the paper.
SIMILAR = 0.9


@dataclass(frozen=True)
class LayerTriangle:
    """One criterion in one layer: like which others, able to tell filters apart, and right?"""

    network: str = common("network")
    layer: str = common("layer")
    criterion: str = common("criterion")
    similar_to: str = column(
        "the other criteria whose scores have a Spearman coefficient above .9 with its own, "
        "separated by blanks"
    )
    similarity: float = column("median Spearman coefficient with the other criteria")
    applicability: str = column("verdict of `applicability`; empty if it was not asked")
    validity: str = column("verdict of `validity`; empty if it was not asked")
    spearman: float = column("Spearman's coefficient with the oracle")
    disattenuated: float = column("the same without noise of the images")
    regret: float = column("what its selection costs: 0 as the oracle's, 1 as a random one")
    n_filters: int = common("n_filters")
    reason: str = column("why a number is missing; empty otherwise")


@dataclass(frozen=True, eq=False, repr=False)
class Triangle(Answer[LayerTriangle]):
    """Similar, applicable, valid: one row per layer and criterion.

    Attributes
    ----------
    criteria : tuple of str
        The criteria.
    """

    criteria: tuple[str, ...] = field(kw_only=True)

    row: ClassVar[type] = LayerTriangle

    def summary(self) -> pd.DataFrame:
        """One row per criterion.

        Columns: ``criterion, layers``; ``similar``, the layers in which another criterion is
        similar to it; ``discriminates`` and ``valid``, those in which it does and is; ``all``,
        those in which all three hold; medians of ``similarity``, ``disattenuated``, ``regret``.
        """
        import pandas as pd

        rows = []
        for criterion, group in self.table.groupby("criterion", sort=False):
            similar = group["similar_to"] != ""
            discriminates = group["applicability"] == "discriminates"
            valid = group["validity"] == "valid"
            rows.append(
                {
                    "criterion": criterion,
                    "layers": len(group),
                    "similar": int(similar.sum()),
                    "discriminates": int(discriminates.sum()),
                    "valid": int(valid.sum()),
                    "all": int((similar & discriminates & valid).sum()),
                    **{n: group[n].median() for n in ("similarity", "disattenuated", "regret")},
                }
            )
        return pd.DataFrame(rows)

    def title(self) -> str:
        """The network and the criteria."""
        return (
            f"{', '.join(self.criteria)} in {self.networks[0].name}: similar to others, able to "
            "tell filters apart, right about their loss"
        )


def triangle(
    similarity: SimilarityResult, applicability: Applicability, validity: Validity
) -> Triangle:
    """Join the answers to three questions that are often taken for one.

    Criteria can be *similar* and wrong together; *applicable*, with scores that a fresh draw
    would repeat, and wrong all the same; *valid* while their scores lie too close to select by.

    Parameters
    ----------
    similarity : SimilarityResult
        From `cwda.similarity`.
    applicability : Applicability
        From `cwda.applicability`.
    validity : Validity
        From `cwda.validity`, for the same network. The layers and criteria are its own; the other
        two may know fewer or more.

    Raises
    ------
    CwdaError
        If one is something else, or they are about different networks.

    Examples
    --------
    >>> import torch
    >>> import cwda
    >>> name, layer = "resnet20-cifar10", "layer3.2.conv2"
    >>> images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> joined = cwda.comparison.triangle(
    ...     cwda.similarity(name, ["l1", "l2"]),
    ...     cwda.applicability(name, ["l1", "l2"]),
    ...     cwda.validity(
    ...         name, ["l1", "l2"], data=(images, torch.arange(8)), layers=layer, batch_size=4
    ...     ),
    ... )
    >>> joined.table[["criterion", "similar_to", "applicability"]].values.tolist()
    [['l1', 'l2', 'cannot discriminate'], ['l2', 'l1', 'cannot discriminate']]
    """
    require_type(similarity, SimilarityResult, "what cwda.similarity gives")
    require_type(applicability, Applicability, "what cwda.applicability gives")
    require_type(validity, Validity, "what cwda.validity gives")
    names = [answer.networks[0].name for answer in (similarity, applicability, validity)]
    if len(set(names)) > 1:
        raise CwdaError(f"the three answers are about {', '.join(names)}; take one network")
    coefficients = _coefficients(similarity)
    applicable = {(row.layer, row.criterion): row for row in applicability.rows}
    rows = tuple(
        _row(row, coefficients.get((row.layer, row.criterion), {}), applicable)
        for row in validity.rows
        if row.criterion != RANDOM
    )
    criteria = tuple(name for name in validity.criteria if name != RANDOM)
    return Triangle(rows, validity.networks, level=validity.level, criteria=criteria)


def _coefficients(similarity: SimilarityResult) -> dict[tuple[str, str], dict[str, float]]:
    """By layer and criterion, the coefficients with the other criteria that have one."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in similarity.rows:
        for own, other in (
            (row.criterion_a, row.criterion_b),
            (row.criterion_b, row.criterion_a),
        ):
            if not math.isnan(row.spearman):
                found.setdefault((row.layer, own), {})[other] = row.spearman
    return found


def _row(
    valid: LayerValidity,
    coefficients: Mapping[str, float],
    applicable: Mapping[tuple[str, str], LayerApplicability],
) -> LayerTriangle:
    import statistics

    at = applicable.get((valid.layer, valid.criterion))
    reasons: dict[str, Any] = {} if coefficients else {"no similarity of it was measured": None}
    if valid.reason:
        reasons[valid.reason] = None
    return LayerTriangle(
        network=valid.network,
        layer=valid.layer,
        criterion=valid.criterion,
        similar_to=" ".join(name for name, value in coefficients.items() if value > SIMILAR),
        similarity=statistics.median(coefficients.values()) if coefficients else math.nan,
        applicability=at.verdict if at else "",
        validity=valid.verdict,
        spearman=valid.spearman,
        disattenuated=valid.disattenuated,
        regret=valid.regret,
        n_filters=valid.n_filters,
        reason="; ".join(reasons),
    )
