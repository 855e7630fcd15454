"""F F^T among a few input channels of a layer (paper, figure 2b)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from cwda.arguments import as_indices
from cwda.errors import CwdaError
from cwda.figures.drawing.canvas import Margins, canvas
from cwda.figures.drawing.heat import colour_bar
from cwda.figures.drawing.style import DIVERGING, message
from cwda.figures.drawing.text import set_title
from cwda.loading.source import Source
from cwda.loading.sources import layer_of
from cwda.scoring import Filters

__all__ = ["covariance_blocks"]

_BAR = 21.0


def covariance_blocks(
    layer: Source, channels: int | Sequence[int] | None = None, *, ax: Axes | None = None
) -> Axes:
    """F F^T / N' among some input channels, element by element, with sign (paper, figure 2b).

    The unit is the mean of the diagonal over the whole layer; larger values are shown as 1.

    Parameters
    ----------
    layer : ConvLayer or array
        One layer, an array N x k^2 x N', or a source with a single layer.
    channels : int or sequence of int, optional
        Input channels from 0; the first four by default.
    ax : Axes, optional
        Where to draw; a new figure by default.

    Raises
    ------
    CwdaError
        If there is no such channel.
    SourceError, WeightsError
        If it is not a layer, or its weights are not finite.

    References
    ----------
    Huang et al. (2021), figure 2.

    Examples
    --------
    >>> import cwda
    >>> from cwda.figures import covariance_blocks
    >>> ax = covariance_blocks(cwda.load("resnet20-cifar10")["layer1.0.conv1"], [0, 5])
    >>> ax.get_images()[0].get_array().shape
    (18, 18)
    """
    layer = layer_of(layer)
    filters = Filters.of(layer).values
    wanted = range(min(4, layer.channels)) if channels is None else channels
    indices = as_indices(wanted, layer.channels, "input channel", layer.name, CwdaError)
    with canvas(ax, 89, 74, Margins(12, _BAR, 10, 8)) as ax:
        energy = float(filters.square().mean())
        if energy == 0:
            return message(ax, f"All weights of {layer.name} are zero.")
        part = filters.view(-1, layer.channels, layer.kernel_size)[:, indices].flatten(1)
        moments = (part.T @ part / (layer.n_filters * energy)).numpy()
        side, size = len(moments), layer.kernel_size
        shown = ax.imshow(
            moments,
            cmap=DIVERGING,
            vmin=-1,
            vmax=1,
            extent=(0, side, side, 0),
            interpolation="nearest",
        )
        lines = range(size, side, size)
        ax.vlines(lines, 0, side, color="#404040", linewidth=0.6)
        ax.hlines(lines, 0, side, color="#404040", linewidth=0.6)
        ax.spines[:].set_visible(True)
        centres = [(i + 0.5) * size for i in range(len(indices))]
        step = -(-len(indices) // 12)
        names = [str(channel) for channel in indices]
        ax.set_xticks(centres[::step], names[::step])
        ax.set_yticks(centres[::step], names[::step])
        ax.tick_params(length=0)
        ax.set_xlabel(f"input channel, {size} position{'s' * (size > 1)} each")
        ax.set_ylabel("input channel")
        set_title(ax, layer.name, ": blocks of F Fᵀ / N′")
        colour_bar(ax, shown, "element / mean variance", ticks=(-1, -0.5, 0, 0.5, 1))
        return ax
