"""Modules in memory: the weights of their next forward pass, and nothing changed by reading."""

from __future__ import annotations

import collections
import copy
import io
import random
import types

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm
from torch.overrides import TorchFunctionMode

from cwda.errors import SourceError, UnreadableError
from cwda.loading import load

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*(weight|spectral)_norm.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.ao.quantization.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*(reduce_range|quantize_per|TypedStorage).*:UserWarning"),
]


class Clamp(nn.Module):
    def forward(self, weight):
        return weight.clamp(-0.1, 0.1)


class Counting(nn.Module):
    """Keeps a counter and a cache in plain attributes."""

    def __init__(self):
        super().__init__()
        self.calls, self.cache = 0, {}

    def forward(self, weight):
        self.calls += 1
        self.cache[self.calls] = weight
        return weight * 2


class Counter:
    calls = 0


class Dropped(nn.Module):
    def forward(self, weight):
        return weight * (torch.rand_like(weight) > 0.5)


class Standardised(nn.Conv2d):
    """Weight standardisation, as in timm's StdConv2d."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / weight.flatten(1).std(1).view(-1, 1, 1, 1)
        return F.conv2d(x, weight, self.bias, groups=self.groups)


def parametrised(*kinds):
    def apply(part):
        for kind in kinds:
            parametrize.register_parametrization(part, "weight", kind())
        return part

    return apply


def pruned_three_times(part):
    prune.random_unstructured(part, "weight", 0.3)
    prune.l1_unstructured(part, "weight", 0.5)
    return prune.ln_structured(part, "weight", 0.25, n=2, dim=0)


def renewed_by_a_hook(part):
    part.raw = nn.Parameter(part.weight.detach().clone())
    del part.weight
    part.weight = part.raw.detach() * 0

    def renew(module, _):
        part.calls += 1
        module.weight = module.raw.sign() * module.raw.abs().mean()

    part.calls = 0
    part.register_forward_pre_hook(renew)
    return part


def changed_in_place(part):
    def clamp(module, _):
        with torch.no_grad():
            module.weight.clamp_(-0.05, 0.05)

    part.register_forward_pre_hook(clamp)
    return part


def replaced_with_keywords(part):
    def triple(module, args, kwargs):
        module.weight.data = module.weight.data * 3
        return args, kwargs

    part.register_forward_pre_hook(triple, with_kwargs=True)
    return part


def with_an_own_forward(part):
    part.forward = types.MethodType(
        lambda self, x: F.conv2d(x, self.weight**3, groups=self.groups), part
    )
    return part


MAKERS = {
    "l1": lambda part: prune.l1_unstructured(part, "weight", 0.5),
    "custom mask": lambda part: prune.custom_from_mask(part, "weight", part.weight.abs() > 0.05),
    "three masks": pruned_three_times,
    "mask on a factor": lambda p: prune.l1_unstructured(weight_norm(p), "weight_v", 0.5),
    "weight norm": weight_norm,
    "weight norm, new": parametrizations.weight_norm,
    "spectral norm": spectral_norm,
    "spectral norm, new": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "chain": lambda p: parametrised(Clamp, Counting)(parametrizations.weight_norm(p)),
    "random": parametrised(Dropped),
    "hook": renewed_by_a_hook,
    "hook in place": changed_in_place,
    "hook with keywords": replaced_with_keywords,
    "own forward": with_an_own_forward,
}


def used_weights(module, x):
    """Weights that functional convolutions receive."""
    received = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func in (torch.conv1d, torch.conv2d, torch.conv_transpose2d):
                received.append(args[1].detach().clone())
            return func(*args, **(kwargs or {}))

    with Watch():
        module(x)
    return received


def everything(value):
    """All that hangs on a module: objects, values, memory and versions of tensors."""
    if isinstance(value, torch.Tensor):
        return (id(value), value.data_ptr(), value._version, value.detach().tolist())
    if isinstance(value, nn.Module):
        return (id(value), value.__class__, [everything(item) for item in vars(value).items()])
    if isinstance(value, dict):
        return [everything(item) for item in value.items()]
    if isinstance(value, tuple | list):
        return [everything(item) for item in value]
    return value if isinstance(value, int | float | str | bool) else id(value)


def random_states():
    return (
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
    )


@pytest.mark.parametrize("train", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("warm", [True, False], ids=["after a pass", "before"])
@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("kind", [nn.Conv2d, Standardised])
def test_weights_of_the_next_forward_pass(kind, maker, warm, train):
    torch.manual_seed(0)
    module = nn.Sequential(MAKERS[maker](kind(4, 6, 3, groups=2))).train(train)
    x = torch.randn(1, 4, 7, 7)
    if warm:
        module(x)
    before, states = everything(module), random_states()
    layer = load(module)["0"]
    assert everything(module) == before
    assert random_states() == states
    used = used_weights(module, x)[0]
    torch.testing.assert_close(layer.weight, used, equal_nan=True)  # a filter of zeros has no std
    assert layer.groups == 2


@pytest.mark.parametrize("apply", [spectral_norm, weight_norm, parametrizations.spectral_norm])
def test_transposed_and_one_dimensional(apply):
    torch.manual_seed(0)
    module = nn.Sequential(
        apply(nn.Conv1d(3, 8, 5, padding=2, padding_mode="reflect")),
        nn.Unflatten(2, (3, 3)),
        apply(nn.ConvTranspose2d(8, 6, 3, groups=2)),
    )
    layers = load(module).layers
    first, second = used_weights(module, torch.randn(1, 3, 9))
    torch.testing.assert_close(layers[0].weight, first)
    turned = second.view(2, 4, 3, 3, 3).transpose(1, 2).reshape(6, 4, 3, 3)
    torch.testing.assert_close(layers[1].weight, turned)


def test_a_pass_that_waits_for_its_gradients_still_gets_them():
    module = nn.Sequential(
        changed_in_place(nn.Conv2d(3, 4, 3)), parametrizations.spectral_norm(nn.Conv2d(4, 4, 3))
    )
    loss = module(torch.randn(1, 3, 8, 8)).sum()
    load(module)
    loss.backward()
    assert module[0].weight.grad is not None


def test_a_hook_that_belongs_to_the_network():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.count = nn.Conv2d(3, 4, 3), 0
            self.conv.register_forward_pre_hook(self.renew)

        def renew(self, *_):
            self.count += 1
            self.conv.weight.data.mul_(2)

    module = Net()
    weight = module.conv.weight.detach().clone()
    assert torch.equal(load(module)["conv"].weight, 2 * weight)
    assert torch.equal(module.conv.weight, weight)
    assert module.count == 0


def test_a_hook_that_needs_the_input_of_the_network_is_named():
    module = nn.Sequential(nn.Conv2d(3, 4, 3))
    module.register_forward_pre_hook(lambda *_: None)
    assert load(module).assumptions == (
        "the hooks before the forward pass of Sequential were not run: they need its input",
    )


def test_subclasses_whose_forward_pass_cannot_be_run_alone():
    class Styled(nn.Conv2d):
        def forward(self, x, style):
            return F.conv2d(x, self.weight * style)

    module = nn.Sequential(Styled(3, 4, 3))
    network = load(module)
    assert torch.equal(network["0"].weight, module[0].weight)
    assert "stored weight: the forward pass of Styled" in network.assumptions[0]


def test_subclasses_with_convolutions_inside_and_with_slices():
    class Offset(nn.Conv2d):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.offset = nn.Conv2d(*sizes)

        def forward(self, x):
            return self.offset(x) + super().forward(x)

    class Slim(nn.Conv2d):
        def forward(self, x):
            return F.conv2d(x[:, :2], self.weight[:3, :2])

    module = nn.Sequential(Offset(4, 4, 3), Slim(4, 8, 3))
    network = load(module)
    assert torch.equal(network["0"].weight, module[0].weight)
    assert torch.equal(network["0.offset"].weight, module[0].offset.weight)
    assert torch.equal(network["1"].weight, module[1].weight[:3, :2])


def test_a_broken_parametrisation_does_not_lose_the_others():
    class Broken(nn.Module):
        def forward(self, weight):
            if self.training:
                return weight
            raise RuntimeError("only for training")

    module = nn.Sequential(parametrised(Broken)(nn.Conv2d(3, 4, 3)), nn.Conv2d(4, 4, 3)).eval()
    network = load(module)
    assert [layer.name for layer in network] == ["1"]
    assert "RuntimeError: only for training" in network.skipped[0].reason


def test_other_modules_with_a_parametrised_weight():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

    module = nn.Sequential(
        parametrised(Clamp)(Own()), prune.l1_unstructured(Own(), "weight", 0.5), weight_norm(Own())
    )
    network = load(module)
    for layer, part in zip(network, module, strict=True):
        torch.testing.assert_close(layer.weight, part.weight.detach())


def test_pickled_modules_have_one_weight_a_layer(tmp_path):
    """Old hooks leave the weight of the last forward pass among the module's attributes."""
    module = nn.Sequential(
        weight_norm(nn.Conv2d(3, 4, 3)), prune.l1_unstructured(nn.Conv2d(4, 4, 3), "weight", 0.5)
    )
    with torch.no_grad():
        module[0].weight_g.mul_(2)
    torch.save(module, tmp_path / "m.pt")
    expected = load(module)
    for layer, other in zip(load(tmp_path / "m.pt"), expected, strict=True):
        assert layer.name == other.name
        torch.testing.assert_close(layer.weight, other.weight)


