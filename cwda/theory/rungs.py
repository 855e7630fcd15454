"""The ladder: each rung is the fitted layer with what its model does not know switched off.

From one rung to the next one departure is added: the variances of the positions, their
correlations, the scales of the filters. The last one depends on what is predicted. Rank
correlations have `CROSS_FITTED`, which is no model of the filters: it has the moments of their
log-scores, measured on halves of the filters and averaged over them. Norms, distances and angles
have `MEAN`. Predictions take the layer that a rung hands back, and know nothing of rungs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch

from cwda.arguments import choose
from cwda.errors import CwdaError, is_ours, reason_of
from cwda.sharing import shared
from cwda.theory.model import FittedLayer, Sigma

__all__ = [
    "BLOCK",
    "CROSS_FITTED",
    "DIAGONAL",
    "FILTER_LADDER",
    "FRESH",
    "GEOMETRY_LADDER",
    "ISOTROPIC",
    "LADDER",
    "MEAN",
    "SCALE",
    "Rung",
    "Rungs",
    "Switch",
    "choose_rungs",
    "rung_meaning",
    "with_measured_noise",
    "without_correlations",
    "without_mean",
    "without_scale",
    "without_scores",
    "without_variances",
]

#: What changes a fitted layer: most switch something off.
Switch: TypeAlias = Callable[[FittedLayer], FittedLayer]


@dataclass(frozen=True)
class Rung:
    """A model of the filters of a layer: what of the fitted layer it knows.

    Attributes
    ----------
    name : str
        Its name in tables and on the command line.
    words : str
        What it says of the filters.
    switches : tuple of callable
        Functions FittedLayer -> FittedLayer, applied in this order.
    only : str
        All that it predicts; empty if that is everything.

    Examples
    --------
    Filters of different scale and one variance for all weights:

    >>> from cwda.layers import ConvLayer
    >>> from cwda.theory import fit_layer
    >>> rung = Rung("round", "of different scale, isotropic", (without_mean, without_variances))
    >>> weight = torch.randn(64, 16, 3, 3, generator=torch.Generator().manual_seed(0))
    >>> round(rung(fit_layer(ConvLayer("conv", weight))).moments.effective_dim)
    144
    """

    name: str
    words: str
    switches: tuple[Switch, ...] = field(default=(), repr=False)
    only: str = field(default="", kw_only=True, repr=False)

    def __call__(self, fitted: FittedLayer) -> FittedLayer:
        """The layer as this model knows it.

        Raises
        ------
        CwdaError
            If a switch of the user's own fails, or gives something else than a fitted layer.
        """
        return shared((Rung, *self.switches, fitted), lambda: self._switched(fitted))

    def _switched(self, fitted: FittedLayer) -> FittedLayer:
        for switch in self.switches:
            try:
                fitted = switch(fitted)
            except Exception as error:
                if is_ours(switch):
                    raise
                reason = f"{type(error).__name__}: {reason_of(error)}"
                raise CwdaError(f"a switch of rung {self.name!r} fails ({reason})") from error
            if not isinstance(fitted, FittedLayer):
                raise CwdaError(
                    f"a switch of rung {self.name!r} gives an object of type "
                    f"{type(fitted).__name__}, not a FittedLayer"
                )
        return fitted


def without_scores(fitted: FittedLayer) -> FittedLayer:
    """The filters with no moments of scores but those that follow from their model."""
    return replace(fitted, scores=None)


def without_mean(fitted: FittedLayer) -> FittedLayer:
    """Filters of mean 0, and no measured scores: theirs have the mean in them."""
    return replace(
        without_scores(fitted),
        mean=torch.zeros_like(fitted.mean),
        mean_signal=0.0,
        mean_energy=0.0,
    )


def without_correlations(fitted: FittedLayer) -> FittedLayer:
    """Independent weights, each position with its own variance."""
    return replace(fitted, sigma=Sigma(torch.diag_embed(fitted.sigma.variances)))


def without_variances(fitted: FittedLayer) -> FittedLayer:
    """Independent weights of one variance."""
    variances = fitted.sigma.variances
    equal = variances.mean().expand_as(variances)
    return replace(fitted, sigma=Sigma(torch.diag_embed(equal)))


def without_scale(fitted: FittedLayer) -> FittedLayer:
    """Filters of one scale, with the mean energy of the layer, n d unit^2 in all.

    Comes after what changes Sigma: the mean of log q depends on the effective dimension.
    """
    log_energy = math.log(fitted.dim) - 2 * fitted.moments.l2_relative
    return replace(
        fitted, log_scale_variance=0.0, log_energies=np.full(fitted.n_filters, log_energy)
    )


def with_measured_noise(fitted: FittedLayer) -> FittedLayer:
    """Norms that scatter at one scale as the parts of the filters show, whatever their law.

    What that takes from the variance of the log-norms is no difference in scale.
    """
    noise = fitted.measured_noise
    scale = max(fitted.log_norm_variance - noise.l2, 0.0)
    return replace(fitted, noise=noise, log_scale_variance=scale)


ISOTROPIC = Rung(
    "isotropic",
    "one variance for all weights",
    (without_mean, without_variances, without_scale),
)
DIAGONAL = Rung(
    "diagonal",
    "unequal variances",
    (without_mean, without_correlations, without_scale),
)
#: CWDA as the paper states it.
BLOCK = Rung("block", "the assumption in full", (without_mean, without_scale))
SCALE = Rung("scale", "filters differ in scale", (without_mean,))
#: What filters of these scales would show in a fresh draw, whatever the law of their weights.
#: Moments and draws are those of normal weights, so this is not on the ladder.
FRESH = Rung(
    "fresh", "filters differ in scale, noise as measured", (without_mean, with_measured_noise)
)
#: No model of the filters: the moments of their log-scores, measured on halves of the filters.
CROSS_FITTED = Rung(
    "cross-fitted",
    "moments of the log-scores, measured on halves of the filters",
    only="rank correlations",
)
MEAN = Rung(
    "mean",
    "filters differ in scale and share a mean",
    (without_scores,),
    only="norms, distances and angles",
)

#: Models of the filters, each with one departure more than the one before.
FILTER_LADDER = (ISOTROPIC, DIAGONAL, BLOCK, SCALE)

#: What predicts rank correlations: these models, and the moments as measured.
LADDER = (ISOTROPIC, DIAGONAL, BLOCK, SCALE, CROSS_FITTED)

#: What predicts norms, distances and angles.
GEOMETRY_LADDER = (*FILTER_LADDER, MEAN)

_BUILT_IN = (*LADDER, MEAN)

#: Rungs as public functions take them: names of the ladder, or objects.
Rungs: TypeAlias = "str | Rung | Iterable[str | Rung]"


def rung_meaning(ladder: Sequence[Rung]) -> str:
    """What the column `rung` of a table holds.

    Examples
    --------
    >>> rung_meaning(LADDER[:2])
    'model that predicts, a rung of the ladder: `isotropic`, `diagonal`'
    """
    return "model that predicts, a rung of the ladder: " + ", ".join(
        f"`{rung.name}`" for rung in ladder
    )


def choose_rungs(rungs: Rungs | None, ladder: Sequence[Rung] = LADDER) -> tuple[Rung, ...]:
    """The rungs asked for: the whole ladder by default, in its order, and others after it.

    Raises
    ------
    CwdaError
        If a name is unknown (the message names the nearest), two rungs share one, or a rung
        predicts something else only.

    Examples
    --------
    >>> [rung.name for rung in choose_rungs(["scale", "block"])]
    ['block', 'scale']
    """
    by_name = {rung.name: rung for rung in ladder}
    asked: object = [rungs] if isinstance(rungs, str | Rung) else rungs
    if isinstance(asked, Iterable):
        asked = list(asked)
        _require_of(ladder, [rung for rung in asked if isinstance(rung, str | Rung)])
        asked = [_name(rung, by_name) for rung in asked]
    return tuple(by_name[name] for name in choose(asked, by_name, "rung"))


def _require_of(ladder: Sequence[Rung], asked: Sequence[str | Rung]) -> None:
    """Refuse the built-in rungs that predict something else than this ladder does."""
    for rung in _BUILT_IN:
        if rung not in ladder and (rung in asked or rung.name in asked):
            raise CwdaError(
                f"rung {rung.name!r} predicts {rung.only} and nothing else; choose from "
                + ", ".join(each.name for each in ladder)
            )


def _name(rung: object, by_name: dict[str, Rung]) -> object:
    """Its name; a rung of the user's own joins the known ones under it."""
    if not isinstance(rung, Rung):
        return rung
    if by_name.setdefault(rung.name, rung) is not rung:
        raise CwdaError(f"two rungs are called {rung.name!r}; give yours another name")
    return rung.name
