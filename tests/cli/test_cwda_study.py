"""`cwda study`: files written, and bad input told in one line."""

import numpy as np
import pytest
from click.testing import CliRunner

from cwda.cli.main import cwda


@pytest.fixture
def images_file(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "images.npz"
    np.savez(
        path,
        x_train=rng.integers(0, 256, (24, 16, 16, 3), dtype=np.uint8),
        y_train=np.arange(24, dtype=np.uint8) % 10,
        x_test=rng.integers(0, 256, (10, 16, 16, 3), dtype=np.uint8),
        y_test=np.arange(10, dtype=np.uint8) % 10,
    )
    return path


def invoke(*arguments):
    return CliRunner().invoke(cwda, ["study", *map(str, arguments)])


def test_a_study_leaves_tables_and_figures(images_file, tmp_path):
    output = tmp_path / "study"
    common = ("--data", images_file, "--output", output, "--factors", "augmentation")
    done = invoke(*common, "--epochs", 1, "--images", 16, "--seeds", 2)
    assert done.exit_code == 0, done.output
    assert "augmentation off seed 1: done" in done.stderr
    assert {path.name for path in output.glob("*.*")} == {
        "study.jsonl", "runs.csv", "summary.csv", "layers.csv", "effects.csv", "training.png",
        "factors.png", "verdicts.png", "distance.png",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--images", 99), "error: asked for 99 images, but there are only 24"),
        (
            ("--images", 16, "--pooling", 3),
            "error: images of 16 x 16 pixels cannot be averaged by 3",
        ),
        (("--budget", 0), "nothing measured yet; give a larger --budget"),
    ],
)
def test_bad_input_is_told_in_one_line(images_file, tmp_path, arguments, message):
    failed = invoke("--data", images_file, "--output", tmp_path / "study", *arguments)
    assert failed.exit_code == 1
    assert message in failed.stderr
    assert len(failed.stderr.strip().splitlines()) == 1


def test_bad_usage_is_told_with_exit_code_2(images_file, tmp_path):
    assert invoke("--data", images_file).exit_code == 2
    assert invoke("--data", images_file, "--output", tmp_path, "--seeds", 0).exit_code == 2


def test_an_unknown_factor_is_bad_usage(images_file, tmp_path):
    failed = invoke("--data", images_file, "--output", tmp_path / "study", "--factors", "colour")
    assert failed.exit_code == 2
    assert "unknown factor 'colour'" in failed.stderr.splitlines()[-1]