@pytest.mark.parametrize("apply", [parametrised(Clamp), MAKERS["chain"]])
def test_parametrisations_that_a_state_dict_cannot_tell_are_named(apply):
    module = nn.Sequential(apply(nn.Conv2d(3, 4, 3)), nn.Conv2d(4, 4, 3))
    if apply is MAKERS["chain"]:
        module[0].parametrizations.weight.append(nn.PReLU())
    network = load(module.state_dict())
    assert [layer.name for layer in network] == ["1"]
    assert all("give the module itself" in entry.reason for entry in network.skipped)


def test_wrapped_modules():
    def inner():
        return nn.Sequential(weight_norm(nn.Conv2d(3, 4, 3)), nn.Conv2d(4, 4, 3))

    # torch.compile keeps the module under this name.
    for module in (nn.DataParallel(inner()), nn.ModuleDict({"_orig_mod": inner()})):
        assert [layer.name for layer in load(module)] == ["0", "1"]


def test_weights_without_values_are_named():
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, device="meta"),
        parametrizations.weight_norm(nn.Conv2d(3, 4, 3, device="meta")),
        nn.LazyConvTranspose2d(4, 3),
        nn.Conv2d(4, 4, 3),
    )
    network = load(module)
    assert [layer.name for layer in network] == ["3"]
    reasons = {entry.name: entry.reason for entry in network.skipped}
    assert sorted(reasons) == ["0.weight", "1.weight", "2.weight"]
    assert "meta" in reasons["0.weight"]
    assert "meta" in reasons["1.weight"]
    assert "lazy" in reasons["2.weight"]


