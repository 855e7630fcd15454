"""Folders of formats that are not read: what the names in them show, and what to do."""

from __future__ import annotations

from cwda.checkpoints.foreign.foreign import ORBAX, ORIGINAL, TF_MODEL, TFJS, Foreign, Glance, has
from cwda.torch_files.distributed import METADATA

__all__ = ["FOLDERS"]

_PARALLEL = "merge the parts with the program that wrote them, and give the result"


def _has_tensorflow_checkpoints(glance: Glance) -> bool:
    names = glance.names
    indices = any(name.endswith(".index") and not name.startswith(".") for name in names)
    return indices and any(".data-00000-of-" in name for name in names)


def _is_tensorflow_js(glance: Glance) -> bool:
    return "model.json" in glance.names and bool(glance.counted(r"group1-shard.*"))


FOLDERS: tuple[Foreign, ...] = (
    Foreign(f"a torch.distributed.checkpoint without its {METADATA}",
            "copy that file into the folder", lambda folder: bool(folder.counted(r".*\.distcp"))),
    Foreign("a TensorFlow SavedModel", TF_MODEL, has("saved_model.pb")),
    Foreign("a folder of TensorFlow checkpoints",
            "load one with tf.train.load_checkpoint and save the arrays with numpy.savez",
            _has_tensorflow_checkpoints),
    Foreign("a Core ML package", ORIGINAL, has("Manifest.json", "Data")),
    Foreign("a compiled Core ML model", ORIGINAL,
            lambda folder: bool({"coremldata.bin", "model.espresso.net"} & folder.names)),
    Foreign("an orbax checkpoint of JAX", ORBAX, lambda folder: bool(
        {"_METADATA", "_CHECKPOINT_METADATA", "manifest.ocdbt"} & folder.names)),
    Foreign("a DeepSpeed ZeRO-3 checkpoint in shards",
            "run its zero_to_fp32.py, which puts the shards together, and give the result",
            lambda folder: bool(
                folder.counted(r"(bf16_)?zero_pp_rank_\d+_mp_rank_\d+_model_states\.pt"))),
    Foreign("a DeepSpeed checkpoint in model-parallel parts", _PARALLEL,
            lambda folder: folder.counted(r"mp_rank_(\d+)_model_states\.pt") > 1),
    Foreign("a Megatron checkpoint in model-parallel parts", _PARALLEL,
            lambda folder: folder.counted(r"mp_rank_(\d+)(_\d+)?") > 1),
    Foreign("a TensorFlow.js model", TFJS, _is_tensorflow_js),
)  # fmt: skip
