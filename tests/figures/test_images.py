"""Every figure looks as its stored picture does; `python -m tests.figures.gallery` stores anew."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from PIL import Image

from cwda import figures
from cwda.figures.drawing.canvas import Panels
from tests.figures.gallery import (
    FIGURES,
    GALLERY,
    PAGE,
    STORED,
    checked,
    drawn,
    figure_of,
    page,
)

# Pictures are compared by means of 4 x 4 pixels, so that smoothing does not matter. Texts are left
# out, since their pixels differ from one build of FreeType to the next; what they say and the
# numbers drawn are compared with the tables in test_figures.py.
SQUARE = 4
PAD = 3
TOLERANCE = (
    0.015  # few colours are up to .009, a legend without hinting .008; a cell of 144 is .038
)


def coarse(picture: np.ndarray) -> np.ndarray:
    height, width = (side - side % SQUARE for side in picture.shape[:2])
    cells = picture[:height, :width].reshape(height // SQUARE, SQUARE, width // SQUARE, SQUARE, 3)
    return cells.mean(axis=(1, 3))


def texts(ax: Axes | Panels, height: int) -> list[tuple[slice, slice]]:
    """Where the drawn figure has texts: rows and columns of pixels."""
    places = []
    for text in ax.figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            box = text.get_window_extent()
            rows, columns = (height - box.y1, height - box.y0), (box.x0, box.x1)
            places.append(
                tuple(
                    slice(max(int(a) - PAD, 0), max(int(b) + PAD + 1, 0))
                    for a, b in (rows, columns)
                )
            )
    return places


def distance(ax: Axes | Panels, name: str) -> float:
    """Root mean square difference from the stored picture, without the texts."""
    picture = drawn(ax) / 255.0
    with Image.open(STORED / f"{name}.png") as image:
        stored = np.array(image.convert("RGB")) / 255.0
    assert picture.shape == stored.shape
    for place in texts(ax, len(picture)):
        picture[place] = stored[place] = 1
    return float(np.sqrt(np.mean((coarse(picture) - coarse(stored)) ** 2)))


@pytest.mark.parametrize("name", GALLERY)
def test_looks_as_stored(name):
    assert distance(GALLERY[name](), name) < TOLERANCE


def test_a_verdict_changed_is_seen():
    table = checked(24)
    table.loc[table.index[table["verdict"] == "holds"][0], "verdict"] = "fails"
    assert distance(figures.overview(table), "overview") > 1.5 * TOLERANCE


def test_a_curve_moved_is_seen():
    table = checked(24)
    table[["effect", "effect_low", "effect_high"]] *= 0.9
    assert distance(figures.effects(table, "epsilon"), "effects") > TOLERANCE


def test_the_gallery_page_is_current():
    assert PAGE.read_text() == page()


def test_every_figure_has_a_picture():
    assert {figure_of(name) for name in GALLERY} == set(FIGURES)
    assert {path.stem for path in STORED.glob("*.png")} == set(GALLERY)
