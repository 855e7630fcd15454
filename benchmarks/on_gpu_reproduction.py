"""A paper computed anew on a GPU: `cwda reproduce huang2021` with its full schedule.

Scores and trials are kept in a folder as they are done: the next run goes on there.
"""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path

import torch

from cwda.experiment import FineTuning
from cwda.models import cifar_resnet, initialise
from cwda.models.data import ImageData
from cwda.reproduction import Schedule, Step, reproduce

__all__ = ["reproduce_paper"]

#: What a dry run does.
SMALL = Schedule(
    "a dry run",
    (Step("free", "layerwise", (0.5,), (0.5,)), Step("free", "global", (0.5,))),
    ("l1", "l2", "random"),
    FineTuning(epochs=1, batch_size=32),
    64,
    64,
)


def reproduce_paper(
    weights: Sequence[Path],
    data: ImageData | None,
    *,
    dry_run: bool,
    folder: Path,
    device: torch.device,
    seconds: float,
) -> None:
    """Print the verdicts, and leave the documents and what was measured in an archive.

    Parameters
    ----------
    weights : sequence of Path
        Trained networks; the built-in one if there are none.
    data : ImageData, optional
        Images; without them the parts that need some say so.
    dry_run : bool
        A small untrained network on random images.
    folder : Path
        Where scores and trials are kept; what is done there is not done again.
    seconds : float
        Time after which no step of the experiments is begun.
    """
    sources: list[object] = [*weights] or ["resnet20-cifar10"]
    if dry_run:
        model = cifar_resnet(8)
        initialise(model, seed=0)
        sources, data = [model], _random_images()
    found = reproduce(
        "huang2021",
        sources,  # type: ignore[arg-type]
        data=[data] if data else [],
        schedule=SMALL if dry_run else "full",
        output=[folder.with_suffix(".pdf"), folder.with_suffix(".html")],
        folder=folder,
        minutes=max(seconds, 0) / 60,
        date="",
        command="python -m benchmarks.on_gpu --steps reproduction",
        device=device,
        progress=False,
    )
    print("| part | statement | found | verdict | based on |")
    print("|---|---|---|---|---|")
    for row in found:
        cells = [row.part, row.claim, row.ours or row.reason, row.verdict, row.basis]
        print(f"| {' | '.join(cells)} |")
    packed = folder.with_suffix(".tar")
    with tarfile.open(packed, "w") as archive:
        archive.add(folder, folder.name)
    print(f"\nKept in {packed.name}.")


def _random_images() -> ImageData:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (96, 3, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.arange(len(pixels)) % 10
    return ImageData(pixels[:64], labels[:64], pixels[64:], labels[64:])
