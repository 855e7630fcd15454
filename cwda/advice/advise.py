"""`advise`: from the likeness and the power of criteria to what a researcher should do."""

from __future__ import annotations

from typing import Any

from cwda.advice.agreement import agree
from cwda.advice.clusters import SAME
from cwda.advice.groups import Found, cluster_rows, pair_rows
from cwda.advice.images import images_of
from cwda.advice.layers import differences_of, judged, layer_advice
from cwda.advice.result import Advice
from cwda.advice.scales import scale_advice
from cwda.advice.sentences import sentences
from cwda.arguments import require_between, require_type
from cwda.comparison import Validity, applicability
from cwda.errors import SelectionError
from cwda.loading.source import Source
from cwda.models.batches import Data
from cwda.progress import showing
from cwda.scoring import NORM_BASED, Collected, reliability
from cwda.scoring.preparation import prepare
from cwda.scoring.registry import Criteria, resolve
from cwda.scoring.scores import score_network
from cwda.sharing import sharing
from cwda.typing import Device

__all__ = ["advise"]


def advise(
    source: Source,
    criteria: Criteria = NORM_BASED,
    *,
    ratio: float = 0.5,
    same: float = SAME,
    level: float = 0.95,
    validity: Validity | None = None,
    data: Data | Collected | None = None,
    batch_size: int = 128,
    device: Device = "auto",
    progress: bool = True,
) -> Advice:
    """Say what to prune a network by, at one ratio.

    Criteria whose pruned sets agree by `same` or more, beyond chance and beyond the noise of the
    images, form a cluster; the cheapest of each stands for the others. A criterion that differs by
    noise alone has no cluster of its own: more images are asked for. The criterion advised is
    the stand-in of the cheapest cluster, of several that of the largest. Layers in which no
    criterion can tell filters apart are named, and whether a global ranking needs normalising.

    Parameters
    ----------
    source : Network, or anything that `cwda.load` takes
        What to prune: a name, file, Module, layer or array N x k^2 x N'; criteria beyond the
        weights need a name, file or Module that runs.
    criteria : str, Criterion or iterable of these
        Names in `cwda.criteria()`, or criteria. `random` is the zero and is never advised.
    ratio : float
        Share of filters to prune, between 0 and 1.
    same : float
        The kappa from which two criteria stand for one another: at .75, and a ratio of 1/2, seven
        of eight pruned filters are the same.
    level : float
        Confidence level of the intervals.
    validity : Validity, optional
        What `cwda.validity` gave for this network: how far rankings agree with the loss when
        filters are removed. The stand-in whose pooled coefficient is highest is then advised, if
        its interval lies above the coefficient of the cheapest cluster and above 0.
    data, batch_size
        What criteria that need activations or gradients run a Module on; the same as in
        `cwda.similarity`.
    device : str or torch.device
        Where to compute, in float64.
    progress : bool
        Show a bar while it takes long.

    Returns
    -------
    Advice
        Its ``.sentences`` are the advice in words, ``.criterion`` and ``.normalise`` what to hand
        to `cwda.make_plan`; ``.table`` has one row per layer.

    Raises
    ------
    CriterionError
        If a criterion is unknown; the message names the nearest.
    SelectionError
        If the ratio or the threshold does not lie between 0 and 1.
    CwdaError
        If the level or the device is impossible.

    References
    ----------
    Huang et al. (2021), sections 3 and 4: similarity and applicability. Cohen (1960), A
    coefficient of agreement for nominal scales, Educational and Psychological Measurement 20.

    Examples
    --------
    >>> import cwda
    >>> advice = cwda.advise("resnet20-cifar10", ["l1", "l2", "gm"], ratio=0.5)
    >>> advice.criterion
    'l2'
    >>> advice.cluster_table[["criteria", "stand_in"]].values.tolist()
    [['l1, l2, gm', 'l2']]
    """
    require_between(ratio, 0, 1, "a pruning ratio", SelectionError)
    require_between(
        same, 0, 1, "same, the agreement from which criteria are alike,", SelectionError
    )
    require_between(level, 0, 1, "level")
    if validity is not None:
        require_type(validity, Validity, "validity, an answer of cwda.validity,")
    resolved = resolve(criteria)
    with showing(progress), sharing():
        network, collected = prepare(
            source, resolved, data=data, batch_size=batch_size, device=device
        )
        scored = list(score_network(network, resolved, device, collected.layers))
        asked: dict[str, Any] = {
            "ratio": ratio,
            "level": level,
            "data": collected,
            "device": device,
        }
        looking = [criterion for criterion in resolved if criterion.needs_images]
        found = Found(
            network,
            tuple(resolved),
            tuple(scored),
            judged(applicability(network, resolved, **asked)),
            images_of(reliability(network, looking, **asked) if looking else None),
            validity,
        )
    return _advice(found, ratio, same, level)


def _advice(found: Found, ratio: float, same: float, level: float) -> Advice:
    """The answer, from what was measured."""
    network, names = found.network, found.names
    differences = differences_of(found.scored, ratio, found.images.changed, len(names))
    agreement = agree(differences, level)
    groups = cluster_rows(found, agreement, same)
    pairs = pair_rows(found, agreement, same)
    chosen = next((row for row in groups if row.advised), None)
    advised = chosen.stand_in if chosen else ""
    cluster = [names.index(name) for name in chosen.members] if chosen else []
    layers = layer_advice(
        network.name, found.scored, differences, found.verdicts, cluster, advised, same
    )
    scales, normalise = scale_advice(network, found.scored, ratio, cluster, advised, same)
    return Advice(
        tuple(layers),
        (network,),
        level=level,
        sentences=tuple(
            sentences(network.name, ratio, same, groups, pairs, layers, scales, found.images.number)
        ),
        clusters=tuple(groups),
        pairs=tuple(pairs),
        scales=tuple(scales),
        criterion=advised,
        normalise=normalise,
        criteria=names,
        ratio=ratio,
        same=same,
        images=found.images.number,
    )
