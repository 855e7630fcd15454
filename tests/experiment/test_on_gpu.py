"""What is to be measured on a GPU is prepared and runs where there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks import on_gpu, on_gpu_comparison, on_gpu_page, on_gpu_stages, on_gpu_wheels
from benchmarks.on_gpu_files import images_of, pack, weights_of
from benchmarks.on_gpu_tests import files_with_gpu_tests
from cwda.models import read_images

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.on_gpu", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_dry_run_writes_what_its_steps_print(tmp_path):
    steps = "environment,finetuning,reproduction"
    done = run("--dry-run", "--output", tmp_path, "--steps", steps)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "on_gpu.md").read_text()
    assert text.startswith("# Dry run on the CPU")
    assert "| l2 | 0.5 |" in text
    assert (tmp_path / "finetuning.tar").exists()
    assert "| Figure 3 | Accuracies nearly coincide after fine-tuning" in text
    assert (tmp_path / "reproduction.tar").exists()
    assert (tmp_path / "reproduction.pdf").read_bytes().startswith(b"%PDF")


def test_a_step_that_fails_or_takes_too_long_loses_no_other(tmp_path, capfd, monkeypatch):
    # There is no CUDA device for the first, and no time for the second.
    if torch.cuda.is_available():
        pytest.skip("the first step would succeed")
    monkeypatch.setitem(on_gpu.STEPS, "environment", ("Machine", 300))  # of a busy one, too
    status = on_gpu.main(["--output", str(tmp_path), "--steps", "environment"])
    assert status == 1
    assert "no CUDA device; --dry-run" in (tmp_path / "on_gpu.md").read_text()
    assert on_gpu.main(["--output", str(tmp_path), "--minutes", "0", "--dry-run"]) == 1
    text = (tmp_path / "on_gpu.md").read_text()
    assert text.count("No time was left for this step.") == len(on_gpu.STEPS) - 1
    assert "with problems: environment, tests" in capfd.readouterr().out


def test_a_dry_run_is_never_written_as_a_measurement(tmp_path, capsys):
    with pytest.raises(SystemExit):
        on_gpu.main(["--dry-run", "--write", str(tmp_path / "page.md")])
    assert "measures nothing" in capsys.readouterr().err


def test_floors_are_work_over_rates():
    device = on_gpu_stages.Device.__new__(on_gpu_stages.Device)
    device.bandwidth, device.rates = 2e9, {torch.float64: 5e9}
    work = on_gpu_stages.Work(4e9, 1e10, torch.float64)
    assert device.floors(work) == (2.0, 2.0)


def test_activations_are_written_and_read_once():
    from cwda.models import cifar_resnet

    # 7 convolutions of 16 x 32 x 32, 6 of 32 x 16 x 16, 6 of 64 x 8 x 8 numbers
    numbers = 7 * 16 * 32**2 + 6 * 32 * 16**2 + 6 * 64 * 8**2
    assert on_gpu_stages._activations(cifar_resnet(20), (1, 3, 32, 32)) == 2 * numbers


def test_each_difference_of_two_tables_is_listed():
    ours = pd.DataFrame(
        {
            "layer": ["a", "b", "c"],
            "verdict": ["holds", "holds", ""],
            "effect": [1.0, float("nan"), 0.0],
            "pvalue": [0.5, 0.5, 0.5],
        }
    )
    theirs = ours.assign(
        verdict=["holds", "fails", ""],
        effect=[1 + 2e-9, 0.0, 2e-8],
        pvalue=[0.5, 0.5, 0.5 + 2e-8],
    )
    found = on_gpu_comparison.compared(ours, theirs)
    assert [line.partition(")")[2] for line in found.differences] == [
        ": verdict holds, fails",
        ": effect nan, 0 (inf)",
        ": effect 0, 2e-08 (2e-08)",
    ]
    assert on_gpu_comparison.compared(ours, ours.head(1)).differences == ("shapes (3, 4), (1, 4)",)


def test_sections_of_other_devices_and_of_the_cpu_stay():
    page = "# Benchmarks\n\n## Speed\n\nfast\n\n## Measured on A\n\nold\n\n## Measured on B\n\nb\n"
    new = on_gpu_page.merged(page, "## Measured on A\n\nnew\n")
    assert "old" not in new
    assert [part.split()[-1] for part in on_gpu_page.sections(new)] == ["b", "new"]
    assert "## Speed\n\nfast" in new
    assert on_gpu_page.merged(new, "## Measured on A\n\nnew\n") == new


def test_images_and_weights_come_out_of_the_pack_as_they_went_in(tmp_path):
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    y = np.arange(60) % 10
    np.savez(tmp_path / "images.npz", x_train=x, y_train=y, x_test=x[:7], y_test=y[:7])
    weights = tmp_path / "net.pt"
    weights.write_bytes(b"weights")
    pack(tmp_path / "files", [weights], tmp_path / "images.npz", "imagenet", 1 << 22)
    there, here = images_of(tmp_path / "files"), read_images(tmp_path / "images.npz")
    assert torch.equal(there.x_train, here.x_train)
    assert torch.equal(there.y_test, here.y_test)
    assert there.mean == (0.485, 0.456, 0.406)
    assert [path.name for path in weights_of(tmp_path / "files")] == ["net.pt"]
    assert images_of(tmp_path) is None


def test_what_a_machine_lacks_is_computed_from_metadata():
    bare = on_gpu_wheels.wheels_for(on_gpu_wheels.Target())
    names = {on_gpu_wheels.name_of(wheel) for wheel in bare}
    assert {"numpy", "pandas", "python-dateutil", "pytest", "pluggy", "hypothesis"} <= names
    assert "torchvision==0.26.*" in bare
    # Neither what comes with PyTorch nor what only reports need.
    assert names.isdisjoint({"torch", "sympy", "triton", "typst", "nbmake", "cwda"})
    some = on_gpu_wheels.Target(installed=["NumPy", "pandas"])
    assert {"numpy", "pandas"}.isdisjoint(
        on_gpu_wheels.name_of(wheel) for wheel in on_gpu_wheels.wheels_for(some)
    )
    command = on_gpu_wheels.download_command(some, "wheels")
    assert "--python-version 3.12" in command
    assert "--dest wheels" in command


def test_carried_wheels_are_installed_beside_what_is_there(tmp_path, monkeypatch):
    import zipfile

    with zipfile.ZipFile(tmp_path / "lacking_thing-1.0-py3-none-any.whl", "w") as wheel:
        about = "lacking_thing-1.0.dist-info/"
        wheel.writestr("lacking_thing.py", "VALUE = 7\n")
        wheel.writestr(
            about + "METADATA", "Metadata-Version: 2.1\nName: lacking_thing\nVersion: 1.0\n"
        )
        wheel.writestr(
            about + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(about + "RECORD", "")
    monkeypatch.setattr(on_gpu_wheels, "requirements", lambda: ["lacking_thing>=1"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "before")
    assert on_gpu_wheels.missing() == ["lacking_thing>=1"]
    site, lacking = on_gpu_wheels.bootstrap(tmp_path)
    assert lacking == []
    assert (Path(site) / "lacking_thing.py").exists()
    assert on_gpu_wheels.bootstrap(tmp_path) == ("", [])


def test_only_files_with_gpu_tests_are_collected():
    files = files_with_gpu_tests()
    assert "tests/numerics/test_kernels.py" in files
    assert "tests/experiment/test_on_gpu.py" not in files
