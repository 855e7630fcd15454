"""`cwda criteria`: the pruning criteria, what they need, and their formulas."""

from __future__ import annotations

import click

from cwda.cli.verb import Verb

__all__ = ["criteria"]



@click.command(cls=Verb, short_help="List the pruning criteria.")
def criteria() -> None:
    """List the pruning criteria: name, what each needs beyond the weights, score of a filter.

    F_j are the weights of filter j, g_j the gradients of the loss by them, A_j the activation.
    Criteria that need a model score a network whose architecture is known (see --arch);
    those that need data run it on the images of --data.
    """
    from cwda.cli.screen import Screen
    from cwda.pruning.registry import criteria as known
    from cwda.pruning.registry import get_criterion

    screen = Screen()
    names = list(known())
    needs = [_needs(get_criterion(name).needs) for name in names]
    first, second = max(map(len, names)), max(map(len, needs))
    for name, need, formula in zip(names, needs, known().values(), strict=True):
        screen.remark(
            f"{name:{first}} {need:{second}} {formula}", first="", rest=" " * (first + second + 2)
        )


def _needs(statistics: frozenset[str]) -> str:
    if not statistics:
        return "-"
    return "model" if statistics == {"batchnorm"} else "model, data"
