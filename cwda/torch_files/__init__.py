"""Files of PyTorch: archives, pickles, TorchScript, exported programs, distributed checkpoints."""
