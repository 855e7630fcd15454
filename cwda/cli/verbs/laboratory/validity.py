"""`cwda validity`: whether criteria rank filters as the loss does when they are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cwda.cli.analysis import Steps, analysis
from cwda.cli.messages import note
from cwda.cli.options import (
    SHARE,
    Running,
    criteria_option,
    level_option,
    option,
    running_options,
    seed_option,
)
from cwda.cli.sources import Sources
from cwda.formatting import many

if TYPE_CHECKING:
    from cwda.comparison import Validity
    from cwda.layers import Network

__all__ = ["validity"]

#: From so many images times filters on it takes ten seconds and more in a small network.
_LONG = 100_000


@analysis(
    "validity",
    "Do scores rank filters by what their loss costs?",
    examples="""
        cwda validity --data cifar10.npz --layers 'layer3.*'
        cwda validity mine.pth --data photos/ --criteria l2,bn_gamma --samples 2048
    """,
)
@criteria_option("Criteria to examine, separated by commas.")
@option("--ratio", "Share of the filters removed together.", default=0.5, type=SHARE)
@level_option(0.95)
@seed_option
@running_options
def validity(
    sources: Sources,
    criteria: list[str],
    ratio: float,
    level: float,
    seed: int,
    running: Running,
    device: str,
) -> Steps:
    """Ask whether criteria rank filters as the loss does when they are removed.

    Each filter is removed by itself, on the images of --data; --layers says in which layers, for
    this takes hundreds of passes through the network. Random rankings are the zero.
    """
    from cwda.cli.evidence import Evidence, resolve_criteria
    from cwda.cli.screen.show_validity import show_validity
    from cwda.comparison.validation.options import Options
    from cwda.comparison.validation.validity import validity_of
    from cwda.scoring import get_criterion

    resolved = resolve_criteria(criteria)
    evidence = Evidence.of([get_criterion("oracle"), *resolved], sources, running, device)
    assert evidence.images is not None  # the oracle needs them
    images = evidence.images
    batch_size = max(1, min(running.batch_size, len(images) // 2))  # two halves at least
    options = Options(resolved, ratio, level, 1000, seed, batch_size, device)

    def measure(network: Network) -> Validity:
        model, network = evidence.model(network)
        filters = sum(layer.n_filters for layer in network)
        if filters * len(images) > _LONG:
            note(
                f"{network.name}: removing {many(filters, 'filter')} one by one, on "
                f"{many(len(images), 'image')}; with -v, a line now and then says how far it is"
            )
        return validity_of(model, network, images, options)

    return measure, show_validity