def scripted(kind):
    module = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, groups=4), nn.ConvTranspose2d(16, 8, 2, groups=2)
    ).eval()
    return torch.jit.script(module) if kind else torch.jit.trace(module, torch.randn(1, 3, 8, 8))


@pytest.mark.parametrize("kind", [True, False], ids=["scripted", "traced"])
def test_torchscript_in_memory_equals_its_file(tmp_path, kind):
    script = scripted(kind)
    script.save(tmp_path / "m.pt")
    expected = load(tmp_path / "m.pt")
    inside = nn.ModuleDict({"a": script})
    for module, prefix in ((script, ""), (torch.jit.load(tmp_path / "m.pt"), ""), (inside, "a.")):
        network = load(module)
        assert network.assumptions == expected.assumptions == ()
        for layer, other in zip(network, expected, strict=True):
            assert layer.name == prefix + other.name
            assert (layer.groups, layer.transposed) == (other.groups, other.transposed)
            assert torch.equal(layer.weight, other.weight)


@pytest.mark.parametrize("form", ["module", "state dict", "pickled", "scripted", "script file"])
def test_quantised_networks_say_so(tmp_path, form):
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("this processor has no fbgemm")
    quantisation = torch.ao.quantization
    module = nn.Sequential(quantisation.QuantStub(), nn.Conv2d(3, 8, 3)).eval()
    module.qconfig = quantisation.get_default_qconfig("fbgemm")
    prepared = quantisation.prepare(module)
    prepared(torch.randn(1, 3, 8, 8))
    module = quantisation.convert(prepared)
    source = module
    if form == "state dict":
        source = module.state_dict()
    elif form == "pickled":
        torch.save(module, tmp_path / "m.pt")
        source = tmp_path / "m.pt"
    elif form.startswith("script"):
        source = torch.jit.script(module)
        if form == "script file":
            source.save(tmp_path / "m.pt")
            source = tmp_path / "m.pt"
    with pytest.raises(UnreadableError, match=r"1\.weight .8 x 3 x 3 x 3.: quantised.*give the"):
        load(source)


