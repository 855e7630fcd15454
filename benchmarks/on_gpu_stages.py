"""Time per stage on a device beside what memory bandwidth and arithmetic allow at best.

The floors are lower bounds of the work that a stage cannot avoid: every weight, activation or
draw is written or read once in its precision, and the matrix products that its definition needs
are done once. They are divided by the bandwidth of a copy and the rate of a large matrix product
measured on the same device. A stage cannot be faster than the larger of the two; how often that
goes into its time says what there is to gain. Where it is more than three times, a profile says
which kernels take the time, and how often the processor waits for the device.
"""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import cwda
from benchmarks.networks import resnet18_shaped
from benchmarks.on_gpu_environment import card
from cwda.coupling import couple
from cwda.experiment.finetune import FineTuning, fine_tune
from cwda.layers import Network
from cwda.models import Images, build, initialise
from cwda.pruning import Masks, make_plan
from cwda.scoring import collect, scores
from cwda.tracing import count

__all__ = ["Device", "Stage", "Work", "time_stages"]

#: Layers drawn in a simulation, and in a dry run.
DRAWS, FEW = 200, 40
BARRED = "check() of a ResNet-18-shaped network"
#: Times the floor beyond which a stage is profiled.
PROFILED = 3
#: Seconds that check() may take of a ResNet-18-shaped network.
BAR = 0.050
_SHOWN = 8
#: Calls in which the processor waits for the device.
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
_READS = ("aten::_local_scalar_dense", "aten::nonzero")
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

    def __init__(self, device: torch.device) -> None:
        self.torch = device
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
        # Random numbers: products of constants draw less power and run faster than others would.
        a = torch.randn(size, size, device=self.torch).to(kind)
        return 2 * size**3 / self.seconds(lambda: a @ a)

    def floors(self, work: Work) -> tuple[float, float]:
        """Seconds for memory, and for arithmetic."""
        return work.bytes / self.bandwidth, work.flops / self.rates[work.precision]

    @property
    def title(self) -> str:
        rates = ", ".join(
            f"{rate / 1e12:.2f} TFLOP/s {str(kind).removeprefix('torch.')}"
            for kind, rate in self.rates.items()
        )
        return f"{card(self.torch)}: copy {self.bandwidth / 1e9:.0f} GB/s, matrix product {rates}"


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
    shaped = resnet18_shaped()
    return [
        Stage(BARRED, lambda: cwda.check(shaped, device=device), _once(shaped)),
        *_of_weights(network, device, small),
        *_of_images(model, images, shape, device),
        Stage(
            "one epoch of fine-tuning, mixed precision",
            _fine_tuning(model, images, coupling),
            Work(3 * _activations(model, shape) * n * 2, 6 * count(model, shape).flops * n,
                 torch.bfloat16),
        ),
    ]  # fmt: skip


def _once(network: Network) -> Work:
    """Every weight is read in float64, and one Gram matrix made of each layer."""
    gram = 2 * sum(layer.n_filters * layer.n_weights for layer in network)
    return Work(8 * network.n_weights, gram, torch.float64)


def _of_weights(network: Network, device: torch.device, small: bool) -> list[Stage]:
    once = _once(network)

    draws = FEW if small else DRAWS
    drawn = Work(2 * draws * once.bytes, draws * once.flops, torch.float64)

    def simulate() -> object:
        return cwda.theory.simulate(network, rungs="scale", draws=draws, device=device)

    return [
        Stage("check, eight conditions", lambda: cwda.check(network, device=device), once),
        Stage("norm-based criteria", lambda: scores(network, device=device), once),
        Stage("similarity of norm-based criteria",
              lambda: cwda.similarity(network, device=device), once),
        Stage("predicted similarity, closed form",
              lambda: cwda.theory.predict(
                  network, rungs="scale", device=device), once),
        Stage(f"simulated similarity, {draws} draws", simulate, drawn),
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
            return fine_tune(twin, masks, images, how, checkpoint=Path(folder) / "epoch.pt")

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


def time_stages(device: torch.device, small: bool) -> None:
    """Print one row per stage, then whether the bar is kept, then profiles of slow stages."""
    able = Device(device)
    print(able.title, end=".\n\n")
    print(f"Medians of {'one call' if small else 'three calls'} after one for warming up.\n")
    print("| stage | time | memory floor | arithmetic floor | times the floor | peak memory |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    slow, barred = [], float("nan")
    for stage in stages(device, small):
        try:
            took, peak = _timed(able, stage, 1 if small else 3)
        except Exception as error:  # one stage must not lose the others
            print(f"| {stage.name} | {type(error).__name__}: {str(error)[:120]} | | | | |")
            continue
        floors = able.floors(stage.work)
        cells = [_time(took), *map(_time, floors), f"{took / max(floors):.1f}", peak]
        print(f"| {stage.name} | {' | '.join(cells)} |", flush=True)
        if took > PROFILED * max(floors):
            slow.append(stage)
        if stage.name == BARRED:
            barred = took
    kept = "kept" if barred < BAR else "missed"
    print(f"\nThe bar, {BARRED} in under {_time(BAR)}, is {kept} ({_time(barred)}).")
    for stage in slow[:2] if small else slow:
        print(f"\nSlower than {PROFILED} times its floor: {stage.name}\n")
        _profile(device, stage)


def _timed(able: Device, stage: Stage, repeats: int) -> tuple[float, str]:
    """Seconds, and the peak of memory in words."""
    if able.torch.type != "cuda":
        return able.seconds(stage.call, repeats), ""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(able.torch)
    took = able.seconds(stage.call, repeats)
    return took, f"{torch.cuda.max_memory_allocated(able.torch) / 2**20:.0f} MiB"


def _profile(device: torch.device, stage: Stage) -> None:
    """Print where the time of one call goes, and how often the processor waits."""
    from torch.profiler import ProfilerActivity, profile

    cuda = device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=kinds) as profiled:
        stage.call()
        if cuda:
            torch.cuda.synchronize(device)
    events = profiled.key_averages()
    own = "self_device_time_total" if cuda else "self_cpu_time_total"
    top = sorted(events, key=lambda event: getattr(event, own), reverse=True)[:_SHOWN]
    print("| kernel | calls | time |")
    print("|---|---:|---:|")
    for event in top:
        name = event.key.replace("|", "/")[:90]
        print(f"| `{name}` | {event.count} | {_time(getattr(event, own) / 1e6)} |")
    counts = {event.key: event.count for event in events}
    words = [f"{counts[name]} x {name}" for name in (*_WAITS, *_READS) if name in counts]
    print(f"\nThe processor waits for the device: {', '.join(words) or 'never'}.", flush=True)


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"
