"""Zip archives without readable weights: what their entries show them to be, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cwda.containers.tensors import printable

__all__ = ["describe_archive"]

_Ends = set[str]

#: What tells an archive by the last parts of its entries' names, what it is, and what to do.
_KINDS: tuple[tuple[Callable[[_Ends], bool], str, str], ...] = (
    (lambda ends: "archive_format" in ends or any(e.endswith(".so") for e in ends),
     "a package compiled by AOTInductor, without its weights as tensors",
     "give the .pt2 file of torch.export.save or the state dict"),
    (lambda ends: "model.json" in ends and "attributes.pkl" in ends,
     "a TorchScript archive from before PyTorch 1.4", "save it again with a later one"),
    (lambda ends: "extern_modules" in ends, "a torch.package archive",
     "load it with torch.package.PackageImporter and save the state dict"),
    (lambda ends: "MANIFEST.json" in ends, "a TorchServe archive (.mar)",
     "unpack it and give the serialised file inside"),
    (lambda ends: "Manifest.json" in ends, "a Core ML package",
     "give the model it was converted from"),
    (lambda ends: "saved_model.pb" in ends, "a packed TensorFlow SavedModel",
     "load it with TensorFlow and save the model as .keras, or convert it with tf2onnx"),
    (lambda ends: "nnp_version.txt" in ends, "a Neural Network Libraries file (.nnp)",
     "unpack it and give the file of parameters inside (.h5)"),
    (lambda ends: {"configuration.json", "coefficients.bin"} <= ends, "a Deeplearning4j model",
     "export it to Keras or save its parameters as .npy"),
    (lambda ends: "model.params" in ends, "a SNPE container (.dlc)",
     "give the model it was converted from"),
)  # fmt: skip


def describe_archive(names: Iterable[str]) -> str:
    """What a zip archive with these entries is and what to do, in one line."""
    names = list(names)
    ends = {name.rpartition("/")[2] for name in names}
    if "model.json" in ends and any("tensors/" in name for name in names):
        ends.add("attributes.pkl")  # the oldest archives have attributes inside the JSON
    for tells, what, remedy in _KINDS:
        if tells(ends):
            return f"this is {what}; {remedy}"
    inside = printable(", ".join(sorted(ends)[:3]))[:80] or "nothing"
    return (
        f"this is a zip archive without weights (it holds {inside}); "
        "unpack it if a checkpoint is inside"
    )