class Shared(nn.Module):
    """One module under two attributes, one parameter in two layers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.first = self.stem
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3))
        self.again = self.body
        self.twin = nn.Conv2d(8, 8, 3)
        self.twin.weight = self.body[0].weight


@pytest.mark.parametrize("form", ["module", "state dict", "zip", "legacy", "pickled", "pickled l."])
def test_one_tensor_is_one_layer(tmp_path, form):
    model, path = Shared(), tmp_path / "m.pt"
    source = {"module": model, "state dict": model.state_dict()}.get(form, path)
    if source is path:
        saved = model if "pickled" in form else copy.copy(model.state_dict())
        torch.save(saved, path, _use_new_zipfile_serialization=form in ("zip", "pickled"))
    network = load(source)
    assert [layer.name for layer in network] == ["stem", "body.0"]
    assert network.assumptions[-1] == (
        "one tensor under several names is one layer: stem also as first; "
        "body.0 also as again.0, twin"
    )
    changed = {key: value.clone() for key, value in model.state_dict().items()}
    assert len(load(changed)) == 5  # equal values in memory of their own are layers of their own


def test_tied_weights_that_are_turned_in_one_of_two_layers_are_two():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 3, 3))
    module[1].weight = module[0].weight
    assert [layer.transposed for layer in load(module)] == [False, True]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (nn.Conv2d, r"Conv2d is a class.*load\(Conv2d\(\.\.\.\)\)"),
        (F.relu, r"relu is a function.*load\(relu\(\.\.\.\)\)"),
        (Shared().parameters(), "generator.*state_dict"),
        ([torch.zeros(1, 1, 3, 3)], "list.*mapping"),
        (io.BytesIO(), "open file; give its path"),
        (None, "NoneType"),
    ],
)
def test_wrong_types_say_what_to_give(source, words):
    with pytest.raises(SourceError, match=words):
        load(source)


class Partial(nn.Conv2d):
    """NVIDIA's partial convolution: the mask is convolved first, with ones."""

    def forward(self, x):
        update = F.conv2d(torch.ones_like(x), torch.ones_like(self.weight))
        return super().forward(x) / update


class Variational(nn.Conv2d):
    """Variance first, by parameters of its own or by the weight itself."""

    def __init__(self, *sizes, own=True):
        super().__init__(*sizes)
        self.weight_rho = nn.Parameter(torch.randn(self.weight.shape)) if own else None

    def forward(self, x):
        own = self.weight_rho is None
        variance = 0.1 * self.weight**2 if own else F.softplus(self.weight_rho)
        spread = F.conv2d(x**2, variance)
        return F.conv2d(x, self.weight * 0.5) + spread


class Normalised(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x.abs(), self.weight.abs()) + super().forward(x)


class Gated(nn.Conv2d):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.gate = nn.Parameter(torch.randn(self.weight.shape))

    def forward(self, x):
        return F.conv2d(x, self.gate).sigmoid() * F.conv2d(x, self.weight.tanh())


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight):
        return weight.sign() * weight.abs().mean()


class Binary(nn.Conv2d):
    def forward(self, x):
        mask = F.conv2d(torch.ones_like(x), torch.ones(self.weight.shape))
        return F.conv2d(x, Straight.apply(self.weight)) * mask


class Assembled(nn.Conv2d):
    """Written into an empty tensor, with a mask that is convolved before."""

    def forward(self, x):
        F.conv2d(x, torch.rand(self.weight.shape))
        weight = torch.empty_like(self.weight)
        weight[:2] = self.weight[:2] * 2
        weight[2:] = torch.stack([self.weight[2:], self.weight[2:]]).mean(0)
        return F.conv2d(x, weight)


class ThroughNumpy(nn.Conv2d):
    """Nothing tells where its weight is from but its values."""

    def forward(self, x):
        F.conv2d(x, torch.rand(self.weight.shape))
        return F.conv2d(x, torch.from_numpy(self.weight.detach().numpy() * 3))


