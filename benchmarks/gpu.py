"""Time per stage on a GPU beside what memory bandwidth and arithmetic allow at best.

Run from the project's root:  python -m benchmarks.gpu [--device cpu] [--small]

The floors are lower bounds of the work that a stage cannot avoid: every weight, activation or
draw is written or read once in its precision, and the matrix products that its definition needs
are done once. They are divided by the bandwidth of a copy and the rate of a large matrix product
measured on the same device. A stage cannot be faster than the larger of the two; how often that
goes into its time says what there is to gain.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import cwda
from cwda.coupling import couple
from cwda.experiment.finetune import FineTuning, fine_tune
from cwda.layers import Network
from cwda.models import Images, build, initialise
from cwda.pruning import Masks, make_plan
from cwda.scoring import collect, scores
from cwda.tracing import count

DRAWS = 200
NEEDS = ("batchnorm", "activations", "gradients")


@dataclass(frozen=True)
class Work:
    """What a stage cannot avoid."""

    bytes: float
    flops: float
    precision: torch.dtype


@dataclass(frozen=True)
class Stage:
    """A call to time, and its work."""

    name: str
    call: Callable[[], object]
    work: Work


class Device:
    """A device and what it can do at best, measured."""

    def __init__(self, name: str) -> None:
        self.torch = torch.device(name)
        big = self.torch.type == "cuda"
        block = torch.empty(1 << (28 if big else 25), device=self.torch)
        target = torch.empty_like(block)
        self.bandwidth = 2 * 4 * block.numel() / self.seconds(lambda: target.copy_(block))
        self.rates = {
            kind: self._rate(kind, 8192 if big else 1024)
            for kind in (torch.float64, torch.float32, torch.bfloat16)
        }

    def seconds(self, call: Callable[[], object], repeats: int = 5) -> float:
        """Median time of a call after one that does not count."""
        times = []
        for _ in range(repeats + 1):
            self._wait()
            start = time.perf_counter()
            call()
            self._wait()
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:])

    def _wait(self) -> None:
        if self.torch.type == "cuda":
            torch.cuda.synchronize(self.torch)

    def _rate(self, kind: torch.dtype, size: int) -> float:
        a = torch.ones(size, size, dtype=kind, device=self.torch)
        return 2 * size**3 / self.seconds(lambda: a @ a)

    def floors(self, work: Work) -> tuple[float, float]:
        """Seconds for memory, and for arithmetic."""
        return work.bytes / self.bandwidth, work.flops / self.rates[work.precision]

    @property
    def title(self) -> str:
        kind = "CPU"
        if self.torch.type == "cuda":
            kind = torch.cuda.get_device_name(self.torch)
        rates = ", ".join(
            f"{rate / 1e12:.2f} TFLOP/s {str(kind).removeprefix('torch.')}"
            for kind, rate in self.rates.items()
        )
        return f"{kind}: copy {self.bandwidth / 1e9:.0f} GB/s, matrix product {rates}"


def stages(device: torch.device, small: bool) -> list[Stage]:
    """The stages, with a ResNet-50 (or CIFAR ResNet-20) and random images."""
    name, side, n = ("cifar_resnet20", 32, 128) if small else ("resnet50", 224, 256)
    model = build(name, num_classes=10)
    initialise(model, seed=0)
    model = model.to(device).eval()
    network = cwda.load(model)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=generator)
    images = Images(pixels, torch.arange(n) % 10)
    shape = (1, 3, side, side)
    coupling = couple(model, shape)
    return [
        *_of_weights(network, device),
        *_of_images(model, images, shape, device),
        Stage(
            "one epoch of fine-tuning, mixed precision",
            _fine_tuning(model, images, coupling),
            Work(3 * _activations(model, shape) * n * 2, 6 * count(model, shape).flops * n,
                 torch.bfloat16),
        ),
    ]  # fmt: skip


def _of_weights(network: Network, device: torch.device) -> list[Stage]:
    read = 8 * network.n_weights
    gram = 2 * sum(layer.n_filters * layer.n_weights for layer in network)
    once = Work(read, gram, torch.float64)
    drawn = Work(2 * DRAWS * read, DRAWS * gram, torch.float64)

    def simulate() -> object:
        return cwda.theory.simulate(network, rungs="scale", draws=DRAWS, device=device)

    return [
        Stage("check, six conditions", lambda: cwda.check(network, device=device), once),
        Stage("norm-based criteria", lambda: scores(network, device=device), once),
        Stage("similarity of norm-based criteria",
              lambda: cwda.similarity(network, device=device), once),
        Stage("predicted similarity, closed form",
              lambda: cwda.theory.predict(
                  network, rungs="scale", device=device), once),
        Stage(f"simulated similarity, {DRAWS} draws", simulate, drawn),
    ]  # fmt: skip


def _of_images(
    model: nn.Module, images: Images, shape: tuple[int, ...], device: torch.device
) -> list[Stage]:
    n, flops = len(images), 2 * count(model, shape).flops
    moved = 4 * _activations(model, shape) * n
    return [
        Stage(f"collect, {n} images of {shape[-1]}",
              lambda: collect(model, NEEDS, data=images, batch_size=64, device=device),
              Work(3 * moved, 3 * flops * n, torch.float32)),
        Stage(f"accuracy, {n} images of {shape[-1]}", lambda: cwda.accuracy(model, images),
              Work(moved, flops * n, torch.float32)),
    ]  # fmt: skip


def _fine_tuning(model: nn.Module, images: Images, coupling: object) -> Callable[[], object]:
    plan = make_plan(model, "l2", 0.3, coupling)  # type: ignore[arg-type]
    twin = copy.deepcopy(model)
    masks = Masks(twin, plan, coupling)  # type: ignore[arg-type]
    how = FineTuning(batch_size=64, learning_rate=1e-4)

    def call() -> object:
        with tempfile.TemporaryDirectory() as folder:
            return fine_tune(twin, masks, images, how, 0, Path(folder) / "epoch.pt")

    return call


def _activations(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Numbers that the convolutions write for one image: each is written and read once."""
    written = [0]

    def add(_: nn.Module, __: object, output: Tensor) -> None:
        written[0] += 2 * output.numel()

    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    hooks = [part.register_forward_hook(add) for part in convolutions]
    with torch.inference_mode():
        model(torch.zeros(shape, device=next(model.parameters()).device))
    for hook in hooks:
        hook.remove()
    return written[0]


def table(device: Device, small: bool) -> str:
    """The stages as a Markdown table."""
    lines = [device.title, ""]
    lines += ["| stage | time | memory floor | arithmetic floor | times the floor | peak memory |"]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    for stage in stages(device.torch, small):
        if device.torch.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device.torch)
        took = device.seconds(stage.call, repeats=3)
        floors = device.floors(stage.work)
        peak = ""
        if device.torch.type == "cuda":
            peak = f"{torch.cuda.max_memory_allocated(device.torch) / 2**20:.0f} MiB"
        cells = [_time(took), *map(_time, floors), f"{took / max(floors):.1f}", peak]
        lines.append(f"| {stage.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 ..., or cpu")
    parser.add_argument("--small", action="store_true", help="CIFAR ResNet-20, not ResNet-50")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device: nothing measured (--device cpu --small runs the same stages here)")
        sys.exit(0)
    print(table(Device(options.device), options.small))


if __name__ == "__main__":
    main()
