"""Figures of what pruning takes, and of the accuracy that it leaves."""
