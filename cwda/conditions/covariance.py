"""The block structure of F F^T: where the energy of the covariance lies."""

from __future__ import annotations

from cwda.conditions.workspace import Workspace

__all__ = ["energy_shares"]


def energy_shares(space: Workspace) -> dict[str, float]:
    """Shares of ||Sigma||^2 on the diagonal, inside and between the blocks, and d_eff.

    Each is a ratio of unbiased estimates and may fall slightly below 0 or above 1.
    """
    total, within, between = (
        float(kernel.sum()) if kernel is not None else 0.0
        for kernel in (space.kernels.total, space.kernels.within, space.kernels.between)
    )
    if total <= 0:
        return {"effective_dim": space.effective_dim}
    return {
        "energy_diagonal": (total - within - between) / total,
        "energy_within": within / total,
        "energy_between": between / total,
        "effective_dim": space.effective_dim,
    }
