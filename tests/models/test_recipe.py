"""Recipes: who they are, what they change, and which are refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import cwda.models.loop as loop
from cwda.errors import CwdaError
from cwda.models.data import ImageData
from cwda.models.resnet import cifar_resnet, initialise
from cwda.models.train import CHECKPOINT, Recipe, run_epochs, train

RECIPE = Recipe(depth=8, epochs=1, batch_size=16, learning_rate=0.01, seed=1)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)

    def images(n):
        return torch.from_numpy(rng.integers(0, 256, (n, 3, 16, 16), dtype=np.uint8))

    return ImageData(images(32), torch.arange(32) % 10, images(10), torch.arange(10) % 10)


def weights(recipe, data, folder):
    *_, last = run_epochs(recipe, data, folder=folder)
    return torch.cat([p.detach().flatten() for p in last.model.parameters()])


def test_the_identity_depends_on_every_attribute():
    changes = {
        "depth": 8, "epochs": 2, "batch_size": 5, "learning_rate": 0.2, "momentum": 0.5,
        "weight_decay": 0.0, "seed": 9, "optimizer": "adam", "initialisation": "orthogonal",
        "task": "random", "augment": False, "width": 8, "training_images": 7, "pooling": 2,
    }  # fmt: skip
    assert set(changes) == set(Recipe.__dataclass_fields__)
    recipes = [Recipe(), *(replace(Recipe(), **{k: v}) for k, v in changes.items())]
    assert len({recipe.identity for recipe in recipes}) == len(recipes)


def test_the_identity_of_the_default_recipe_stays():
    # sha256 of "{}": an attribute with a default that is added later must not change it
    assert Recipe().identity == "44136fa355b3"


def test_a_checkpoint_from_before_an_attribute_existed_is_continued(data, tmp_path):
    whole = weights(replace(RECIPE, epochs=2), data, tmp_path / "whole")
    run = run_epochs(replace(RECIPE, epochs=2), data, folder=tmp_path / "old")
    assert [next(run).number, next(run).number] == [0, 1]
    path = tmp_path / "old" / CHECKPOINT
    state = torch.load(path, weights_only=True)
    for name in ("optimizer", "initialisation", "task", "augment", "width", "pooling"):
        del state["recipe"][name]
    torch.save(state, path)
    assert torch.equal(weights(replace(RECIPE, epochs=2), data, tmp_path / "old"), whole)


def test_a_damaged_checkpoint_is_told_in_one_line(data, tmp_path):
    (tmp_path / CHECKPOINT).write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(CwdaError, match="not a readable checkpoint; remove it"):
        train(RECIPE, data, folder=tmp_path)


def test_adamw_is_adam_but_for_its_decay(data, tmp_path):
    def trained(optimizer, decay):
        recipe = replace(RECIPE, optimizer=optimizer, weight_decay=decay)
        return weights(recipe, data, tmp_path / f"{optimizer}{decay}")

    assert torch.equal(trained("adam", 0.0), trained("adamw", 0.0))
    assert not torch.equal(trained("adam", 0.1), trained("adamw", 0.1))
    assert not torch.equal(trained("adam", 0.0), trained("sgd", 0.0))


def test_without_augmentation_images_are_left_alone(data, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("augmented")

    monkeypatch.setattr(loop, "augment", refuse)
    weights(replace(RECIPE, augment=False), data, tmp_path / "plain")
    with pytest.raises(AssertionError, match="augmented"):
        weights(RECIPE, data, tmp_path / "augmented")


def test_a_sample_that_lacks_a_class_does_not_lose_its_output(data, tmp_path):
    recipe = replace(RECIPE, training_images=4)
    *_, last = run_epochs(recipe, data, folder=tmp_path)
    assert last.model.linear.out_features == 10
    assert 0 <= last.accuracy() <= 100


def test_initial_weights_follow_their_scheme():
    model = cifar_resnet(8, width=32)
    weight = model.layer3[0].conv2.weight.detach()  # 128 filters in 1152 dimensions
    fan_in = weight[0].numel()

    initialise(model, 0, "kaiming_uniform")
    bound = (6 / fan_in) ** 0.5
    assert 0.999 * bound < weight.abs().max() <= bound
    torch.testing.assert_close(weight.var(), torch.tensor(2 / fan_in), rtol=0.02, atol=0)

    initialise(model, 0, "orthogonal")
    filters = weight.flatten(1).double()
    torch.testing.assert_close(
        filters @ filters.T, 2 * torch.eye(128, dtype=torch.double), atol=1e-5, rtol=0
    )

    initialise(model, 0)
    torch.testing.assert_close(weight.var(), torch.tensor(2 / fan_in), rtol=0.02, atol=0)
    kurtosis = ((weight / weight.std()) ** 4).mean()
    torch.testing.assert_close(kurtosis, torch.tensor(3.0), rtol=0.03, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "lion"}, "unknown optimizer 'lion'; known are sgd, adam, adamw"),
        ({"initialisation": "zero"}, "unknown initialisation 'zero'; known are kaiming_normal"),
        ({"task": "none"}, "unknown task 'none'"),
        ({"epochs": 0}, "epochs is a whole number, 1 or more"),
    ],
)
def test_impossible_recipes_are_refused(change, message):
    with pytest.raises(CwdaError, match=message):
        Recipe(**change)
