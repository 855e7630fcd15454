"""The assumption in a paragraph and its equation."""

from __future__ import annotations

from cwda.conditions import BUILT_IN
from cwda.reporting.blocks import Block, Equation, Link, Paragraph
from cwda.reporting.chapter import Chapter, Report

__all__ = ["assumption"]


def _blocks(report: Report) -> list[Block]:
    """What is assumed, and why it is tested by necessary conditions."""
    claims = [condition.words.claim for condition in BUILT_IN]
    return [
        Paragraph(
            [
                "A convolution with N input channels, N' filters and kernels of k² positions has "
                "filters that are vectors of d = N k² weights. The Convolution Weight "
                "Distribution Assumption of Huang et al. (2021, equation 1; ",
                Link("arXiv 2004.11627", "https://arxiv.org/abs/2004.11627"),
                ") says of a well-trained network:",
            ]
        ),
        Equation(
            'F_j tilde cal(N)(bold(0), Sigma_"diag" + epsilon Sigma_"block"), '
            'quad j = 1, dots, N\', quad "independent"',
            "F j is normal with mean zero and covariance Sigma diag plus epsilon Sigma block, for "
            "j = 1 to N prime, independently",
        ),
        Paragraph(
            "The diagonal matrix has elements close to one another; the block matrix has one block "
            "of k² by k² covariances for each input channel, with a zero diagonal, and nothing "
            "outside the blocks; epsilon is small. So weights of one input channel may correlate a "
            "little, weights of different channels do not, and all filters share one law."
        ),
        Paragraph(
            "As a whole this cannot be tested. Conditions that it implies can, by section 2.1 of "
            f"the paper or by its equation: {', '.join(claims[:-1])} and {claims[-1]}. The unit "
            "of replication is the filter, since the assumption speaks of independent filters; "
            "each layer is judged by itself."
        ),
    ]


assumption = Chapter("The assumption", _blocks)
