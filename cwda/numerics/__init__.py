"""Numerical methods on tensors: no layer, no file, no table is known here."""
