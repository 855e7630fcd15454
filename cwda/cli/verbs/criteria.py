"""`cwda criteria`: the pruning criteria, what they need, and their formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cwda.cli.messages import is_quiet
from cwda.cli.verb import verb

if TYPE_CHECKING:
    from cwda.scoring import Criterion

__all__ = ["criteria"]


@verb("criteria", "List the pruning criteria.")
def criteria() -> None:
    """List the pruning criteria: name, what each needs beyond the weights, score of a filter.

    F_j are the weights of filter j, g_j the gradients of the loss by them, A_j the activation.
    Criteria that need a model score a network whose architecture is known (see --arch);
    those that need data run it on the images of --data.
    """
    from cwda.cli.screen.screen import Screen
    from cwda.scoring import criteria as formulas
    from cwda.scoring import get_criterion

    rows = [("name", "needs", "score of filter j")]
    rows += [(name, _needs(get_criterion(name)), text) for name, text in formulas().items()]
    first, second = (max(len(row[at]) for row in rows) for at in (0, 1))
    screen = Screen(silent=is_quiet())
    for name, needs, text in rows:
        start = f"{name:{first}} {needs:{second}} "
        style = "bold" if name == "name" else ""
        screen.remark(start + text, style, first="", rest=" " * len(start))


def _needs(criterion: Criterion) -> str:
    if not criterion.needs:
        return "-"
    return "model, data" if criterion.needs_images else "model"
