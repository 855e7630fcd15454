"""ONNX files: which tensors feed the convolutions of the graph, and through what."""
