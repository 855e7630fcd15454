"""Text files that describe a network: what they are, and where its weights may be had."""

from __future__ import annotations

import re

__all__ = ["TF_CHECKPOINT", "TF_JS", "text_kind"]

TF_CHECKPOINT = (
    "load it with tf.train.load_checkpoint and save the arrays with numpy.savez, or save the "
    "model as .keras"
)
TF_JS = "convert it to Keras with tensorflowjs_converter and give that"
_ONNX = "save it in binary form, with onnx.save(onnx.load(path, format='{}'), 'model.onnx')"

#: Beginnings of text files, in lower case.
_TEXTS: tuple[tuple[re.Pattern[bytes], str, str], ...] = (
    (re.compile(rb"(<\?xml[^>]{0,200}\?>\s*)?<net\s"), "the description of an OpenVINO network",
     "give the .onnx file or the weights it was converted from"),
    (re.compile(rb"<!doctype|<html|<\?xml|<head"), "a web page, not the weights",
     "download the file itself"),
    (re.compile(rb"ir_version:\s*\d"), "an ONNX model in text form",
     _ONNX.format("textproto")),
    (re.compile(rb"<\s*ir_version:"), "an ONNX model in text form", _ONNX.format("onnxtxt")),
    (re.compile(rb"node\s*\{"), "a TensorFlow graph in text form",
     "give the model it was made from, or convert it with tf2onnx"),
    (re.compile(rb'\[\s*\{\s*"paths":'), "the list of a TensorFlow.js model's weights", TF_JS),
    (re.compile(rb"model_checkpoint_path:"), "the list of a folder's TensorFlow checkpoints",
     TF_CHECKPOINT),
    (re.compile(rb"\[net(work)?\]"), "a Darknet description without weights",
     "convert it and its .weights file to PyTorch or ONNX"),
    (re.compile(rb'(#[^\n]{0,200}\n\s*)*(name:\s*"|layers?\s*\{|input:\s*")'),
     "a Caffe description without weights", "convert it and its .caffemodel to ONNX"),
)  # fmt: skip

#: Keys that tell a description in JSON, in lower case.
_KEYS: tuple[tuple[bytes, str, str], ...] = (
    (rb'"(modeltopology|weightsmanifest)"', "the description of a TensorFlow.js model", TF_JS),
    (rb'"iteminfoentries"', "the list of a Core ML package",
     "give the model it was converted from"),
    (rb'"op":\s*"null"', "the description of an MXNet network, without its weights",
     "load its .params file with mxnet.nd.load and save the arrays with numpy.savez"),
    (rb'"magic":\s*"pir"', "a Paddle program without weights",
     "give the .pdparams file of paddle.save"),
    (rb'"irversion":', "an ONNX model in text form", _ONNX.format("json")),
    (rb'"weight_map":', "the index of a checkpoint in shards, by another name",
     "name it model.safetensors.index.json beside its shards, or give their folder"),
    (rb'"class_name":\s*"', "the configuration of a Keras model, without its weights",
     "give the .keras or .h5 file"),
    (rb'"(architectures?|model_type|transformers_version|_class_name)":',
     "the configuration of a network, without its weights", "give the file of weights beside it"),
)  # fmt: skip


def text_kind(head: bytes) -> tuple[str, str] | None:
    """What a text file with this beginning is and what to do; None if nothing tells."""
    beginning = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for pattern, what, remedy in _TEXTS:
        if pattern.match(beginning):
            return what, remedy
    if beginning[:1] == b"{":
        for key, what, remedy in _KEYS:
            if re.search(key, beginning):
                return what, remedy
    return None
