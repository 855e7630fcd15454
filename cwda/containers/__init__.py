"""Bytes to named tensors, for every format: mapped files, archives, JSON, pickles as data."""