class Hidden(nn.Conv2d):
    """Multiplies patches by its weight, and divides by their means."""

    def forward(self, x):
        means = F.conv2d(x.abs(), torch.ones_like(self.weight))
        patches = F.unfold(x, self.kernel_size)
        return (self.weight.flatten(1) @ patches).view(means.shape) / means


OWN_WEIGHTS = {
    Partial: lambda w: w,
    Variational: lambda w: w * 0.5,
    lambda *s: Variational(*s, own=False): lambda w: w * 0.5,
    Normalised: lambda w: w,
    Gated: lambda w: w.tanh(),
    Binary: lambda w: w.sign() * w.abs().mean(),
    ThroughNumpy: lambda w: w * 3,
    Hidden: lambda w: w,
    Assembled: lambda w: torch.cat([w[:2] * 2, w[2:]]),
}


@pytest.mark.parametrize("kind", OWN_WEIGHTS)
def test_of_several_convolutions_the_one_with_the_weight_of_the_layer(kind):
    module = nn.Sequential(kind(4, 6, 3))
    expected = OWN_WEIGHTS[kind](module[0].weight.detach())
    torch.testing.assert_close(load(module)["0"].weight, expected)


def test_a_layer_that_never_convolves_with_its_weight():
    class Mask(nn.Conv2d):
        def forward(self, x):
            return F.conv2d(torch.ones_like(x), torch.ones_like(self.weight))

    module = nn.Sequential(Mask(4, 6, 3))
    network = load(module)
    assert torch.equal(network["0"].weight, module[0].weight)
    assert "stored weight" in network.assumptions[0]
    assert "do not come from it" in network.assumptions[0]


def test_weights_that_are_equally_likely_are_named():
    class Twofold(nn.Conv2d):
        def forward(self, x):
            return F.conv2d(x, self.weight**2) + F.conv2d(x, self.weight.abs())

    assert "of 2 that it convolves with" in load(nn.Sequential(Twofold(4, 6, 3))).assumptions[0]


class Stateful(nn.Conv2d):
    """Keeps what it counts in objects of many kinds, and draws from generators of its own."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.torch, self.numpy = torch.Generator(), np.random.default_rng(0)
        self.python, self.legacy = random.Random(0), np.random.RandomState(0)
        self.plain = types.SimpleNamespace(n=0, tensor=torch.zeros(1), inner=Counter())
        self.array, self.queue = np.zeros(2), collections.deque([1], maxlen=3)
        self.pair = ([0], Counter())

    def states(self):
        counts = (self.plain.n, self.plain.tensor.item(), self.plain.inner.calls)
        others = (self.array.tolist(), list(self.queue), self.pair[0], self.pair[1].calls)
        drawn = (self.numpy.bit_generator.state, self.python.getstate())
        return [counts, others, drawn, self.torch.get_state().tolist(),
                self.legacy.get_state()[1].tolist()]  # fmt: skip

    def forward(self, x):
        for counter in (self.plain.inner, self.pair[1]):
            counter.calls += 1
        self.plain.n += 1
        self.plain.tensor += 1
        self.array += 1
        self.queue.append(2)
        self.pair[0][0] += 1
        self.python.random(), self.numpy.random(), self.legacy.random_sample()
        return F.conv2d(x, self.weight * torch.rand(1, generator=self.torch))


def test_states_of_a_layer_are_put_back():
    module = nn.Sequential(Stateful(4, 6, 3))
    before = copy.deepcopy(module[0].states())
    network = load(module)
    assert module[0].states() == before
    assert "draws the weight at random" in network.assumptions[1]


def test_gradients_are_put_back():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
    module(torch.randn(1, 3, 8, 8)).sum().backward()

    def without(part, _):
        part.weight.grad = None
        part.weight.requires_grad_(False)

    module[0].register_forward_pre_hook(without)
    module[1].register_forward_pre_hook(lambda part, _: part.weight.grad.zero_() and None)
    kept = [part.weight.grad for part in module]
    values = [gradient.clone() for gradient in kept]
    load(module)
    for part, gradient, value in zip(module, kept, values, strict=True):
        assert part.weight.grad is gradient
        assert torch.equal(gradient, value)
        assert part.weight.requires_grad
