"""What the report says in words that depend neither on the network nor on a condition."""

from __future__ import annotations

__all__ = ["GLOSSARY", "REFERENCES"]

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
    (
        "further question",
        "one that a condition asks beside its effect, as homogeneity does of norms that vary too "
        "little; where its answer is worse, it decides the verdict, and the sentence says so",
    ),
    ("l1, l2", "importance of a filter: the sum of its absolute weights; its Euclidean norm"),
    ("GM", "importance of a filter: the sum of its distances to the filters of the layer"),
    ("Fermat", "importance of a filter: its distance to the geometric median of the layer"),
    ("rung", "a model of the filters, from isotropic over the assumption in full to departures"),
    ("effective dimension", "tr(Σ)² / tr(Σ²): how many equal variances would concentrate as much"),
)
