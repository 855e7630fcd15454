"""Options: how one is declared, and those that several verbs share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import click
from click.shell_completion import CompletionItem

from cwda.arguments import require_between
from cwda.choices import Scale, Scope
from cwda.cli.completion import complete_models, criteria, last_of
from cwda.cli.messages import in_options
from cwda.errors import CwdaError, nearest

__all__ = [
    "COUNT",
    "FILE",
    "KAPPA",
    "NAMES",
    "PATH",
    "RELIABILITY",
    "SHAPE",
    "SHARE",
    "SHARES",
    "WHOLE",
    "Assignment",
    "Decorator",
    "Running",
    "arch_option",
    "bad_usage",
    "cifar_option",
    "criteria_option",
    "data_options",
    "device_option",
    "level_option",
    "margin_option",
    "names_option",
    "option",
    "reference_option",
    "running_options",
    "scale_option",
    "scope_option",
    "seed_option",
    "summary_option",
    "verdict_level_option",
]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

#: The criteria of a verb by default.
_CRITERIA = "l1,l2,gm,fermat"


@contextmanager
def bad_usage() -> Iterator[None]:
    """End with exit code 2 if the value of an option is refused, such as an unknown name.

    Raises
    ------
    click.UsageError
        With the message of the `CwdaError` inside.
    """
    try:
        yield
    except CwdaError as error:
        raise click.UsageError(in_options(str(error))) from error


class _Names(click.ParamType[list[str]]):
    """Names separated by commas."""

    name = "names"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """The names, without blanks, each once."""
        if isinstance(value, list):
            return value
        names = (name.strip() for name in str(value).split(","))
        return list(dict.fromkeys(filter(None, names)))


class _Fraction(click.ParamType[float]):
    """A number between 0 and 1, which are excluded."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The number."""
        try:
            number = float(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a number, such as .5", param, ctx)
        try:
            return require_between(number, 0, 1, f"a {self.name}")
        except CwdaError as error:
            self.fail(str(error), param, ctx)


class _Shares(click.ParamType[list[float]]):
    """Shares separated by commas."""

    name = "shares"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[float]:
        """The shares, each once."""
        if isinstance(value, list):
            return value
        parts = filter(None, map(str.strip, str(value).split(",")))
        return list(dict.fromkeys(SHARE.convert(part, param, ctx) for part in parts))


class _Shape(click.ParamType[tuple[int, ...]]):
    """Sizes separated by commas."""

    name = "shape"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The sizes."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if len(parts) < 2 or not all(part.strip().isdecimal() and int(part) for part in parts):
            self.fail(f"{value!r} is not a shape, such as 3,224,224", param, ctx)
        return tuple(map(int, parts))


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


class _Whole(click.IntRange):
    name = "n"


NAMES, SHAPE = _Names(), _Shape()

#: Numbers between 0 and 1: one share, several of them, and others that are called otherwise.
SHARE, SHARES = _Fraction("share"), _Shares()
LEVEL, KAPPA, RELIABILITY = _Fraction("level"), _Fraction("kappa"), _Fraction("reliability")

#: Whole numbers from 1 and from 0.
COUNT, WHOLE = _Whole(min=1), _Whole(min=0)

FILE = click.Path(path_type=Path, dir_okay=False)
PATH = click.Path(path_type=Path)


def option(name: str, help: str, *, into: str | None = None, **settings: Any) -> Decorator:
    """An option of a verb: its name, and a sentence that can be read alone.

    Parameters
    ----------
    name : str
        Such as ``--ratio``, or ``--augment/--no-augment`` for a switch.
    help : str
        What it is for; a default is shown behind it.
    into : str, optional
        The argument of the verb's function; by default the name without its dashes.
    settings
        Those of `click.option`.
    """
    settings.setdefault("show_default", "default" in settings)
    return click.option(name, *([into] if into else []), help=help, **settings)


class _NamesOption(click.Option):
    """An option for several names of a list; the help shows the list, and the shell offers it."""

    def __init__(
        self, *args: Any, listed: Callable[[], list[str]], unknown: str, **settings: Any
    ) -> None:
        settings["type"] = NAMES
        super().__init__(*args, **settings)
        self.listed, self.unknown = listed, unknown

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """The names; one that is unknown is refused before libraries are loaded."""
        names = super().process_value(ctx, value)
        if not ctx.resilient_parsing:
            _require_known(names or (), self.listed, self.unknown)
        return names

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The last of the names typed."""
        return last_of(incomplete, self.listed())

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The sentence and the list, which is read only now."""
        record = super().get_help_record(ctx)
        if record is None or self.default is not None:
            return record
        return record[0], f"{record[1]} Default: all, which are {', '.join(self.listed())}."


def _require_known(names: Iterable[str], listed: Callable[[], list[str]], unknown: str) -> None:
    """Refuse names that the package does not bring, where no code can have defined more of them.

    Raises
    ------
    click.UsageError
        If there is one.
    """
    if "torch" in sys.modules:  # its own check comes soon, and knows what code has defined
        return
    known = listed()
    for name in names:
        if name not in known:
            raise click.UsageError(f"{unknown} {name!r}{nearest(name, known)}")


def names_option(
    name: str, help: str, listed: Callable[[], list[str]], unknown: str, **settings: Any
) -> Decorator:
    """An option for several names, separated by commas; without a default it is all of them.

    Parameters
    ----------
    name, help : str
        As for `option`.
    listed : callable
        Gives the names there are; called only where they are shown, completed or checked.
    unknown : str
        How the message about another name begins, such as "unknown condition".
    settings
        Those of `click.option`.
    """
    settings.setdefault("default", None)
    return option(name, help, cls=_NamesOption, listed=listed, unknown=unknown, **settings)


def criteria_option(help: str) -> Decorator:
    """--criteria NAMES, comma-separated."""
    return names_option(
        "--criteria",
        f"{help} See `cwda criteria`.",
        criteria,
        "no criterion",
        default=_CRITERIA,
        show_default=True,
    )


def level_option(default: float, help: str = "Confidence level of the intervals.") -> Decorator:
    """--level: the confidence level of the intervals that a verb shows."""
    return option("--level", help, default=default, type=LEVEL)


verdict_level_option = level_option(
    0.90,
    "Confidence level of the intervals; a verdict errs with a probability of about "
    "(1 - LEVEL) / 2 at most.",
)


def device_option() -> Decorator:
    """--device: where a verb computes."""
    return option(
        "--device",
        "Where to compute: auto (a GPU if there is one), cpu, cuda, cuda:1 ...",
        default="auto",
        metavar="DEVICE",
    )


margin_option = option(
    "--margin",
    "Largest effect that counts as negligible for one condition. Repeatable.",
    into="margins",
    multiple=True,
    type=Assignment("NAME=VALUE", "epsilon=0.25"),
)

scale_option = option(
    "--scale",
    "Filters as they are, or each divided by its root mean square.",
    type=click.Choice(get_args(Scale)),
    default="raw",
)

reference_option = option(
    "--reference",
    "Say how unusual each layer is: a file of `cwda survey --reference FILE`.",
    type=FILE,
    metavar="FILE",
)

seed_option = option(
    "--seed",
    "Seed of all random numbers; the same seed gives the same result.",
    default=0,
    type=WHOLE,
)

summary_option = option("--summary", "Show no tables with one row per layer.", is_flag=True)


def scope_option(default: str) -> Decorator:
    """--scope: which convolutions are pruned."""
    return option(
        "--scope",
        "Prune only convolutions whose filters are tied to no others (free; in a ResNet the inner "
        "ones of each block), or all of them, tied filters together.",
        default=default,
        type=click.Choice(get_args(Scope)),
    )


arch_option = option(
    "--arch",
    "Architecture of a checkpoint whose keys do not tell it, such as resnet18.",
    metavar="NAME",
    shell_complete=complete_models,
)

cifar_option = option(
    "--data",
    "Images to train and test on: a .npz file (x_train, y_train, x_test, y_test; uint8 images "
    "n x 32 x 32 x 3) or the folder of torchvision's CIFAR-10.",
    required=True,
    type=click.Path(),
    metavar="PATH",
)


def data_options(*, required: bool) -> Decorator:
    """--data, --normalisation and --samples: the images that networks run on."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for add in (
            option(
                "--samples",
                "Largest number of training images on which criteria that need data are scored.",
                default=1024,
                type=COUNT,
            ),
            option(
                "--normalisation",
                "Normalisation that the model was trained with: cifar10, cifar100 or imagenet.",
                show_default="imagenet for folders of images, else cifar10",
                metavar="NAME",
            ),
            option(
                "--data",
                "Images: a .npz file (x_train, y_train, x_test, y_test), a folder with "
                "train/CLASS/ and test/CLASS/, or the folder of torchvision's CIFAR-10.",
                required=required,
                type=click.Path(),
                metavar="PATH",
            ),
        ):
            command = add(command)
        return command

    return decorate


@dataclass(frozen=True)
class Running:
    """How networks are run, for criteria that need more than weights.

    Attributes
    ----------
    arch : str or None
        Architecture of checkpoints whose keys do not tell it.
    data : str or None
        Path of images.
    normalisation : str or None
        Of the images.
    samples : int
        Largest number of images.
    batch_size : int
        Images per batch.
    """

    arch: str | None
    data: str | None
    normalisation: str | None
    samples: int
    batch_size: int


def running_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --arch and the options of the images, handed on as `running`."""

    @arch_option
    @data_options(required=False)
    @option(
        "--batch-size",
        "Images per batch. Whole batches make the halves of the images that are compared to tell "
        "how far scores depend on them.",
        default=128,
        type=COUNT,
    )
    @functools.wraps(command)
    def with_running(
        *args: Any,
        arch: str | None,
        data: str | None,
        normalisation: str | None,
        samples: int,
        batch_size: int,
        **kwargs: Any,
    ) -> Any:
        running = Running(arch, data, normalisation, samples, batch_size)
        return command(*args, running=running, **kwargs)

    return with_running
