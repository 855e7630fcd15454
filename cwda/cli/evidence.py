"""What criteria need beyond the weights, for the networks of a command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cwda.cli.options import Means
from cwda.cli.sources import Sources
from cwda.errors import CriterionError, CwdaError, SourceError
from cwda.layers import Network
from cwda.loading import load
from cwda.models.data import Images, read_images
from cwda.scoring.registry import Criterion
from cwda.scoring.statistics.collect import collect
from cwda.scoring.statistics.collected import Collected

__all__ = ["Evidence"]

#: Statistics that the network has without images.
_OF_THE_MODEL = frozenset({"batchnorm"})


@dataclass(frozen=True)
class Evidence:
    """Runs the networks whose criteria need more than weights.

    Attributes
    ----------
    demanding : sequence of Criterion
        The criteria that need more.
    sources : Sources
        Where the networks come from.
    arch : str or None
        Architecture of checkpoints whose keys do not tell.
    images : Images or None
        What to run the networks on.
    device : str
        Where.
    """

    demanding: Sequence[Criterion]
    sources: Sources
    arch: str | None
    images: Images | None
    device: str

    @classmethod
    def of(
        cls,
        criteria: Sequence[Criterion],
        sources: Sources,
        means: Means,
        device: str,
    ) -> Evidence:
        """The evidence that criteria need, with the images read if they need any.

        Raises
        ------
        CwdaError
            If a criterion needs images and there are none, or they cannot be read.
        """
        demanding = [each for each in criteria if each.needs]
        of_data = [each.name for each in demanding if each.needs - _OF_THE_MODEL]
        if of_data and not means.data:
            raise CriterionError(
                f"to score {' and '.join(of_data)}, images are needed; give --data PATH"
            )
        images = _images(means) if of_data else None
        return cls(demanding, sources, means.arch, images, device)

    def collect(self, network: Network) -> tuple[Network, Collected | None]:
        """The network and its statistics; None if the criteria need nothing but weights.

        Raises
        ------
        CwdaError
            If the network cannot be run, or lacks what a criterion needs in all its layers.
        """
        if not self.demanding:
            return network, None
        names = " and ".join(each.name for each in self.demanding)
        try:
            key = self.sources.how.get("weights_key")
            module = self.sources.origin(network).load_model(self.arch, key)
        except CwdaError as error:
            raise SourceError(
                f"{network.name}: to score {names}, the network itself is needed, not its weights "
                f"alone, and {error}"
            ) from error
        needs = frozenset[str]().union(*(each.needs for each in self.demanding))
        found = collect(module, needs, data=self.images, device=self.device)
        chosen = self.sources.selected(load(module, name=network.name))
        self._require(chosen, found)
        return chosen, found

    def _require(self, network: Network, found: Collected) -> None:
        layers = [found.layers[layer.name] for layer in network]
        for criterion in self.demanding:
            for need in sorted(criterion.needs):
                if all(need in layer.missing for layer in layers):
                    reason = layers[0].missing[need]
                    raise CriterionError(
                        f"{network.name}: {criterion.name} scores none of its layers: {reason}"
                    )


def _images(means: Means) -> Images:
    images = read_images(str(means.data), normalisation=means.normalisation).train
    return images if means.samples >= len(images) else images.sample(means.samples)
