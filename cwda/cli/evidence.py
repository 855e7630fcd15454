"""What criteria need beyond the weights, for the networks of a command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from cwda.arguments import choose
from cwda.cli.messages import note
from cwda.cli.options import Running, bad_usage
from cwda.cli.sources import Sources
from cwda.errors import CriterionError, CwdaError, SourceError
from cwda.formatting import listed, many
from cwda.layers import Network
from cwda.loading import load
from cwda.models.data import NORMALISATIONS, ImageData, Images, read_images, require_images
from cwda.scoring import Collected, Criterion, collect
from cwda.scoring.registry import resolve
from cwda.scoring.statistics.batchnorm import BATCHNORM

__all__ = [
    "Evidence",
    "calibration_images",
    "read_data",
    "require_normalisation",
    "resolve_criteria",
]


def resolve_criteria(names: Sequence[str], fewest: int = 1) -> list[Criterion]:
    """The criteria that an option names.

    Raises
    ------
    click.UsageError
        If one is unknown, or there are fewer than `fewest`.
    """
    with bad_usage():
        return resolve(names, fewest=fewest)


def require_normalisation(name: str | None) -> None:
    """Refuse an unknown name of --normalisation.

    Raises
    ------
    click.UsageError
        If it is unknown.
    """
    with bad_usage():
        choose(None if name is None else [name], NORMALISATIONS, "normalisation")


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
        Architecture of checkpoints whose keys do not tell it.
    images : Images or None
        What to run the networks on.
    device : str
        Where to run them.
    batch_size : int
        Images per batch.
    """

    demanding: Sequence[Criterion]
    sources: Sources
    arch: str | None
    images: Images | None
    device: str
    batch_size: int

    @classmethod
    def of(
        cls,
        criteria: Sequence[Criterion],
        sources: Sources,
        running: Running,
        device: str,
    ) -> Evidence:
        """The evidence that criteria need, with the images read if they need any.

        Raises
        ------
        CwdaError
            If a criterion needs images and there are none, or they cannot be read.
        """
        demanding = [criterion for criterion in criteria if criterion.needs]
        data = None
        if any(criterion.needs_images for criterion in criteria):
            data = read_data(criteria, running)
        else:
            _require_readable(running)
            if running.data:
                names = listed([criterion.name for criterion in criteria])
                need = "need" if len(criteria) > 1 else "needs"
                note(f"--data is not used: {names} {need} no images")
        images = None if data is None else calibration_images(data, running)
        return cls(demanding, sources, running.arch, images, device, running.batch_size)

    def require_halves(self) -> None:
        """Refuse images that come in one batch, for a verb that compares halves of them.

        Raises
        ------
        CwdaError
            If they do.
        """
        if self.images is None or len(self.images) > self.batch_size:
            return
        n = len(self.images)
        smaller = f", or --batch-size {max(1, n // 8)}" if n > 1 else ""
        raise CwdaError(
            f"{many(n, 'image')} in batches of {self.batch_size} {'are' if n > 1 else 'is'} one "
            f"batch, which has no halves to compare; give more images{smaller}"
        )

    def collect(self, network: Network) -> tuple[Network, Collected | None]:
        """The network and its statistics; None if the criteria need nothing but weights.

        Raises
        ------
        CwdaError
            If the network cannot be run, or lacks what a criterion needs in all its layers.
        """
        if not self.demanding:
            return network, None
        needs = frozenset[str]().union(*(criterion.needs for criterion in self.demanding))
        try:
            module, selected = self.model(network)
        except SourceError:
            if needs != {BATCHNORM.name} or self.arch is not None:
                raise
            # gamma and beta stand in the file, whether its architecture is known or not
            if any(layer.batchnorm for layer in network):
                return network, None
            raise CriterionError(self._without_batchnorm(network)) from None
        wanted = [layer.name for layer in selected]
        statistics = collect(
            module,
            needs,
            layers=wanted,
            data=self.images,
            batch_size=self.batch_size,
            device=self.device,
        )
        self._require(selected, statistics)
        return selected, statistics

    def model(self, network: Network) -> tuple[nn.Module, Network]:
        """The network as a model that runs, and its layers that are wanted.

        Raises
        ------
        CwdaError
            If the network cannot be run.
        """
        names = " and ".join(criterion.name for criterion in self.demanding)
        try:
            key = self.sources.reading.get("weights_key")
            module = self.sources.origin(network).load_model(self.arch, key)
        except CwdaError as error:
            raise SourceError(
                f"{network.name}: to score {names}, the network itself is needed, not its weights "
                f"alone, and {error}"
            ) from error
        return module, self.sources.selected(load(module, name=network.name))

    def _without_batchnorm(self, network: Network) -> str:
        names = listed([criterion.name for criterion in self.demanding])
        return (
            f"{network.name}: no BatchNorm was found behind its convolutions, whose parameters "
            f"{names} would read; if it has one under another name, give --arch NAME"
        )

    def _require(self, network: Network, statistics: Collected) -> None:
        layers = [statistics.layers[layer.name] for layer in network]
        for criterion in self.demanding:
            for need in sorted(criterion.needs):
                if all(need in layer.missing for layer in layers):
                    reason = layers[0].missing[need]
                    raise CriterionError(
                        f"{network.name}: {criterion.name} scores none of its layers: {reason}"
                    )


def read_data(criteria: Sequence[Criterion], running: Running) -> ImageData | None:
    """The images of --data; None without it.

    Raises
    ------
    CwdaError
        If criteria need images and there are none, or they cannot be read.
    """
    demanding = [criterion.name for criterion in criteria if criterion.needs_images]
    require_normalisation(running.normalisation)
    if running.data:
        return read_images(running.data, normalisation=running.normalisation)
    if demanding:
        raise CriterionError(
            f"to score filters by {' and '.join(demanding)}, images are needed; give --data PATH"
        )
    return None


def _require_readable(running: Running) -> None:
    """Refuse values of --data and --normalisation that are wrong, whether they are used or not."""
    require_normalisation(running.normalisation)
    if running.data:
        require_images(running.data)


def calibration_images(images: ImageData, running: Running) -> Images:
    """The training images that criteria are scored on."""
    train = images.train
    return train if running.samples >= len(train) else train.sample(running.samples)
