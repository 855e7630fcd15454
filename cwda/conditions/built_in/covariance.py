"""The block structure of F F^T: where the energy of the covariance lies."""

from __future__ import annotations

from collections.abc import Mapping

from cwda.conditions.workspace import Workspace

__all__ = ["SHARES", "energy_shares"]

#: The columns of `energy_shares`, with what they mean.
SHARES: Mapping[str, str] = {
    "energy_diagonal": r"Share of $\lVert\Sigma\rVert^2$ on the diagonal. The three shares are "
    "made of estimates without bias; where one of these is negative, its share is 0.",
    "energy_within": "The same inside the blocks, off the diagonal.",
    "energy_between": "The same outside the blocks.",
    "effective_dim": r"Effective dimension, $\operatorname{tr}(\Sigma)^2 / "
    r"\operatorname{tr}(\Sigma^2)$; $d$ where all variances are equal and nothing correlates. "
    "Empty where the filters are orthogonal.",
}


def energy_shares(work: Workspace) -> dict[str, float]:
    """Shares of ||Sigma||^2 on the diagonal, inside and between the blocks, and d_eff."""
    diagonal = work.squared_variances.value
    within = max(work.squared_within.value, 0.0) if work.layer.kernel_size > 1 else 0.0
    between = max(work.squared_between.value, 0.0) if work.layer.channels > 1 else 0.0
    total = diagonal + within + between
    return {
        "energy_diagonal": diagonal / total,
        "energy_within": within / total,
        "energy_between": between / total,
        "effective_dim": work.effective_dim,
    }
