"""Coverage-guided fuzzing of the readers of checkpoints, with atheris.

    python -m benchmarks.fuzz_readers "torch zip" --seconds 120 [--corpus FOLDER]

Formats are those of the study of hostile files. A finding is anything but tensors or one
clear line; atheris then writes the input to a file and stops. Needs ``pip install atheris``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=[
        "cwda.checkpoints",
        "cwda.containers",
        "cwda.torch_files",
        "cwda.keras_files",
        "cwda.onnx_files",
    ]
):
    from cwda.loading import load

from benchmarks.hostile.formats import FORMATS, healthy_file
from cwda.errors import CwdaError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_readers")
    parser.add_argument("format", choices=list(FORMATS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="kept between runs; else temporary")
    options = parser.parse_args()
    warnings.simplefilter("error")
    work = Path(tempfile.mkdtemp(prefix="fuzz-"))
    corpus = options.corpus or Path(tempfile.mkdtemp(prefix="corpus-"))
    corpus.mkdir(exist_ok=True)
    path = healthy_file(options.format, work)
    (corpus / "healthy").write_bytes(path.read_bytes())

    def one(data: bytes) -> None:
        path.write_bytes(data)
        try:
            load(path)
        except CwdaError as error:
            if "\n" in str(error):
                raise AssertionError(f"more than one line: {error!r}") from error
            if error.__cause__ is not None:  # the net under the readers, not the readers
                raise error.__cause__ from None

    limits = [f"-max_total_time={options.seconds}", "-timeout=20", "-rss_limit_mb=3000"]
    atheris.Setup([sys.argv[0], *limits, "-max_len=8192", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
