"""The design of the study: a base recipe, and one factor changed at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from cwda.arguments import choose, require_count, require_type
from cwda.models.train import Recipe

__all__ = ["BASE", "FACTORS", "Arm", "Run", "plan"]


@dataclass(frozen=True)
class Arm:
    """One level of one factor.

    Attributes
    ----------
    factor, setting : str
        What is changed, and to what.
    changes : mapping of str to object
        Attributes of the recipe that differ from the base.
    longer, fewer : int
        The arm has this many times the epochs, and this many times fewer training images.
    """

    factor: str
    setting: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    longer: int = 1
    fewer: int = 1

    def recipe(self, base: Recipe, seed: int) -> Recipe:
        """The base recipe with this arm's changes."""
        images = base.training_images
        return replace(
            base,
            seed=seed,
            epochs=base.epochs * self.longer,
            training_images=None if images is None else max(images // self.fewer, 1),
            **self.changes,
        )


@dataclass(frozen=True)
class Run:
    """One network to be trained: an arm with a seed."""

    arm: Arm
    seed: int
    recipe: Recipe

    @property
    def name(self) -> str:
        """A name for people, and the identity of the recipe: the folder of the run."""
        return f"{self.arm.factor}-{self.arm.setting}-seed{self.seed}-{self.recipe.identity}"


BASE = Arm("base", "base")

#: Levels of each factor; the first of each is run first. Adam and AdamW come with the
#: learning rate and decay that are usual with them, and a quarter of the images comes with four
#: times the epochs, so that the number of steps stays.
FACTORS: Mapping[str, tuple[Arm, ...]] = {
    "initialisation": (
        Arm("initialisation", "orthogonal", {"initialisation": "orthogonal"}),
        Arm("initialisation", "kaiming_uniform", {"initialisation": "kaiming_uniform"}),
    ),
    "optimizer": (
        Arm(
            "optimizer",
            "adamw",
            {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-2},
        ),
        Arm("optimizer", "adam", {"optimizer": "adam", "learning_rate": 1e-3}),
    ),
    "weight_decay": (
        Arm("weight_decay", "0", {"weight_decay": 0.0}),
        Arm("weight_decay", "0.01", {"weight_decay": 1e-2}),
        Arm("weight_decay", "0.002", {"weight_decay": 2e-3}),
    ),
    "learning_rate": (
        Arm("learning_rate", "0.01", {"learning_rate": 0.01}),
        Arm("learning_rate", "0.3", {"learning_rate": 0.3}),
    ),
    "batch_size": (
        Arm("batch_size", "256", {"batch_size": 256}),
        Arm("batch_size", "32", {"batch_size": 32}),
    ),
    "augmentation": (Arm("augmentation", "off", {"augment": False}),),
    "task": (
        Arm("task", "random", {"task": "random"}),
        Arm("task", "coarse", {"task": "coarse"}),
    ),
    "images": (Arm("images", "quarter", longer=4, fewer=4),),
    "depth": (
        Arm("depth", "8", {"depth": 8}),
        Arm("depth", "32", {"depth": 32}),
    ),
    "width": (
        Arm("width", "8", {"width": 8}),
        Arm("width", "32", {"width": 32}),
    ),
    "epochs": (Arm("epochs", "x4", longer=4),),
}


def plan(base: Recipe, factors: Iterable[str | Arm] | None = None, *, seeds: int = 1) -> list[Run]:
    """The runs of a study, in an order in which it may be cut off anywhere.

    First the base and the first level of each factor, then the second levels, and so on;
    a further seed of the base stands before each round, since it tells how much a seed
    alone changes. Then the further seeds of all levels.

    Parameters
    ----------
    base : Recipe
        What the arms change; its seed is the first.
    factors : iterable of str or Arm, optional
        Names in `FACTORS`, for all their levels, or levels of one's own; all factors by default.
    seeds : int
        Number of networks per factor level.

    Raises
    ------
    CwdaError
        If a factor is unknown, there is no seed, or the base is not a recipe.

    Examples
    --------
    >>> from cwda.models.train import Recipe
    >>> [(r.arm.setting, r.seed) for r in plan(Recipe(), ["width", "augmentation"])]
    [('base', 0), ('8', 0), ('off', 0), ('base', 1), ('32', 0)]
    """
    require_type(base, Recipe, "a base, such as cwda.study.BASE_RECIPE,")
    levels: dict[str, list[Arm]] = {}
    if factors is None:
        factors = FACTORS
    elif isinstance(factors, str | Arm) or not isinstance(factors, Iterable):
        factors = [factors]
    for factor in factors:
        if isinstance(factor, Arm):
            levels.setdefault(factor.factor, []).append(factor)
        else:
            [name] = choose([factor], FACTORS, "factor")
            levels.setdefault(name, []).extend(FACTORS[name])
    require_count(seeds, 1, "seeds, the number of networks per level,")
    order: list[tuple[Arm, int]] = []
    for number, arms in enumerate(zip_longest(*levels.values())):
        order += [(BASE, number), *((arm, 0) for arm in arms if arm is not None)]
    for seed in range(seeds):
        order += [(BASE, seed), *((arm, seed) for arms in levels.values() for arm in arms)]
    distinct = [pair for place, pair in enumerate(order) if pair not in order[:place]]
    return [Run(arm, base.seed + s, arm.recipe(base, base.seed + s)) for arm, s in distinct]
