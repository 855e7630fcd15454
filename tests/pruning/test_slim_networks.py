"""Slim networks are what their originals were: class, training, arguments, other batches, files."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cwda.errors import CwdaError
from cwda.models import cifar_resnet
from cwda.pruning import make_plan, masked, remove
from cwda.tracing import count
from tests.helpers.forward_passes import Padded, PaddedBlock
from tests.helpers.models import built

IMAGE = (1, 3, 12, 12)
CIFAR = (1, 3, 32, 32)


def _images(count=4):
    return torch.randn(count, 3, 12, 12, generator=torch.Generator().manual_seed(3))


def _slim(model, example=IMAGE):
    plan = make_plan(model, "l2", 0.5, example)
    found = remove(model, plan, example)
    assert plan.after == found.after
    assert found.after.flops < 0.9 * found.before.flops
    return found.model, masked(model, plan, example)


def _written_and_read(model):
    file = io.BytesIO()
    torch.save(model, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=False)


def test_a_slim_network_with_paddings_keeps_its_class_training_and_arguments():
    model = built(Padded)
    slim, _ = _slim(model)
    assert isinstance(slim, Padded)
    assert type(slim).__name__ == "Padded"
    assert slim.get_submodule("unused").weight.shape == model.unused.weight.shape
    with torch.random.fork_rng(devices=[]):
        assert torch.equal(slim(_images()), slim(_images()))
        slim.train()
        assert not torch.equal(slim(_images()), slim(_images()))  # dropout
        assert isinstance(slim(_images(), 1), tuple)  # the auxiliary output
    assert slim(_images(), features=True).shape == (4, 8)


@pytest.mark.parametrize("copied", [_written_and_read, copy.deepcopy])
@pytest.mark.parametrize(
    ("make", "shape"), [(Padded, IMAGE), (lambda: cifar_resnet(8), CIFAR)], ids=["own", "built-in"]
)
def test_a_slim_network_is_read_again(make, shape, copied):
    slim, _ = _slim(built(make), shape)
    again = copied(slim)
    images = torch.ones(2, *shape[1:])
    assert torch.equal(again(images), slim(images))
    smaller, twin = _slim(again, shape)  # and pruned again
    assert torch.allclose(smaller(images), twin(images), atol=1e-5)


def test_paddings_within_paddings_and_parts_used_twice():
    model = built(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            PaddedBlock(4, 8, inner=PaddedBlock(4, 4)),
            PaddedBlock(8, 12),
            nn.Conv2d(12, 2, 1),
        )
    )
    slim, twin = _slim(model)
    assert torch.allclose(slim(_images()), twin(_images()), atol=1e-5)


class OfBatches(nn.Module):
    """What it computes depends on how many images there are."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(16, 4)

    def forward(self, x):
        y = F.pad(F.relu(self.b(F.relu(self.a(x)))), (0, 0, 0, 0, 4, 4)).mean((2, 3))
        if x.shape[0] > 1:
            y = y - y.mean(0, keepdim=True)
        return torch.cat([self.last(y[i : i + 1]) for i in range(x.shape[0])])


class Pairs(nn.Module):
    """The halves of a batch are compared; one image alone has no halves."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Linear(8, 4)

    def forward(self, x):
        one, other = (self.b(F.relu(self.a(half))).mean((2, 3)) for half in x.chunk(2, 0))
        return self.last((one - other).abs())


@pytest.mark.parametrize("make", [OfBatches, Pairs])
def test_examples_of_several_images_are_taken_as_they_are(make):
    model = built(make)
    slim, twin = _slim(model, (4, *IMAGE[1:]))
    assert torch.allclose(slim(_images()), twin(_images()), atol=1e-5)
    assert slim(_images()).shape == model(_images()).shape


def test_what_goes_wrong_with_several_images_alone_is_seen():
    class Counts(OfBatches):
        """Of a batch it uses the number of filters."""

        def forward(self, x):
            y = F.relu(self.a(x))
            y = self.last(self.b(y).mean((2, 3)).repeat(1, 2))
            return y * self.a.out_channels ** len(x[1:])

    model = built(Counts)
    plan = make_plan(model, {"a": torch.arange(8.0)}, 0.5, (2, *IMAGE[1:]))
    remove(model, plan, IMAGE)
    with pytest.raises(CwdaError, match="outputs differ"):
        remove(model, plan, (2, *IMAGE[1:]))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20, 6)
        self.a, self.b, self.last = nn.Conv1d(6, 8, 3), nn.Conv1d(8, 8, 3), nn.Linear(8, 2)

    def forward(self, x):
        x = self.words(x).transpose(1, 2)
        return self.last(F.relu(self.b(F.relu(self.a(x)))).amax(2))


def test_words_stay_whole_numbers():
    words = torch.arange(24).reshape(2, 12) % 20
    slim, twin = _slim(built(Words), words)
    assert torch.allclose(slim(words), twin(words), atol=1e-5)


class Video(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.last = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3), nn.Linear(16, 4)

    def forward(self, x):
        frames = self.last(self.b(self.a(x.flatten(0, 1))).mean((2, 3)))
        return frames.view(x.shape[0], x.shape[1], -1).mean(1)


class Views(Video):
    """Each image, and the same turned round."""

    def forward(self, x):
        y = self.last(self.b(self.a(torch.cat([x, x.flip(3)], 0))).mean((2, 3)))
        return y[: x.shape[0]] + y[x.shape[0] :]


@pytest.mark.parametrize(("make", "shape"), [(Video, (2, 5, 3, 12, 12)), (Views, (2, 3, 12, 12))])
def test_layers_that_see_several_images_for_one_cost_as_many(make, shape):
    model = built(make)
    plan = make_plan(model, "l2", 0.3, shape, measure="flops", strategy="global")
    assert 0.3 <= plan.shares["flops"] < 0.4
    assert plan.before == count(model, shape)
    assert plan.after == remove(model, plan, shape).after


def test_tied_layers_are_planned_by_the_name_of_a_criterion():
    model = built(lambda: nn.Sequential(*[nn.Conv2d(a, b, 1) for a, b in SIZES]))
    model[2].weight = model[1].weight
    plan = make_plan(model, "l2", 0.5, IMAGE)
    assert {*plan.pruned} == {"0", "1", "2"}
    assert plan.pruned["1"] == plan.pruned["2"]
    slim = remove(model, plan, IMAGE).model
    assert slim[2].weight is slim[1].weight
    assert slim[1].weight.shape[:2] == (4, 4)


SIZES = ((3, 8), (8, 8), (8, 8), (8, 2))
