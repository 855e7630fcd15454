"""Zip archives without readable weights: what their entries show them to be, and what to do."""

from __future__ import annotations

from cwda.checkpoints.foreign.foreign import ORIGINAL, TF_MODEL, Foreign, Glance, has

__all__ = ["ARCHIVES"]


def _is_compiled(glance: Glance) -> bool:
    return "archive_format" in glance.names or any(name.endswith(".so") for name in glance.names)


def _is_old_script(glance: Glance) -> bool:
    """TorchScript whose attributes lie in a pickle, or in the oldest ones inside the JSON."""
    names = glance.names
    return "model.json" in names and ("attributes.pkl" in names or "tensors" in names)


ARCHIVES: tuple[Foreign, ...] = (
    Foreign("a package compiled by AOTInductor, without its weights as tensors",
            "give the .pt2 file of torch.export.save or the state dict", _is_compiled),
    Foreign("a TorchScript archive from before PyTorch 1.4", "save it again with a later one",
            _is_old_script),
    Foreign("a torch.package archive",
            "load it with torch.package.PackageImporter and save the state dict",
            has("extern_modules")),
    Foreign("a TorchServe archive (.mar)", "unpack it and give the serialised file inside",
            has("MANIFEST.json"), suffixes=("mar",)),
    Foreign("a Core ML package", ORIGINAL, has("Manifest.json")),
    Foreign("a packed TensorFlow SavedModel", TF_MODEL, has("saved_model.pb")),
    Foreign("a Neural Network Libraries file (.nnp)",
            "unpack it and give the file of parameters inside (.h5)", has("nnp_version.txt"),
            suffixes=("nnp",)),
    Foreign("a Deeplearning4j model", "export it to Keras or save its parameters as .npy",
            has("configuration.json", "coefficients.bin")),
    Foreign("a SNPE container (.dlc)", ORIGINAL, has("model.params"), suffixes=("dlc",)),
)  # fmt: skip
