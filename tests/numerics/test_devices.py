"""Tensors on a GPU stay there, on machines without one.

PyTorch's FakeTensorMode computes shapes and devices, not values, and pretends to have CUDA: work
that mixes devices raises. Where a value is asked for, which on a GPU waits for all queued work,
`Pretended` hands out one and notes the function: each test says which functions may do so.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from cwda.conditions import CONDITIONS
from cwda.conditions.workspace import Workspace
from cwda.coupling import couple
from cwda.filters.norm_moments import norm_moments
from cwda.layers import ConvLayer
from cwda.models import Images, cifar_resnet, initialise
from cwda.numerics.combination import cauchy_combination
from cwda.numerics.distances import descent
from cwda.numerics.distances.cityblock import cityblock_sums
from cwda.numerics.distances.geometry import Geometry
from cwda.numerics.normality.anderson_darling import _knots
from cwda.numerics.normality.energy_image import energy_image
from cwda.numerics.normality.henze_zirkler import henze_zirkler
from cwda.numerics.normality.layers import marginals
from cwda.numerics.normality.pooled_ks import pooled_ks
from cwda.numerics.normality.shapiro_wilk import shapiro_wilk_weights
from cwda.numerics.pairs.kernels import pair_kernels
from cwda.numerics.ranking.concentration import concentration
from cwda.numerics.ranking.overlap import lowest_overlap, rank_biased_overlap
from cwda.numerics.ranking.rank_intervals import spearman_interval
from cwda.numerics.ranking.ranks import ascending, kendall, midranks, spearman
from cwda.numerics.spread import constant, spread
from cwda.pruning import make_plan
from cwda.pruning.masks import Masks
from cwda.scoring.filters import Filters
from cwda.scoring.registry import resolve
from cwda.scoring.statistics.collect import collect
from cwda.theory.log_scores.score_moments import importance_scores
from cwda.theory.model import _fitted

N, CHANNELS, KERNEL = 24, 6, 9

#: What asks whether filters crowd, and what asks which sets of filters have arrived.
DISTANCES = {"Geometry", "recompute", "_recompute_crowd"}
MEDIAN = {*DISTANCES, "geometric_median", "descend", "_State", "_with"}
CUDA = torch.device("cuda", 0)
aten = torch.ops.aten
_CURRENT: list[Pretended] = []


class Pretended(TorchDispatchMode):
    """Answers where a value is asked for, and notes who asks.

    Parameters
    ----------
    number : int
        The answer where a whole number is asked for; others are 1.0 and true.
    """

    def __init__(self, number: int = 1) -> None:
        super().__init__()
        self.number = number
        self.places: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is aten._local_scalar_dense.default:
            if args[0].device.type == "cuda":
                self.places.append(_asking())
            kind = args[0].dtype
            return kind is torch.bool or (1.0 if kind.is_floating_point else self.number)
        if func is aten.nonzero.default:  # its shape is a value
            self.places.append(_asking())
            return torch.zeros(1, args[0].ndim, dtype=torch.int64, device=args[0].device)
        if func in (aten.index.Tensor, aten.index_put_.default):
            args = (args[0], self._as_numbers(args[1]), *args[2:])
        return func(*args, **(kwargs or {}))

    def _as_numbers(self, indices):
        """Masks as the indices of one element."""
        numbers = []
        for index in indices:
            if index is not None and index.dtype is torch.bool:
                self.places.append(_asking())
                zero = torch.zeros(1, dtype=torch.int64, device=index.device)
                numbers += [zero] * index.ndim
            else:
                numbers.append(index)
        return numbers


def _asking() -> str:
    """The function of the package that is at work."""
    frame = sys._getframe(2)
    while frame.f_back and "/cwda/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return frame.f_code.co_qualname


@pytest.fixture(autouse=True)
def _values_of_pretended_tensors(monkeypatch):
    """`numpy` gives numbers, if the tensor is on the CPU; `tolist` ones, or zeros as indices."""

    def numpy(self: FakeTensor, **options) -> np.ndarray:
        if self.device.type != "cpu":
            raise TypeError("can't convert a CUDA tensor to numpy; use Tensor.cpu() first")
        # Not all equal: filters that do not vary are refused.
        numbers = 1 + np.arange(self.numel()) % 7 / 7
        return numbers.reshape(tuple(self.shape)).astype(str(self.dtype).removeprefix("torch."))

    def tolist(self: FakeTensor) -> object:
        if self.device.type == "cuda":
            _CURRENT[-1].places.append(_asking())
        value = 1.0 if self.dtype.is_floating_point else 0
        return np.full(tuple(self.shape), value).tolist()

    monkeypatch.setattr(FakeTensor, "numpy", numpy, raising=False)
    monkeypatch.setattr(FakeTensor, "tolist", tolist, raising=False)


def readers(work: Callable[[], object], number: int = 1) -> list[str]:
    """Functions that ask for values on the pretended device, in their order."""
    shapiro_wilk_weights(N)  # kept between calls, and a pretended one must not be
    with FakeTensorMode(allow_non_fake_inputs=True), Pretended(number) as pretended:
        _CURRENT.append(pretended)
        try:
            work()
        finally:
            _CURRENT.pop()
            _knots.cache_clear()  # kept between calls as well
    return pretended.places


def draw(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float64, device=CUDA)


def layer() -> ConvLayer:
    return ConvLayer("conv", torch.empty(N, CHANNELS, 3, 3, device=CUDA))


@pytest.mark.parametrize(
    "work",
    [
        lambda: pair_kernels(draw(N, CHANNELS, KERNEL)),
        lambda: marginals(draw(N, 50), ["moments", "ks"]),
        lambda: marginals(draw(50, N), ["shapiro_wilk"]),
        lambda: henze_zirkler(draw(N, CHANNELS, KERNEL)),
        lambda: energy_image(draw(N, 54), 4),
        lambda: cityblock_sums(draw(N, 54)),
        *(
            lambda function=function: function(draw(4, N))
            for function in (ascending, midranks, spearman, kendall, spearman_interval, spread)
        ),
        lambda: rank_biased_overlap(draw(4, N)),
        lambda: lowest_overlap(draw(4, N), 0.5),
        lambda: constant(draw(4, N)),
        lambda: cauchy_combination(draw(4, N)),
    ],
    ids=[
        "pair_kernels",
        "marginals",
        "shapiro_wilk",
        "henze_zirkler",
        "energy_image",
        "cityblock_sums",
        "ascending",
        "midranks",
        "spearman",
        "kendall",
        "spearman_interval",
        "spread",
        "rank_biased_overlap",
        "lowest_overlap",
        "constant",
        "cauchy_combination",
    ],
)
def test_numerics_that_never_wait(work):
    assert readers(work) == []


def test_moments_of_norms_leave_the_device_once():
    assert readers(lambda: norm_moments(draw(CHANNELS, KERNEL, KERNEL))) == ["norm_moments"]


@pytest.mark.parametrize(
    ("work", "allowed"),
    [
        (lambda: marginals(draw(N, 50), ["anderson_darling"]), {"weighted_log_sum"}),
        (
            lambda: pooled_ks(draw(N, 54)),
            {
                *("pooled_ks", "_jumps", "_scale_limit", "_cross_fitted"),
                *("Pooled", "SortedWeights", "_largest"),
            },
        ),
        (lambda: Geometry(draw(N, 54)).distances, DISTANCES),
        (lambda: Geometry(draw(3, N, 54)).median, MEDIAN),
        (lambda: importance_scores(draw(3, N, 54)), MEDIAN),
        (lambda: concentration(draw(N, 54)), {"concentration", *DISTANCES}),
    ],
    ids=[
        "anderson_darling",
        "pooled_ks",
        "distances",
        "median",
        "importance_scores",
        "concentration",
    ],
)
def test_numerics_that_decide_by_values(work, allowed, monkeypatch):
    monkeypatch.setattr(descent, "_NEWTON_STEPS", 2)  # pretended values never arrive
    assert {name.split(".")[0] for name in readers(work)} <= allowed


@pytest.fixture
def _no_guards(monkeypatch):
    """Pretended values are those of no layer: they are not asked whether they can be judged."""
    for name in ("SMALLEST_REST", "LOWEST_STATISTIC"):
        monkeypatch.setattr(sys.modules["cwda.conditions.workspace"], name, -math.inf)
    distinctness = sys.modules["cwda.conditions.built_in.distinctness"]
    monkeypatch.setattr(distinctness, "RAREST", math.inf)
    monkeypatch.setattr(sys.modules["cwda.filters.norm_shape"], "FEWEST_DIMENSIONS", -math.inf)


@pytest.mark.usefixtures("_no_guards")
@pytest.mark.parametrize("name", [*CONDITIONS])
def test_a_condition_stays_on_the_device(name):
    condition = CONDITIONS[name]

    def work():
        assert condition.measure(Workspace(layer(), CUDA, 0.9, condition.needs)) is not None

    readers(work)


@pytest.mark.parametrize("name", ["l1", "l2", "gm", "gm_cityblock", "random"])
def test_scores_of_the_weights(name):
    """Whether the weights and the scores are finite are the two questions."""
    (criterion,) = resolve([name])
    found = readers(lambda: criterion(Filters.of(layer(), CUDA)))
    own = [place for place in found if place.split(".")[0] not in DISTANCES]
    assert own == ["Filters.of", "Criterion.__call__"]


@pytest.mark.usefixtures("_no_guards")
def test_a_layer_is_fitted_on_the_device():
    def work():
        fitted = _fitted(layer(), CUDA)
        assert fitted.sigma.blocks.device == fitted.mean.device == CUDA

    readers(work, number=N)


def test_a_step_of_fine_tuning_never_waits():
    """The backward pass is left out: autograd needs a real CUDA device."""
    shape = (1, 3, 32, 32)
    coupling = couple(cifar_resnet(8), shape)
    model = cifar_resnet(8)
    initialise(model, seed=0)
    plan = make_plan(model, "l2", 0.5, coupling)

    def work():
        with torch.device(CUDA):
            twin = cifar_resnet(8)
        masks = Masks(twin, plan, coupling)
        optimizer = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9, nesterov=True)
        assert twin(torch.empty(4, 3, 32, 32, device=CUDA)).device == CUDA
        for parameter in twin.parameters():
            parameter.grad = torch.empty_like(parameter)
        optimizer.step()
        masks.enforce()

    assert readers(work) == []


def test_a_pass_over_images_asks_for_no_value(monkeypatch):
    """Of activations; for gradients, autograd needs a real CUDA device."""
    module = sys.modules["cwda.scoring.statistics.collect"]
    monkeypatch.setattr(module, "replica_of", lambda model, device: model.eval())
    images = Images(torch.zeros(8, 3, 32, 32, dtype=torch.uint8), torch.arange(8) % 4)

    def work():
        with torch.device(CUDA):
            model = cifar_resnet(8, num_classes=4)
        needs = ["activations", "batchnorm"]
        found = collect(model, needs, data=images, batch_size=4, device=CUDA, progress=False)
        assert len(found.layers) == 7

    assert readers(work) == []


def test_devices_that_mix_are_caught():
    with pytest.raises(RuntimeError, match="two devices"):
        readers(lambda: spread(draw(4, N) + torch.zeros(4, N)))


def test_values_that_are_asked_for_are_noticed():
    assert readers(lambda: Geometry(draw(N, 54)).distances) != []
    with pytest.raises(TypeError, match=r"Tensor\.cpu"):
        readers(lambda: draw(3).numpy())
