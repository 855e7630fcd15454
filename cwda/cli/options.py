"""Options that several verbs share."""

from __future__ import annotations

import click

__all__ = ["CRITERIA", "device_option", "names_of", "numbers_of"]

#: The criteria of every verb that is not told otherwise.
CRITERIA = "l1,l2,gm,fermat"

device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 ..."
)


def names_of(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers_of(text: str, option: str) -> list[float]:
    """The numbers in a comma-separated list.

    Raises
    ------
    click.BadParameter
        If one is no number.
    """
    try:
        return [float(part) for part in names_of(text)]
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no list of numbers, as .1,.3", param_hint=option
        ) from None
