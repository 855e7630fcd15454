"""A stranger adds a condition, criterion, reader, figure, chapter or verb in a few files."""

from __future__ import annotations

from itertools import chain

import pytest

from tests import extending

EXAMPLES = extending.examples()


def test_the_page_has_an_example_of_every_kind():
    assert list(EXAMPLES) == list(extending.FILES)
    assert all(example.titled("try") for example in EXAMPLES.values())


@pytest.mark.slow
def test_the_examples_touch_few_files_and_nothing_else_needs_an_edit(tmp_path):
    """All in one copy and one process; ``python -m tests.extending`` tries each alone."""
    folder = extending.copy_of_the_repository(tmp_path)
    page = extending.PAGE.read_text()
    touched = {kind: extending.apply(example, folder) for kind, example in EXAMPLES.items()}
    for kind, files in touched.items():
        before, allowed = extending.FILES[kind]
        assert 0 < len(files) <= allowed, files
        assert f"\n| {kind} | {before} | {len(files)} |" in page, files
    done = extending.run(EXAMPLES.values(), chain(*touched.values()), folder)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_a_change_that_does_not_fit_is_refused(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\ny = 2\nx = 1\n")
    change = "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-{}\n+x = 3\n"
    for text, fits in (("x = 1", False), ("z = 1", False), ("y = 2", True)):
        example = extending.Example("", [extending.Block("diff", "", change.format(text))])
        if fits:
            extending.apply(example, tmp_path)
        else:
            with pytest.raises(ValueError, match="not once"):
                extending.apply(example, tmp_path)
    assert (tmp_path / "a.py").read_text() == "x = 1\nx = 3\nx = 1\n"
