"""What is chosen by name, in signatures and on the command line, which imports nothing heavier."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = [
    "JUDGED",
    "Contrasted",
    "Like",
    "Measure",
    "Normalisation",
    "Paper",
    "Scale",
    "Scope",
    "Strategy",
    "Verdict",
]

#: One share of every layer, or one ranking of all filters.
Strategy = Literal["layerwise", "global"]

#: What a pruning ratio is a share of.
Measure = Literal["filters", "parameters", "flops"]

#: How scores of different layers are made comparable before they are ranked together.
Normalisation = Literal["mean", "zscore"]

#: Only convolutions whose filters are tied to no others, or all.
Scope = Literal["free", "all"]

#: Size of the pages of a report.
Paper = Literal["a4", "us-letter"]

#: Filters as they are, or each divided by its root mean square.
Scale = Literal["raw", "unit"]

#: What is said of a condition in a layer.
Verdict = Literal["holds", "fails", "inconclusive", "not applicable"]

#: Which networks the weights of a network are like.
Like = Literal["trained", "untrained", "open", "not applicable"]

#: Whether the effects of two networks differ.
Contrasted = Literal["differs", "same", "unsettled", "not applicable"]

#: The verdicts of layers that were tested.
JUDGED: tuple[Verdict, ...] = get_args(Verdict)[:3]
