"""`cwda invariances`: which rankings depend on what BatchNorm leaves free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cwda.cli.analysis import measure_each
from cwda.cli.options import (
    Running,
    criteria_option,
    device_option,
    running_options,
    seed_option,
    summary_option,
)
from cwda.cli.output import Outputs, output_option
from cwda.cli.sources import SOURCES, Sources, source_options
from cwda.cli.verb import verb

if TYPE_CHECKING:
    from cwda.layers import Network
    from cwda.scoring import InvarianceResult

__all__ = ["invariances"]


@verb(
    "invariances",
    "Which rankings depend on what BatchNorm leaves free.",
    examples="""
        cwda invariances
        cwda invariances resnet18.pth --arch resnet18 --criteria l2,bn_gamma
        cwda invariances --criteria l2,taylor_l1,apoz --data cifar10.npz
    """,
    about_source=SOURCES,
)
@source_options
@criteria_option("Criteria to examine.")
@seed_option
@running_options
@device_option()
@output_option
@summary_option
def invariances(
    sources: Sources,
    criteria: list[str],
    seed: int,
    running: Running,
    device: str,
    output: Outputs,
    summary: bool,
) -> None:
    """Rank the filters again after changes of the weights that BatchNorm makes up for.

    Filters in front of BatchNorm are multiplied by random factors, each by its own, all of a
    layer by one, or some by -1; the network computes the same, which is checked. Shown is
    Spearman's rank correlation of the scores before and after.
    """
    import cwda
    from cwda.cli.evidence import calibration_images, read_data, resolve_criteria
    from cwda.cli.screen.show_invariances import show_invariances

    output.require()
    resolved = resolve_criteria(criteria)
    data = read_data(resolved, running)
    images = None if data is None else calibration_images(data, running)

    def measure(network: Network) -> InvarianceResult:
        key = sources.reading.get("weights_key")
        module = sources.origin(network).load_model(running.arch, key)
        result = cwda.scoring.invariances(
            module,
            resolved,
            data=images,
            batch_size=running.batch_size,
            seed=seed,
            device=device,
        )
        rows = tuple(replace(row, network=network.name) for row in result)
        return replace(result, rows=rows, networks=(network,))

    measure_each(sources, output, output.screen(summary), measure, show_invariances)
