"""How the numbers of a survey are computed, and what they do not say."""

from __future__ import annotations

from collections.abc import Iterator

from cwda.population.tables import Surveyed
from cwda.reporting.blocks import Block, Items, Paragraph, Strong

__all__ = ["method"]


def method(survey: Surveyed, level: float) -> Iterator[Block]:
    """Weights, intervals and models, with their references, and their limits."""
    settings = getattr(survey, "settings", {})
    told = [f"{name} {value}" for name, value in settings.items() if isinstance(value, float | str)]
    if told:
        yield Paragraph(f"Settings of the survey: {', '.join(told)}.")
    yield Items(
        [
            [
                Strong("Networks "),
                "with the same weights, whatever their file, count once. In statistics of layers "
                "each network counts alike.",
            ],
            [
                Strong("Shares "),
                "have Clopper and Pearson's limits for so many independent rows as would have the "
                "variance over families (Korn and Graubard 1998, Survey Methodology 24); medians "
                "have Woodruff's (1952, JASA 47).",
            ],
            [
                Strong("A family alone "),
                "has intervals over its networks, and none if it has one network. They take these "
                "for independent. With fewer than five families, or a fifth of the networks "
                "without one, generality is not judged.",
            ],
            [
                Strong("Mixed models "),
                "are fitted by statsmodels, by restricted maximum likelihood; their intervals come "
                "from leaving out each family in turn (MacKinnon, Nielsen and Webb 2023, J. "
                "Econometrics 232), so that they hold whatever the layers of a family share.",
            ],
            [
                Strong("These networks are no random sample. "),
                "They are what was given. The intervals say what other families, found in the same "
                "way, could show.",
            ],
        ]
    )
