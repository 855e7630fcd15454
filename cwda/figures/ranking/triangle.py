"""Similar, applicable, valid: three answers about the same rankings, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Normalize

from cwda.arguments import require_type
from cwda.comparison import Triangle
from cwda.figures.drawing.canvas import Panels, panel_canvas
from cwda.figures.drawing.heat import heat
from cwda.figures.drawing.layers_axis import label_layers, layer_margins, tall
from cwda.figures.drawing.style import VALUES
from cwda.figures.drawing.tables import unique
from cwda.figures.drawing.text import set_title, text_width
from cwda.formatting import number

__all__ = ["triangle"]

Array = npt.NDArray[np.float64]

_APPLICABILITY = {"discriminates": 1.0, "weakly": 0.5, "cannot discriminate": 0.0}
_WORDS = {1.0: "yes", 0.5: "weakly", 0.0: "no"}


def triangle(result: Triangle, *, ax: Any = None) -> Panels:
    """Layers by criteria three times: similar to the others, able to discriminate, valid.

    The left panel has the median Spearman coefficient with the other criteria, the middle the
    verdict on applicability, the right the coefficient with the oracle without noise of the
    images. What is undefined is hatched.

    Parameters
    ----------
    result : Triangle
        What `cwda.comparison.triangle` returns.
    ax : three Axes, optional
        Where to draw; a new figure of 160 mm by default.

    Raises
    ------
    CwdaError
        If it is something else, or `ax` is not three Axes.

    Examples
    --------
    >>> import torch
    >>> import cwda
    >>> from cwda.figures import triangle
    >>> name, criteria = "resnet20-cifar10", ["l1", "l2"]
    >>> images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> valid = cwda.validity(
    ...     name, criteria, data=(images, torch.arange(8)), layers="layer3.2.conv2", batch_size=4
    ... )
    >>> similar, applicable = cwda.similarity(name, criteria), cwda.applicability(name, criteria)
    >>> axes = triangle(cwda.comparison.triangle(similar, applicable, valid))
    >>> [ax.get_title("left") for ax in axes]
    ['similar', 'applicable', 'valid']
    """
    require_type(result, Triangle, "what cwda.comparison.triangle gives")
    table = result.table
    layers, criteria = unique(table["layer"]), list(result.criteria)
    place = table["layer"].map(layers.index), table["criterion"].map(criteria.index)

    def cells(values: Any) -> Array:
        found = np.full((len(layers), len(criteria)), np.nan)
        found[place] = np.asarray(values, dtype=np.float64)
        return found

    shown = (
        ("similar", cells(table["similarity"]), number),
        ("applicable", cells(table["applicability"].map(_APPLICABILITY)), _WORDS.__getitem__),
        ("valid", cells(table["disattenuated"]), number),
    )
    margins = layer_margins(layers, right=1, bottom=2, top=10 + text_width(criteria))
    height = tall(len(layers)) + margins.bottom + margins.top
    layout = {"height": height, "margins": margins, "gaps": (0.06, 0.0)}
    with panel_canvas(ax, 3, columns=3, **layout) as axes:
        for one, (name, values, text) in zip(axes, shown, strict=True):
            heat(one, values, Normalize(0, 1, clip=True), VALUES, text)
            label_layers(one, layers)
            if one is not axes[0] and ax is None:
                one.set_yticklabels([])
            one.set_xlim(0, len(criteria))
            one.set_xticks(np.arange(len(criteria)) + 0.5, criteria, rotation=90)
            one.xaxis.tick_top()
            one.tick_params(length=0)
            set_title(one, name, "")
        return axes
