"""Huang et al., Rethinking the Pruning Criteria for Convolutional Neural Network (2021)."""

from cwda.reproduction.huang2021.figure_1 import FIGURE_1
from cwda.reproduction.huang2021.figure_2 import FIGURE_2
from cwda.reproduction.huang2021.figure_3 import FIGURE_3
from cwda.reproduction.huang2021.figure_4 import FIGURE_4
from cwda.reproduction.huang2021.table_1 import TABLE_1
from cwda.reproduction.paper import Paper

__all__ = ["HUANG2021"]

HUANG2021 = Paper(
    name="huang2021",
    authors="Huang et al. (2021)",
    citation="Z. Huang, W. Shao, X. Wang, L. Lin, P. Luo (2021). Rethinking the Pruning Criteria "
    "for Convolutional Neural Network. NeurIPS.",
    url="https://arxiv.org/abs/2004.11627",
    known="Only the first four pages of the paper. Its statements are given in our words; where a "
    'value is not on these pages, the tables say "not known here". The rules by which both are '
    "said to agree are ours.",
    parts=(TABLE_1, FIGURE_1, FIGURE_2, FIGURE_3, FIGURE_4),
)
