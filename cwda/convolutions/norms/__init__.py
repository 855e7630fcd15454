"""Which BatchNorm in a file belongs to which convolution."""
