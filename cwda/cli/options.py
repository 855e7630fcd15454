"""Options that several verbs share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from cwda.cli.completion import complete_criteria, complete_models

__all__ = [
    "CRITERIA",
    "Assignment",
    "Means",
    "arch_option",
    "criteria_option",
    "data_options",
    "device_option",
    "means_options",
    "names_of",
    "numbers_of",
    "summary_option",
]

#: The criteria of every verb that is not told otherwise.
CRITERIA = "l1,l2,gm,fermat"

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ..."
)
summary_option = click.option("--summary", is_flag=True, help="Show no table of the layers.")
arch_option = click.option(
    "--arch",
    metavar="NAME",
    shell_complete=complete_models,
    help="Architecture of a checkpoint, where its keys do not tell.",
)


def criteria_option(help: str) -> Decorator:
    """--criteria NAMES, comma-separated."""
    return click.option(
        "--criteria",
        default=CRITERIA,
        show_default=True,
        metavar="NAMES",
        shell_complete=complete_criteria,
        help=f"{help} See `cwda criteria`.",
    )


def data_options(*, required: bool) -> Decorator:
    """--data, --normalisation and --samples: the images that criteria need."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option("--samples", default=1024, show_default=True, type=click.IntRange(min=1),
                         help="Training images for criteria that need data."),
            click.option("--normalisation", metavar="NAME",
                         help="How the images were normalised for training: cifar10, cifar100 "
                         "or imagenet."),
            click.option("--data", required=required, type=click.Path(), metavar="PATH",
                         help="A .npz file (x_train, y_train, x_test, y_test), a folder with "
                         "train/CLASS/ and test/CLASS/, or the folder of torchvision's "
                         "CIFAR-10."),
        ):  # fmt: skip
            command = option(command)
        return command

    return decorate


@dataclass(frozen=True)
class Means:
    """What criteria that need more than weights are scored with.

    Attributes
    ----------
    arch : str or None
        Architecture of checkpoints whose keys do not tell.
    data : str or None
        Path of images.
    normalisation : str or None
        Of the images.
    samples : int
        At most so many of them.
    """

    arch: str | None
    data: str | None
    normalisation: str | None
    samples: int


def means_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --arch and the options of the images, handed on as `means`."""

    @arch_option
    @data_options(required=False)
    @functools.wraps(command)
    def with_means(
        *args: Any,
        arch: str | None,
        data: str | None,
        normalisation: str | None,
        samples: int,
        **kwargs: Any,
    ) -> Any:
        return command(*args, means=Means(arch, data, normalisation, samples), **kwargs)

    return with_means


class Assignment(click.ParamType[tuple[str, float]]):
    """NAME=NUMBER."""

    def __init__(self, name: str, example: str) -> None:
        self.name, self.example = name, example

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float]:
        """The name and the number."""
        if isinstance(value, tuple):
            return value
        name, _, number = str(value).partition("=")
        try:
            return name.strip(), float(number)
        except ValueError:
            self.fail(f"{value!r} is not {self.name}, such as {self.example}", param, ctx)


def names_of(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers_of(text: str, option: str) -> list[float]:
    """The numbers in a comma-separated list.

    Raises
    ------
    click.BadParameter
        If one is not a number.
    """
    try:
        return [float(part) for part in names_of(text)]
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a list of numbers, such as .1,.3", param_hint=option
        ) from None
