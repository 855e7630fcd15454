"""What the report says of each condition, in words that do not depend on the network."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CONDITION_WORDING", "GLOSSARY", "REFERENCES", "ConditionWording"]


@dataclass(frozen=True)
class ConditionWording:
    """The words of one chapter.

    Attributes
    ----------
    title : str
        Heading.
    asks : str
        What the assumption says, and what is asked.
    estimator : str
        How the effect is estimated.
    reading : str
        How to read the effect and its margin.
    """

    title: str
    asks: str
    estimator: str
    reading: str


CONDITION_WORDING = {
    "gaussianity": ConditionWording(
        "Gaussianity",
        "The assumption says that the weights of a filter are Gaussian. Asked is how far the "
        "distribution of the layer's standardised weights lies from the normal one.",
        "The effect is the Kolmogorov-Smirnov distance of all weights of the layer; its "
        "interval rests on a jackknife over filters, as a simultaneous band for the lower limit. "
        "The p-value asks each of the d positions (Anderson-Darling over the filters) and "
        "combines them by Cauchy combination.",
        "A distance of .05 means that no quantile of the weights is off by more than 5 % of "
        "the filters. A layer whose filters differ in scale is not Gaussian as a whole even if "
        "each filter is: compare homogeneity.",
    ),
    "variance": ConditionWording(
        "Variance",
        "The assumption says that the variances of the positions, the diagonal elements of the "
        "covariance matrix, are close to one another.",
        "The effect is the coefficient of variation of the variances, by a U-statistic over pairs "
        "of filters, which is unbiased although there are fewer filters than positions.",
        "An effect of .5 means that the variances scatter by half of their mean. It grows where "
        "some input channels carry more weight than others, or kernels have a bright centre.",
    ),
    "mean": ConditionWording(
        "Mean",
        "The assumption says that the mean filter is zero.",
        "The effect is the root mean square of the mean filter over the root mean square weight, "
        "by a U-statistic over pairs of filters.",
        "An effect of .1 means that the mean carries 1 % of the energy of the weights.",
    ),
    "epsilon": ConditionWording(
        "Epsilon: covariance inside the blocks",
        "The assumption allows weights of one input channel to correlate a little: epsilon is "
        "small.",
        "The effect is the root mean square covariance inside the blocks over the mean variance, "
        "by a U-centred U-statistic, so that the mean of the filters does not enter.",
        "An effect of .3 is a typical correlation of .3 between the weights of one kernel. Smooth "
        "kernels, as in first layers, have large effects.",
    ),
    "independence": ConditionWording(
        "Independence of channels",
        "The assumption says that weights of different input channels are uncorrelated: nothing "
        "lies outside the blocks.",
        "The effect is the root mean square covariance between the blocks over the mean variance, "
        "by the same U-statistic.",
        "There are many more pairs between blocks than inside, so that a small effect may carry "
        "much: with d = 576, an effect of .05 has more energy outside the blocks than on the "
        "diagonal.",
    ),
    "homogeneity": ConditionWording(
        "Homogeneity of the filters",
        "The assumption says that all filters of a layer have one distribution, hence one scale.",
        "With filter j written as a scale times a standard filter, its energies over even and "
        "over odd input channels share nothing but the scale; their covariance gives the variance "
        "of its logarithm.",
        "An effect of .125 means that the scales of filters scatter by one eighth beyond chance. "
        "Where filters differ in scale, norms can tell them apart: this departure is what makes "
        "norm-based pruning applicable.",
    ),
}

REFERENCES = (
    (
        "Z. Huang, W. Shao, X. Wang, L. Lin, P. Luo (2021). Rethinking the Pruning Criteria for "
        "Convolutional Neural Network. NeurIPS. ",
        "https://arxiv.org/abs/2004.11627",
    ),
    (
        "G. Székely, M. Rizzo (2014). Partial distance correlation with methods for "
        "dissimilarities. Annals of Statistics 42.",
        "",
    ),
    ("Y. Liu, J. Xie (2020). Cauchy combination test. JASA 115.", ""),
    ("M. Stephens (1974). EDF statistics for goodness of fit. JASA 69.", ""),
    (
        "J. Sun, C. Loader (1994). Simultaneous confidence bands for linear regression and "
        "smoothing. Annals of Statistics 22.",
        "",
    ),
    (
        "D. Bonett, T. Wright (2000). Sample size requirements for estimating Pearson, Kendall "
        "and Spearman correlations. Psychometrika 65.",
        "",
    ),
    (
        "Y. He, P. Liu, Z. Wang, Z. Hu, Y. Yang (2019). Filter Pruning via Geometric Median for "
        "Deep Convolutional Neural Networks Acceleration. CVPR.",
        "",
    ),
)

GLOSSARY = (
    ("filter", "the weights of one output channel of a convolution, a vector of d = N k² numbers"),
    ("block", "the k² weights of one input channel of a filter"),
    ("N', N, d", "number of filters; of input channels that a filter sees; of weights of a filter"),
    ("effect", "a dimensionless size of a departure from the assumption; 0 where it is exact"),
    ("margin", "the largest effect that counts as negligible"),
    ("holds", "the whole interval of the effect lies within the margin"),
    ("fails", "the whole interval lies beyond the margin"),
    ("inconclusive", "neither: the layer has too few filters to tell"),
    ("l1, l2", "importance of a filter: the sum of its absolute weights; its Euclidean norm"),
    ("GM", "importance of a filter: the sum of its distances to the filters of the layer"),
    ("Fermat", "importance of a filter: its distance to the geometric median of the layer"),
    ("rung", "a model of the filters, from isotropic over the assumption in full to departures"),
    ("effective dimension", "tr(Σ)² / tr(Σ²): how many equal variances would concentrate as much"),
)
