"""Modules in memory: the weight that each convolution would use in its next forward pass."""
