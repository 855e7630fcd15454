"""The assumption in a paragraph and its equation."""

from __future__ import annotations

from cwda.reporting.blocks import Block, Equation, Heading, Link, Paragraph

__all__ = ["assumption"]


def assumption() -> list[Block]:
    """What is assumed, and why it is tested by necessary conditions."""
    return [
        Heading("The assumption"),
        Paragraph(
            [
                "A convolution with N input channels, N' filters and kernels of k² positions has "
                "filters that are vectors of d = N k² weights. The Convolution Weight "
                "Distribution Assumption of Huang et al. (2021, equation 1; ",
                Link("arXiv 2004.11627", "https://arxiv.org/abs/2004.11627"),
                ") says of a well-trained network:",
            ]
        ),
        Equation("cwda"),
        Paragraph(
            "The diagonal matrix has elements close to one another; the block matrix has one block "
            "of k² by k² covariances for each input channel, with a zero diagonal, and nothing "
            "outside the blocks; epsilon is small. So weights of one input channel may correlate a "
            "little, weights of different channels do not, and all filters share one law."
        ),
        Paragraph(
            "As a whole this cannot be tested. Six conditions that it implies can: Gaussian "
            "weights, equal variances, a mean of zero, a small epsilon (section 2.1 of the paper), "
            "independent channels and filters of one scale (from its equation). The unit of "
            "replication is the filter, since the assumption speaks of independent filters; "
            "each layer is judged by itself."
        ),
    ]
