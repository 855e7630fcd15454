"""Every figure looks as its stored picture does; `python -m tests.figures.gallery` stores anew."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cwda import figures
from tests.figures.gallery import BASELINE, GALLERY, checked, render

# Pictures are compared by means of 4 x 4 pixels, so that smoothing does not matter. Texts are left
# out; what they say and the numbers drawn are compared with the tables in test_figures.py.
SQUARE = 4
TOLERANCE = 0.01  # the legend moves by .008 without hinting; one cell of 144 is .025


def coarse(picture: np.ndarray) -> np.ndarray:
    height, width = (side - side % SQUARE for side in picture.shape[:2])
    cells = picture[:height, :width].reshape(height // SQUARE, SQUARE, width // SQUARE, SQUARE, 3)
    return cells.mean(axis=(1, 3))


def distance(picture: np.ndarray, name: str) -> float:
    """Root mean square difference from the stored picture."""
    with Image.open(BASELINE / f"{name}.png") as image:
        stored = np.asarray(image.convert("RGB")) / 255.0
    assert picture.shape == stored.shape
    return float(np.sqrt(np.mean((coarse(picture) - coarse(stored)) ** 2)))


@pytest.mark.parametrize("name", GALLERY)
def test_looks_as_stored(name):
    assert distance(render(GALLERY[name]()), name) < TOLERANCE


def test_a_verdict_changed_is_seen():
    table = checked(24)
    table.loc[table.index[table["verdict"] == "holds"][0], "verdict"] = "fails"
    assert distance(render(figures.overview(table)), "overview") > 2 * TOLERANCE


def test_a_curve_moved_is_seen():
    table = checked(24)
    table[["effect", "effect_low", "effect_high"]] *= 0.7
    assert distance(render(figures.effects(table, "epsilon")), "effects") > TOLERANCE


def test_every_figure_has_a_picture():
    drawn = {name.split("_dense")[0] for name in GALLERY}
    assert set(figures.__all__) <= drawn
    assert {path.stem for path in BASELINE.glob("*.png")} == set(GALLERY)
