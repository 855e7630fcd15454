"""The block structure of F F^T: where the energy of the covariance lies."""

from __future__ import annotations

from collections.abc import Mapping

from cwda.conditions.workspace import Workspace

__all__ = ["SHARES", "energy_shares"]

#: The columns of `energy_shares`, with what they mean.
SHARES: Mapping[str, str] = {
    "energy_diagonal": r"Share of $\lVert\Sigma\rVert^2$ on the diagonal; without bias, so that it "
    "may lie slightly outside 0 to 1.",
    "energy_within": "The same inside the blocks, off the diagonal.",
    "energy_between": "The same outside the blocks.",
    "effective_dim": r"Effective dimension, $\operatorname{tr}(\Sigma)^2 / "
    r"\operatorname{tr}(\Sigma^2)$; $d$ where all variances are equal and nothing correlates.",
}


def energy_shares(work: Workspace) -> dict[str, float]:
    """Shares of ||Sigma||^2 on the diagonal, inside and between the blocks, and d_eff.

    Each is a ratio of unbiased estimates and may fall slightly below 0 or above 1.
    """
    total = work.total
    within, between = (
        work.sums[name].total if name in work.sums else 0.0 for name in ("within", "between")
    )
    if total <= 0:
        return {"effective_dim": work.effective_dim}
    return {
        "energy_diagonal": (total - within - between) / total,
        "energy_within": within / total,
        "energy_between": between / total,
        "effective_dim": work.effective_dim,
    }
