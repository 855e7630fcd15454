"""Criteria of importance that need BatchNorm, activations or gradients (paper, section 4).

Filter j has the weights F_j, A_j is channel j of the first activation behind its BatchNorm, g
the gradient of the cross-entropy by F_j with BatchNorm in evaluation mode. Filters with small
scores are pruned first; where a large value means unimportant the score is reversed.
"""

# Statistics are attributes of `Filters` by their names alone.
# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import torch
from torch import Tensor

from cwda.scoring.filters import Filters
from cwda.scoring.registry import Style, criterion
from cwda.scoring.statistics.activations import ACTIVATIONS
from cwda.scoring.statistics.batchnorm import BATCHNORM
from cwda.scoring.statistics.gradients import GRADIENTS
from cwda.scoring.statistics.image_gradients import IMAGE_GRADIENTS
from cwda.scoring.statistics.map_ranks import MAP_RANKS
from cwda.scoring.statistics.removal import REMOVAL

#: Bins of the histogram of `entropy`.
ENTROPY_BINS = 100


@criterion(
    "taylor_l1",
    formula="mean_b ||g_b F_j||_1 over batches b",
    needs=GRADIENTS,
    paper=True,
    style=Style("#E69F00", "v"),
)
def taylor_l1(filters: Filters) -> Tensor:
    """Mean over batches of the l1 norm of gradient times weight, elementwise.

    First-order Taylor expansion of the loss (Molchanov et al. 2017, 2019). g_b is the gradient
    of the mean loss of batch b, so the score depends on the batch size.
    """
    return filters.gradients.l1


@criterion("taylor_l2", formula="mean_b ||g_b F_j||_2 over batches b", needs=GRADIENTS, paper=True)
def taylor_l2(filters: Filters) -> Tensor:
    """Mean over batches of the l2 norm of gradient times weight; otherwise like `taylor_l1`."""
    return filters.gradients.l2


@criterion(
    "bn_gamma", formula="|gamma_j|", needs=BATCHNORM, paper=True, style=Style("#56B4E9", "P")
)
def bn_gamma(filters: Filters) -> Tensor:
    """Absolute scale of the BatchNorm behind the convolution (Liu et al. 2017)."""
    return filters.batchnorm.gamma.abs()


@criterion("bn_beta", formula="|beta_j|", needs=BATCHNORM, paper=True)
def bn_beta(filters: Filters) -> Tensor:
    """Absolute shift of the BatchNorm behind the convolution."""
    return filters.batchnorm.beta.abs()


@criterion(
    "apoz",
    formula="1 - share of zeros in A_j",
    needs=ACTIVATIONS,
    paper=True,
    style=Style("#6F4E9B", "X"),
)
def apoz(filters: Filters) -> Tensor:
    """One minus the average percentage of zeros (Hu et al. 2016): many zeros, a small score."""
    return 1 - filters.activations.zeros


@criterion(
    "entropy",
    formula="-sum_b p_b ln p_b, the image means of A_j in 100 equal bins over their range",
    needs=ACTIVATIONS,
    paper=True,
)
def entropy(filters: Filters) -> Tensor:
    """Entropy of the activation's mean over positions, from image to image (Luo and Wu 2017).

    The histogram has `ENTROPY_BINS` bins of equal width between the smallest and the largest
    mean of the filter; a filter whose means are all equal has entropy 0.
    """
    every = filters.activations.image_means
    finite = every.isfinite().all(0)
    means = torch.where(finite, every, 0.0)
    low, high = means.aminmax(dim=0)
    width = torch.where(high > low, high - low, 1.0)
    places = ((means - low) / width * ENTROPY_BINS).long().clamp_(max=ENTROPY_BINS - 1)
    counts = means.new_zeros(ENTROPY_BINS, means.shape[1])
    counts.scatter_add_(0, places, torch.ones_like(means))
    shares = counts / len(means)
    return torch.where(finite, torch.special.entr(shares).sum(0), torch.nan)


@criterion("mean_activation", formula="mean of A_j over images and positions", needs=ACTIVATIONS)
def mean_activation(filters: Filters) -> Tensor:
    """Mean activation (Molchanov et al. 2017)."""
    return filters.activations.mean


@criterion("hrank", formula="mean over images of the rank of the matrix A_j", needs=MAP_RANKS)
def hrank(filters: Filters) -> Tensor:
    """Mean rank of the feature map (Lin et al. 2020)."""
    return filters.map_ranks


@criterion(
    "snip",
    formula="||g F_j||_1, g of the mean loss of all images",
    needs=GRADIENTS,
    unsteady="it is the size of a mean gradient, which in a trained network is near 0 and noise",
)
def snip(filters: Filters) -> Tensor:
    """Connection sensitivity summed over the filter (Lee et al. 2019).

    Their division by the sum over the whole network is left out: it changes no rank.
    """
    sensitivity = filters.gradients.mean * filters.values
    scores: Tensor = torch.linalg.vector_norm(sensitivity, ord=1, dim=1)
    return scores


@criterion("obd", formula="sum_p F_jp^2 mean_i g_ip^2 / 2 over images i", needs=IMAGE_GRADIENTS)
def obd(filters: Filters) -> Tensor:
    """Optimal brain damage (LeCun et al. 1990): the second-order increase of the loss.

    The diagonal of the Hessian is approximated by the empirical Fisher information, the mean
    square of the gradients of single images (as Theis et al. 2018).
    """
    return (filters.values**2 * filters.image_gradients.mean_square).sum(1) / 2


@criterion("taylor_image_l1", formula="mean_i ||g_i F_j||_1 over images i", needs=IMAGE_GRADIENTS)
def taylor_image_l1(filters: Filters) -> Tensor:
    """Like `taylor_l1`, with the gradients of single images: no batch size enters."""
    return filters.image_gradients.l1


@criterion("taylor_image_l2", formula="mean_i ||g_i F_j||_2 over images i", needs=IMAGE_GRADIENTS)
def taylor_image_l2(filters: Filters) -> Tensor:
    """Like `taylor_l2`, with the gradients of single images: no batch size enters."""
    return filters.image_gradients.l2


@criterion("oracle", formula="mean_i (loss_i without F_j - loss_i) over images i", needs=REMOVAL)
def oracle(filters: Filters) -> Tensor:
    """Increase of the loss when filter j is removed, by removing it (Molchanov et al. 2017).

    The channel of the filter is zero behind its BatchNorm, as in `cwda.masked`; all other filters
    stay, also those that are tied to it. What is computed before the layer is computed once for
    all filters, but the score still takes the rest of a forward pass per filter and image.
    """
    return filters.removal.mean


#: The criteria of this file, in the order of tables.
OF_DATA = (
    taylor_l1,
    taylor_l2,
    bn_gamma,
    bn_beta,
    apoz,
    entropy,
    mean_activation,
    hrank,
    snip,
    obd,
    taylor_image_l1,
    taylor_image_l2,
    oracle,
)
