"""All that is to be measured on a machine with a GPU, in one command of a few minutes.

    python -m benchmarks.on_gpu --files FOLDER --output FOLDER [--write docs/benchmarks.md]

Steps: the machine, the `gpu` tests, the answers of CPU and GPU compared, time per stage beside
the floors of the device, and fine-tuning of the pruning experiment; where it is asked for
(`--steps reproduction --minutes 600`), a paper computed anew with its full schedule. Each runs in
a process of its own under its own time limit, and prints and writes as it goes: one that fails
loses no other.
The machine needs PyTorch; what else it lacks is installed from the wheels in FOLDER/wheels.
`--dry-run` runs all of it small on the CPU. `--wheels` and `--pack` prepare FOLDER elsewhere.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.on_gpu_wheels import ROOT, Target, bootstrap, download_command

#: The steps with their titles and the most seconds that each may take; the last takes what is left.
STEPS = {
    "environment": ("Machine", 40),
    "tests": ("Tests", 300),
    "comparison": ("CPU and GPU compared", 200),
    "stages": ("Time per stage", 180),
    "finetuning": ("Fine-tuning", 600),
    "reproduction": ("A paper, computed anew", 86_400),
}
#: The step that takes hours, and is run only where it is named.
_LONG = "reproduction"
#: Seconds kept for the end of the last step.
_TO_SPARE = 15
_PACKED = 62 << 20


@dataclass(frozen=True)
class Outcome:
    """What a step printed, and what went wrong."""

    text: str
    problem: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare, run one step, or run all."""
    options = _options(arguments)
    if options.wheels:
        names = options.have.read_text().replace(",", " ").split() if options.have else []
        installed = [name.partition("==")[0] for name in names]
        target = Target(options.target_python, options.target_torch, installed)
        print(download_command(target, str(options.files / "wheels")))
        return 0
    if options.pack:
        return _pack(options)
    if options.step:
        _run_step(options)
        return 0
    return _run_all(options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "benchmarks.on_gpu", description=(__doc__ or "").split("\n")[0]
    )
    add = parser.add_argument
    add("--files", type=Path, default=Path("on_gpu_files"), help="wheels, weights and images")
    add(
        "--output",
        type=Path,
        default=Path(os.environ.get("OUT") or "runs/on_gpu"),
        help="where results are written; $OUT by default",
    )
    add("--device", default="cuda", help="cuda, cuda:1, ...")
    add("--minutes", type=float, default=15.0, help="time for all steps")
    short = ",".join(step for step in STEPS if step != _LONG)
    add("--steps", default=short, help=f"which steps, separated by commas; {_LONG} takes hours")
    add("--resume", type=Path, help="finetuning.tar or reproduction.tar of an earlier run")
    add("--write", type=Path, help="put the results into this page, under the name of the card")
    add("--dry-run", action="store_true", help="all steps, small, on the CPU")
    add("--wheels", action="store_true", help="print how to download what the machine lacks")
    add("--have", type=Path, help="names of packages that the machine has, such as its pip list")
    add("--target-python", default="3.12", help="Python of the machine")
    add("--target-torch", default="2.11", help="PyTorch of the machine")
    add("--pack", action="store_true", help="put weights and images into the folder of files")
    add("--weights", type=Path, nargs="*", default=[], help="files with weights to pack")
    add("--images", type=Path, help="images to pack, as cwda.read_images takes them")
    add("--normalisation", default="imagenet", help="that of the images for the weights")
    add("--step", choices=STEPS, help=argparse.SUPPRESS)
    add("--until", type=float, default=float("inf"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    unknown = set(options.steps.split(",")) - set(STEPS)
    if unknown:
        parser.error(f"unknown step {min(unknown)!r}; known are {', '.join(STEPS)}")
    if options.dry_run and options.write:
        parser.error("a dry run measures nothing: --write is refused")
    if options.dry_run:
        options.device = "cpu"
    return options  # fmt: skip


def _pack(options: argparse.Namespace) -> int:
    from benchmarks.on_gpu_files import pack

    said = pack(options.files, options.weights, options.images, options.normalisation, _PACKED)
    print("\n".join(said))
    return 0


def _run_all(options: argparse.Namespace) -> int:
    """All steps, each in a process; 0 if none had a problem."""
    started = time.monotonic()
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "on_gpu.log").unlink(missing_ok=True)
    site, lacking = bootstrap(options.files / "wheels")
    if site:
        print(f"wheels installed into {site}")
    if lacking:
        print(f"missing, which some steps may need: {', '.join(lacking)}")
    if options.resume:
        with tarfile.open(options.resume) as archive:
            archive.extractall(options.output, filter="data")
    outcomes = {}
    for name in (step for step in STEPS if step in options.steps.split(",")):
        title, most = STEPS[name]
        left = 60 * options.minutes - (time.monotonic() - started)
        print(f"\n### {title}\n", flush=True)
        outcomes[name] = _in_process(name, options, min(most, left))
        if outcomes[name].problem:
            print(f"\n**{outcomes[name].problem}**", flush=True)
        _write_page(options, outcomes)
    took = time.monotonic() - started
    bad = [name for name, outcome in outcomes.items() if outcome.problem]
    print(f"\n{len(outcomes)} steps in {took:.0f} s; with problems: {', '.join(bad) or 'none'}")
    return 1 if bad else 0


def _in_process(name: str, options: argparse.Namespace, seconds: float) -> Outcome:
    """Run one step under its time limit; print what it prints, as it does."""
    if seconds < 1:
        return Outcome("", "No time was left for this step.")
    command = [sys.executable, "-m", "benchmarks.on_gpu", "--step", name]
    command += ["--files", str(options.files), "--output", str(options.output)]
    command += ["--device", options.device, "--until", str(time.time() + seconds - _TO_SPARE)]
    command += ["--dry-run"] * options.dry_run
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    text: list[str] = []
    with (
        open(options.output / "on_gpu.log", "a+") as log,
        open(options.output / f"{name}.md", "w") as kept,
    ):
        start = log.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        reader = threading.Thread(target=_forward, args=(process.stdout, kept, text))
        reader.start()
        problem = ""
        try:
            if process.wait(seconds) != 0:
                log.seek(start)
                last = next((line for line in reversed(log.readlines()) if line.strip()), "")
                said = f": {last.strip()[:300]}" if last else ""
                problem = f"Failed with exit status {process.returncode}{said}"
        except subprocess.TimeoutExpired:
            problem = f"Stopped after its limit of {seconds:.0f} s."
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with what it has started
        process.wait()
        reader.join()  # the group is dead, so the pipe ends
        assert process.stdout is not None
        process.stdout.close()
    return Outcome("".join(text), problem)


def _forward(source: IO[str] | None, kept: IO[str], text: list[str]) -> None:
    assert source is not None
    for line in source:
        sys.stdout.write(line)
        sys.stdout.flush()
        kept.write(line)
        kept.flush()
        text.append(line)


def _write_page(options: argparse.Namespace, outcomes: dict[str, Outcome]) -> None:
    """The fragment for the page of benchmarks, anew after each step."""
    from benchmarks.on_gpu_page import fragment, merged

    parts = [(STEPS[name][0], one.text, one.problem) for name, one in outcomes.items()]
    text = fragment(parts, options.dry_run)
    (options.output / "on_gpu.md").write_text(text)
    if options.write:
        page = options.write.read_text() if options.write.exists() else "# Benchmarks\n"
        options.write.write_text(merged(page, text))


def _run_step(options: argparse.Namespace) -> None:
    """One step in this process; imports what it needs."""
    import torch

    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device; --dry-run runs all steps on the CPU")
    if options.step == "environment":
        from benchmarks.on_gpu_environment import environment

        environment(device)
    elif options.step == "tests":
        from benchmarks.on_gpu_tests import run_tests

        sys.exit(run_tests())
    elif options.step == "comparison":
        from benchmarks.on_gpu_comparison import compare_networks
        from benchmarks.on_gpu_files import weights_of

        compare_networks([] if options.dry_run else weights_of(options.files), device)
    elif options.step == "stages":
        from benchmarks.on_gpu_stages import time_stages

        time_stages(device, options.dry_run)
    elif options.step == _LONG:
        _reproduce(options, device)
    else:
        _fine_tune(options, device)


def _fine_tune(options: argparse.Namespace, device: object) -> None:
    from benchmarks.on_gpu_files import images_of, weights_of
    from benchmarks.on_gpu_finetuning import SMALL, Schedule, fine_tune_resnet

    folder = options.output / "finetuning"
    named = [path for path in weights_of(options.files) if path.name.startswith("resnet56")]
    if options.dry_run:
        shutil.rmtree(folder, ignore_errors=True)
    fine_tune_resnet(
        named[0] if named and not options.dry_run else None,
        None if options.dry_run else images_of(options.files),
        SMALL if options.dry_run else Schedule(),
        folder=folder,
        device=device,  # type: ignore[arg-type]
        seconds=min(options.until - time.time(), 3600.0),
    )


def _reproduce(options: argparse.Namespace, device: object) -> None:
    from benchmarks.on_gpu_files import images_of, weights_of
    from benchmarks.on_gpu_reproduction import reproduce_paper

    folder = options.output / "reproduction"
    if options.dry_run:
        shutil.rmtree(folder, ignore_errors=True)
    reproduce_paper(
        weights_of(options.files),
        None if options.dry_run else images_of(options.files),
        dry_run=options.dry_run,
        folder=folder,
        device=device,  # type: ignore[arg-type]
        seconds=options.until - time.time(),
    )


if __name__ == "__main__":
    sys.exit(main())
