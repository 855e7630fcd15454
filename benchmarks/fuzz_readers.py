"""Coverage-guided fuzzing of the readers of checkpoints, with atheris.

    python -m benchmarks.fuzz_readers zip --seconds 120 [--corpus FOLDER]

Readers are the keys of the table below. A finding is anything but tensors or one
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

from benchmarks.hostile.formats import healthy_file
from cwda.errors import CwdaError

#: The kind of healthy file that seeds the corpus, and the name under which inputs are loaded.
READERS = {
    "pickle": ("pickle", "m.pkl"),
    "legacy": ("torch legacy", "m.pth"),
    "zip": ("torch zip", "m.pth"),
    "safetensors": ("safetensors", "m.safetensors"),
    "npy": ("npy", "m.npy"),
    "npz": ("npz", "m.npz"),
    "onnx": ("ONNX", "m.onnx"),
    "index": ("sharded", "m.safetensors.index.json"),
    "tar": ("torch tar", "m.tar"),
    "early": ("torch early", "m.pth"),
    "export": ("torch.export", "m.pt2"),
    "frozen": ("frozen TorchScript", "m.pt"),
    "metadata": ("torch distributed", ".metadata"),
    "objects": ("npy of objects", "m.npy"),
    "list": ("list", "m.pkl"),
    "compressed": ("compressed pickle", "m.pkl.gz"),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_readers")
    parser.add_argument("reader", choices=list(READERS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="kept between runs; else temporary")
    options = parser.parse_args()
    warnings.simplefilter("error")
    kind, name = READERS[options.reader]
    work = Path(tempfile.mkdtemp(prefix="fuzz-"))
    corpus = options.corpus or Path(tempfile.mkdtemp(prefix="corpus-"))
    corpus.mkdir(exist_ok=True)
    (corpus / "healthy").write_bytes(healthy_file(kind, work).read_bytes())

    def one(data: bytes) -> None:
        (work / name).write_bytes(data)
        try:
            load(work / name)
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
