"""Every figure looks as its stored picture does; `python -m tests.figures.gallery` stores anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cwda import figures
from tests.figures.gallery import (
    BASELINE,
    GALLERY,
    SHOWN,
    SHOWN_DPI,
    checked,
    drawn,
    figure_of,
    render,
)

# Pictures are compared by means of 4 x 4 pixels, so that smoothing does not matter. Texts are left
# out; what they say and the numbers drawn are compared with the tables in test_figures.py. Those of
# the documents have their text and fewer colours.
SQUARE = 4
TOLERANCE = 0.01  # the legend moves by .008 without hinting; one cell of 144 is .025
TOLERANCE_SHOWN = 0.02  # one cell of 144 is .038


def coarse(picture: np.ndarray) -> np.ndarray:
    height, width = (side - side % SQUARE for side in picture.shape[:2])
    cells = picture[:height, :width].reshape(height // SQUARE, SQUARE, width // SQUARE, SQUARE, 3)
    return cells.mean(axis=(1, 3))


def distance(picture: np.ndarray, stored: Path) -> float:
    """Root mean square difference from the stored picture."""
    with Image.open(stored) as image:
        pixels = np.asarray(image.convert("RGB")) / 255.0
    assert picture.shape == pixels.shape
    return float(np.sqrt(np.mean((coarse(picture) - coarse(pixels)) ** 2)))


@pytest.mark.parametrize("name", GALLERY)
def test_looks_as_stored_and_as_the_documents_show(name):
    ax = GALLERY[name]()
    shown = drawn(ax, SHOWN_DPI) / 255.0
    assert distance(shown, SHOWN / f"{name}.png") < TOLERANCE_SHOWN
    assert distance(render(ax), BASELINE / f"{name}.png") < TOLERANCE


def test_a_verdict_changed_is_seen():
    table = checked(24)
    table.loc[table.index[table["verdict"] == "holds"][0], "verdict"] = "fails"
    assert distance(render(figures.overview(table)), BASELINE / "overview.png") > 2 * TOLERANCE


def test_a_curve_moved_is_seen():
    table = checked(24)
    table[["effect", "effect_low", "effect_high"]] *= 0.7
    assert distance(render(figures.effects(table, "epsilon")), BASELINE / "effects.png") > TOLERANCE


def test_every_figure_has_a_picture():
    assert {figure_of(name) for name in GALLERY} == set(figures.__all__)
    for folder in (BASELINE, SHOWN):
        assert {path.stem for path in folder.glob("*.png")} == set(GALLERY)
