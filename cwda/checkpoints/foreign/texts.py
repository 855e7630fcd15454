"""Text files that describe a network: what they are, and where its weights may be had."""

from __future__ import annotations

from cwda.checkpoints.foreign.foreign import TF_CHECKPOINT, TFJS, Foreign, has_json, has_text

__all__ = ["TEXTS"]

_BINARY = "save it in binary form, with onnx.save(onnx.load(path, format='{}'), 'model.onnx')"
_ONNX = "an ONNX model in text form"

TEXTS: tuple[Foreign, ...] = (
    Foreign("the description of an OpenVINO network",
            "give the .onnx file or the weights it was converted from",
            has_text(rb"(<\?xml[^>]{0,200}\?>\s*)?<net\s")),
    Foreign("a web page, not the weights", "download the file itself",
            has_text(rb"<!doctype|<html|<\?xml|<head")),
    Foreign(_ONNX, _BINARY.format("textproto"), has_text(rb"ir_version:\s*\d")),
    Foreign(_ONNX, _BINARY.format("onnxtxt"), has_text(rb"<\s*ir_version:")),
    Foreign("a TensorFlow graph in text form",
            "give the model it was made from, or convert it with tf2onnx",
            has_text(rb"node\s*\{")),
    Foreign("the list of a TensorFlow.js model's weights", TFJS,
            has_text(rb'\[\s*\{\s*"paths":')),
    Foreign("the list of a folder's TensorFlow checkpoints", TF_CHECKPOINT,
            has_text(rb"model_checkpoint_path:")),
    Foreign("a Darknet description without weights",
            "convert it and its .weights file to PyTorch or ONNX",
            has_text(rb"\[net(work)?\]")),
    Foreign("a Caffe description without weights", "convert it and its .caffemodel to ONNX",
            has_text(rb'(#[^\n]{0,200}\n\s*)*(name:\s*"|layers?\s*\{|input:\s*")')),
    Foreign("the description of a TensorFlow.js model", TFJS,
            has_json(rb'"(modeltopology|weightsmanifest)"')),
    Foreign("the list of a Core ML package", "give the model it was converted from",
            has_json(rb'"iteminfoentries"')),
    Foreign("the description of an MXNet network, without its weights",
            "load its .params file with mxnet.nd.load and save the arrays with numpy.savez",
            has_json(rb'"op":\s*"null"')),
    Foreign("a Paddle program without weights", "give the .pdparams file of paddle.save",
            has_json(rb'"magic":\s*"pir"')),
    Foreign(_ONNX, _BINARY.format("json"), has_json(rb'"irversion":')),
    Foreign("the index of a checkpoint in shards, by another name",
            "name it model.safetensors.index.json next to its shards, or give their folder",
            has_json(rb'"weight_map":')),
    Foreign("the configuration of a Keras model, without its weights",
            "give the .keras or .h5 file", has_json(rb'"class_name":\s*"')),
    Foreign("the configuration of a network, without its weights",
            "give the file of weights next to it",
            has_json(rb'"(architectures?|model_type|transformers_version|_class_name)":')),
)  # fmt: skip
