"""Named tensors to convolution layers: which are weights, of which kind, what was assumed."""
