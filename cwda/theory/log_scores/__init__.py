"""Moments of the log-scores of a layer, what they predict, and how far they err."""
