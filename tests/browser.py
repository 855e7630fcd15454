"""What a browser makes of pages, where there is one on the machine."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

#: Width of a telephone. No window is that narrow, but a frame within one is.
PHONE = 390

#: For each frame its width, the first elements that stick out of it and of no box that scrolls, and
#: the signatures of functions that have to be scrolled.
MEASURE = """<script>
function measured(frame) {
  const page = frame.contentDocument, width = page.documentElement.clientWidth;
  const held = (element) => {
    for (let box = element.parentElement; box && box !== page.body; box = box.parentElement)
      if (getComputedStyle(box).overflowX !== "visible") return true;
  };
  const out = [...page.body.querySelectorAll("*")].filter(
    (element) => element.getBoundingClientRect().right > width + 1 && !held(element));
  const cut = [...page.querySelectorAll(".doc-signature code")].filter(
    (element) => element.scrollWidth > element.clientWidth);
  const wide = page.documentElement.scrollWidth > width;
  const shown = [...out, ...cut].slice(0, 3).map((element) => element.outerHTML.slice(0, 200));
  return {wide: wide || cut.length > 0, out: shown};
}
addEventListener("load", () => setTimeout(() => {
  document.title = JSON.stringify([...document.querySelectorAll("iframe")].map(measured));
}, 500));
</script>"""


def title_after_load(page: Path, folder: Path) -> Any:
    """The JSON that scripts of the page leave in its title."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    options += ["--window-size=1400,900", "--virtual-time-budget=5000"]
    options += ["--allow-file-access-from-files", f"--user-data-dir={folder / 'profile'}"]
    run = subprocess.run(
        [str(CHROMIUM), *options, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r"<title>(.*?)</title>", run.stdout, re.DOTALL)
    assert found, run.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


def too_wide(pages: Sequence[Path], width: int, folder: Path) -> dict[str, list[str]]:
    """The pages that scroll sideways on a screen of this width, with what sticks out or is cut."""
    frames = "".join(
        f'<iframe src="{page.as_uri()}" style="width:{width}px;height:800px;border:0"></iframe>'
        for page in pages
    )
    wrapper = folder / f"at-{width}.html"
    wrapper.write_text(f"<!doctype html><title></title>{MEASURE}{frames}")
    found = title_after_load(wrapper, folder)
    assert len(found) == len(pages)
    return {
        str(page): frame["out"] for page, frame in zip(pages, found, strict=True) if frame["wide"]
    }
