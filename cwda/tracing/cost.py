"""What a network costs: parameters, multiply-adds, and the time of a forward pass.

One multiply-add counts once (many papers call this a FLOP). Convolutions and matrix products
are counted, biases, normalisation, activations and pooling are not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cwda.errors import SelectionError
from cwda.tracing.graph import evaluation_mode, reproducible, takes

__all__ = ["Cost", "Example", "Latency", "count", "example_input", "latency", "one_image"]

#: An input of a network, or the shape of one.
Example = Tensor | Sequence[int]


@dataclass(frozen=True)
class Cost:
    """The size of a network.

    Attributes
    ----------
    parameters : int
        Number of parameters, without buffers.
    flops : int
        Multiply-adds of convolutions and matrix products for one image.
    """

    parameters: int
    flops: int

    def saved(self, after: Cost) -> dict[str, float]:
        """The shares of parameters and multiply-adds that `after` no longer has."""
        return {
            name: 1 - getattr(after, name) / getattr(self, name) if getattr(self, name) else 0.0
            for name in ("parameters", "flops")
        }


@dataclass(frozen=True)
class Latency:
    """Time of one forward pass, in milliseconds.

    Attributes
    ----------
    median, low, high : float
        Median and quartiles of the repeats.
    repeats, batch : int
        Number of timed passes, and of images in each.
    device : str
        Where it was measured.
    """

    median: float
    low: float
    high: float
    repeats: int
    batch: int
    device: str


def example_input(model: nn.Module, example: Example) -> Tensor:
    """The input given, or a random one of the shape given, where and as the model's weights are.

    Whole numbers of 32 or 64 bits, such as those of words, stay what they are.

    Raises
    ------
    SelectionError
        If it is not a batch of images.
    """
    reference = next(model.parameters(), torch.empty(0))
    if not isinstance(example, Tensor | Sequence) or isinstance(example, str):
        raise SelectionError(
            "an example input is a tensor or its shape, such as (1, 3, 32, 32), not an object of "
            f"type {type(example).__name__}"
        )
    if not isinstance(example, Tensor):
        shape = tuple(example)
        if any(isinstance(size, Tensor) for size in shape):
            raise SelectionError("one example input is needed, a tensor or its shape, not several")
        if len(shape) < 2 or not all(isinstance(size, int) and size > 0 for size in shape):
            raise SelectionError(
                f"an example input has a shape such as (1, 3, 32, 32), batch first, not {shape}"
            )
        example = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    example = example.clone() if example.is_inference() else example
    words = example.dtype in (torch.int32, torch.int64)
    return example.to(reference.device, example.dtype if words else reference.dtype)


def one_image(model: nn.Module, batch: Tensor) -> Tensor:
    """The first image of a batch, or the batch where the model does not take an image alone."""
    one = batch[:1]
    return one if len(batch) == 1 or takes(model, one) else batch


def count(model: nn.Module, example: Example) -> Cost:
    """Count the parameters, and the multiply-adds of one image, while the model computes it.

    Parameters
    ----------
    model : nn.Module
        The network; it runs once, in evaluation mode, and stays as it is.
    example : Tensor or sequence of int
        An input or its shape, batch first; the first image is used, or all of them where the
        network does not take one alone, such as one that compares the halves of its batch.

    Examples
    --------
    >>> from cwda.models import cifar_resnet
    >>> from cwda.tracing import count
    >>> count(cifar_resnet(20), (1, 3, 32, 32))
    Cost(parameters=269722, flops=40551040)
    """
    from torch.utils.flop_counter import FlopCounterMode  # its imports take a while

    counter = FlopCounterMode(display=False)
    image = one_image(model, example_input(model, example))
    with evaluation_mode(model), reproducible(), torch.no_grad(), counter:
        model(image)
    parameters = sum(each.numel() for each in model.parameters())
    # The counter takes a multiply-add for two operations.
    return Cost(parameters, counter.get_total_flops() // 2)


def latency(model: nn.Module, example: Example, *, repeats: int = 30, warm_up: int = 5) -> Latency:
    """Time forward passes on the device of the model.

    Parameters
    ----------
    model : nn.Module
        The network, timed in evaluation mode and without gradients.
    example : Tensor or sequence of int
        An input or its shape, batch first; the whole batch is used.
    repeats, warm_up : int
        Timed passes, and passes before them.

    Returns
    -------
    Latency
        Median and quartiles: single passes are disturbed by whatever else runs.
    """
    if repeats < 1 or warm_up < 0:
        raise SelectionError(f"at least 1 timed pass is needed, not {repeats}")
    batch = example_input(model, example)

    def wait() -> None:
        if batch.is_cuda:  # kernels run on after the call returns
            torch.cuda.synchronize(batch.device)

    times = []
    with evaluation_mode(model), torch.inference_mode():
        for _ in range(warm_up):
            model(batch)
        for _ in range(repeats):
            wait()
            start = time.perf_counter()
            model(batch)
            wait()
            times.append(1000 * (time.perf_counter() - start))
    low, median, high = (
        statistics.quantiles(times, n=4, method="inclusive") if repeats > 1 else times * 3
    )
    return Latency(median, low, high, repeats, len(batch), str(batch.device))
